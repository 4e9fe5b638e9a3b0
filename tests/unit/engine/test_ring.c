/* Rings on disk: what the next server reads of what the last one wrote. */
#include "tests/unit/unit.h"

#include "runtime/base/util.h"
#include "runtime/engine/ring.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAX 1024

static char folder[] = "/tmp/podfs-ring.XXXXXX";
static int dir;

static int open_folder(void **state)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	dir = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return dir < 0;
}

static int drop_folder(void **state)
{
	close(dir);
	return remove_tree_at(AT_FDCWD, folder);
}

static struct ring loaded(void)
{
	struct ring r;
	ring_init(&r, MAX);
	ring_load(&r, dir, ".");
	return r;
}

static void add(struct ring *r, unsigned n)
{
	char line[32];
	snprintf(line, sizeof line, "line %06u", n);
	ring_line(r, line);
	ring_save(r, dir, ".");
}

static unsigned files(void)
{
	unsigned n = 0;
	DIR *d = fdopendir(dup(dir));
	struct dirent *de;
	rewinddir(d);
	while ((de = readdir(d)))
		n += !strncmp(de->d_name, "events.", 7);
	closedir(d);
	return n;
}

/* The newest lines, in order, without a gap; offsets go on. */
static void check(const struct ring *r, uint64_t size, unsigned last)
{
	const char *p;
	assert_int_equal(ring_size(r), size);
	size_t len = ring_at(r, 0, &p);
	assert_true(len <= MAX && len % 12 == 0);
	for (size_t i = 0; i < len / 12; i++) {
		char want[32];
		snprintf(want, sizeof want, "line %06u\n", last - (unsigned)(len / 12) + 1 + (unsigned)i);
		assert_memory_equal(p + 12 * i, want, 12);
	}
}

static void goes_on(void **state)
{
	for (unsigned i = 1; i <= 500; i++) {
		struct ring r = loaded();
		check(&r, 12 * (i - 1), i - 1);
		add(&r, i);
		assert_true(files() <= 2);
		ring_free(&r);
	}
	struct ring r = loaded();
	assert_true(r.len >= MAX / 2 && r.oldest > 0);
	ring_free(&r);
}

static void empty(void **state)
{
	struct ring r = loaded();
	assert_int_equal(ring_size(&r), 0);
	ring_save(&r, dir, ".");
	ring_free(&r);
	r = loaded();
	assert_int_equal(ring_size(&r), 0);
	ring_free(&r);
}

static void spoil(const char *name, const char *tail, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, tail, n), n);
	close(fd);
}

static void torn(void **state)
{
	struct ring r = loaded();
	add(&r, 1);
	ring_free(&r);
	spoil("events.0", "line 0", 6);
	r = loaded();
	check(&r, 12, 1);
	add(&r, 2);
	ring_free(&r);
	spoil("events.0", "li\0\0\0\n\0", 7);
	r = loaded();
	check(&r, 24, 2);
	add(&r, 3);
	ring_free(&r);
	r = loaded();
	check(&r, 36, 3);
	ring_free(&r);
}

static void written_later(void **state)
{
	struct ring r = loaded();
	add(&r, 1);
	int real = dir;
	dir = -1; /* as with a full disk: nothing can be opened */
	for (unsigned i = 2; i <= 5; i++)
		add(&r, i);
	dir = real;
	add(&r, 6);
	ring_free(&r);
	r = loaded();
	check(&r, 72, 6);
	dir = -1;
	for (unsigned i = 7; i <= 400; i++)
		add(&r, i);
	dir = real;
	add(&r, 401);
	ring_free(&r);
	r = loaded();
	assert_int_equal(ring_size(&r), 401 * 12);
	assert_true(files() <= 2);
	ring_free(&r);
}

static void strangers(void **state)
{
	static const char *const names[] = { "events.", "events.x", "events.1x", "events.99999999999999999999999", "eventsx" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		close(openat(dir, names[i], O_WRONLY | O_CREAT, 0600));
	struct ring r = loaded();
	assert_int_equal(r.len, 0);
	add(&r, 1);
	add(&r, 2);
	ring_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(goes_on, open_folder, drop_folder),
		cmocka_unit_test_setup_teardown(empty, open_folder, drop_folder),
		cmocka_unit_test_setup_teardown(torn, open_folder, drop_folder),
		cmocka_unit_test_setup_teardown(written_later, open_folder, drop_folder),
		cmocka_unit_test_setup_teardown(strangers, open_folder, drop_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
