/* Unpackers as their parent sees them: blobs that are whole, that still grow, that are broken; workers that end by themselves
 * and by others. Needs root, tar and gzip. */
#include "tests/unit/unit.h"

#include "runtime/base/util.h"
#include "runtime/image/workers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROOM (1ull << 40)

static char dir[] = "/tmp/podfs-test-workers-XXXXXX";
static struct disk disk;
static struct work work;
static struct buf blob, plain; /* a layer: `first`, `second` (3 MB that do not compress), `third` */

static void slurp(const char *name, struct buf *b)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(read_file_at(fd, name, 1 << 24, b), 0);
	close(fd);
}

static int set_up(void **state UNUSED)
{
	char cmd[400];
	if (geteuid())
		return 0;
	if (!mkdtemp(dir))
		return -1;
	snprintf(cmd, sizeof cmd,
		 "cd %s && mkdir l && echo one >l/first && head -c 3000000 /dev/urandom >l/second && echo three >l/third &&"
		 " tar -C l -cf plain first second third && { head -c 1000000 plain | gzip; tail -c +1000001 plain | gzip; } >blob", dir);
	if (system(cmd))
		return -1;
	slurp("plain", &plain);
	slurp("blob", &blob);
	return disk_open(dir, &disk, NULL) || work_open(&disk, &work, NULL) ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
	if (geteuid())
		return 0;
	work_close(&disk, &work);
	disk_close(&disk);
	buf_free(&blob);
	buf_free(&plain);
	return remove_tree_at(AT_FDCWD, dir);
}

static struct workers *begin(uint64_t room)
{
	struct workers *ws;
	if (geteuid())
		skip();
	assert_int_equal(workers_new(&work, room, &ws, NULL), 0);
	return ws;
}

/* No process is left, and nothing in the work folder but layers that are whole. */
static void finish(struct workers *ws)
{
	workers_free(ws);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	work_close(&disk, &work);
	assert_int_equal(work_open(&disk, &work, NULL), 0);
}

/* A file with the first len bytes of text, and a descriptor at its start. */
static int file_of(const char *text, size_t len)
{
	int fd = openat(work.fd, "in", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write_all(fd, text, len), 0);
	assert_int_equal(unlinkat(work.fd, "in", 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static unsigned start(struct workers *ws, int fd, bool grows)
{
	int id = workers_start(ws, fd, grows, NULL);
	assert_true(id > 0);
	return (unsigned)id;
}

static struct unpacked next(struct workers *ws)
{
	struct pollfd p = { .fd = workers_fd(ws), .events = POLLIN };
	struct unpacked u;
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(workers_next(ws, &u), 1);
	return u;
}

static bool is_there(unsigned id, const char *name)
{
	char path[80];
	struct stat st;
	snprintf(path, sizeof path, "l.%u%s", id, name);
	return !fstatat(work.fd, path, &st, AT_SYMLINK_NOFOLLOW);
}

static void assert_whole(const struct unpacked *u)
{
	char hex[DIGEST_HEX + 1];
	struct buf second = { 0 };
	char name[40];
	assert_string_equal(u->err.text, "");
	assert_int_equal(u->err.code, 0);
	assert_int_equal(digest_of(blob.data, blob.len, hex, NULL), 0);
	assert_string_equal(u->blob, hex);
	assert_int_equal(digest_of(plain.data, plain.len, hex, NULL), 0);
	assert_string_equal(u->diff_id, hex);
	assert_true(u->blob_size == blob.len && u->size == plain.len);
	snprintf(name, sizeof name, "l.%u/second", u->id);
	assert_int_equal(read_file_at(work.fd, name, 1 << 24, &second), 0);
	assert_int_equal(second.len, 3000000);
	assert_non_null(memmem(plain.data, plain.len, second.data, second.len));
	buf_free(&second);
}

static void both_digests_come_of_one_pass(void **state UNUSED)
{
	struct workers *ws = begin(ROOM);
	int fd = file_of(blob.data, blob.len);
	unsigned id = start(ws, fd, false);
	close(fd);
	struct unpacked u = next(ws);
	assert_int_equal(u.id, id);
	assert_whole(&u);
	assert_true(workers_bytes(ws) == blob.len);
	assert_int_equal(workers_running(ws), 0);
	finish(ws);
}

static bool within_seconds(unsigned id, const char *name)
{
	for (int i = 0; i < 20000 && !is_there(id, name); i++)
		poll(NULL, 0, 1);
	return is_there(id, name);
}

static void a_file_that_grows_is_followed(void **state UNUSED)
{
	struct workers *ws = begin(ROOM);
	struct unpacked u;
	int in = file_of("", 0), out = dup(in);
	char path[40];
	snprintf(path, sizeof path, "/proc/self/fd/%d", in);
	close(out);
	out = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	unsigned id = start(ws, in, true);
	for (size_t at = 0, n = 1; at < blob.len; at += n, n = n * 3 % 200000 + 1) {
		n = n < blob.len - at ? n : blob.len - at;
		assert_int_equal(write_all(out, blob.data + at, n), 0);
		workers_more(ws, id);
		assert_int_equal(workers_next(ws, &u), 0);
		if (at > blob.len / 2)
			assert_true(within_seconds(id, "/first"));
	}
	/* All is there, and it does not know. */
	assert_int_equal(poll(&(struct pollfd){ .fd = workers_fd(ws), .events = POLLIN }, 1, 100), 0);
	workers_complete(ws, id);
	u = next(ws);
	assert_whole(&u);
	close(in);
	close(out);
	finish(ws);
}

static void complete_may_be_said_at_once_or_never(void **state UNUSED)
{
	struct workers *ws = begin(ROOM);
	int whole = file_of(blob.data, blob.len), half = file_of(blob.data, blob.len / 2);
	unsigned a = start(ws, whole, true);
	workers_complete(ws, a);
	struct unpacked u = next(ws);
	assert_whole(&u);
	unsigned b = start(ws, half, true);
	workers_complete(ws, b);
	u = next(ws);
	assert_int_equal(u.err.code, EINVAL);
	assert_non_null(strstr(u.err.text, "truncated"));
	assert_false(is_there(b, ""));
	start(ws, half, true);
	close(whole);
	close(half);
	finish(ws);
}

static void the_killed_are_told_apart(void **state UNUSED)
{
	struct workers *ws = begin(ROOM);
	int half = file_of(blob.data, blob.len / 2);
	unsigned id = start(ws, half, true);
	workers_kill(ws, id);
	struct unpacked u = next(ws);
	assert_int_equal(u.id, id);
	assert_int_equal(u.err.code, ECANCELED);
	assert_false(is_there(id, ""));
	/* By somebody else: its only child. */
	lseek(half, 0, SEEK_SET);
	id = start(ws, half, true);
	char path[60];
	struct buf pid = { 0 };
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	assert_int_equal(read_file_at(AT_FDCWD, path, 100, &pid), 0);
	assert_int_equal(kill((pid_t)atoi(buf_str(&pid)), SIGKILL), 0);
	u = next(ws);
	assert_int_equal(u.err.code, EIO);
	assert_non_null(strstr(u.err.text, "signal 9"));
	assert_false(is_there(id, ""));
	/* Nobody is to be hurt by an id that is no longer. */
	workers_more(ws, id);
	workers_complete(ws, id);
	workers_kill(ws, id);
	buf_free(&pid);
	close(half);
	finish(ws);
}

static void all_share_one_budget(void **state UNUSED)
{
	struct workers *ws = begin(plain.len + plain.len / 2);
	unsigned good = 0, bad = 0;
	for (int i = 0; i < 2; i++) {
		int fd = file_of(blob.data, blob.len);
		start(ws, fd, false);
		close(fd);
	}
	for (int i = 0; i < 2; i++) {
		struct unpacked u = next(ws);
		good += !u.err.code;
		bad += u.err.code == EFBIG;
	}
	assert_true(bad >= 1 && good + bad == 2);
	finish(ws);
}

static void so_many_at_once_and_no_more(void **state UNUSED)
{
	struct workers *ws = begin(ROOM);
	unsigned ids[WORKERS_MAX];
	int fd = file_of(blob.data, blob.len);
	EACH(ids, i) {
		int own = file_of(blob.data, blob.len);
		assert_false(workers_busy(ws));
		ids[i] = start(ws, own, true);
		close(own);
	}
	assert_true(workers_busy(ws));
	assert_int_equal(workers_start(ws, fd, false, NULL), -EAGAIN);
	EACH(ids, i)
		workers_complete(ws, ids[i]);
	EACH(ids, i) {
		struct unpacked u = next(ws);
		assert_whole(&u);
	}
	assert_true(workers_bytes(ws) == blob.len * WORKERS_MAX);
	start(ws, fd, false);
	struct unpacked u = next(ws);
	assert_whole(&u);
	close(fd);
	finish(ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_digests_come_of_one_pass),
		cmocka_unit_test(a_file_that_grows_is_followed),
		cmocka_unit_test(complete_may_be_said_at_once_or_never),
		cmocka_unit_test(the_killed_are_told_apart),
		cmocka_unit_test(all_share_one_budget),
		cmocka_unit_test(so_many_at_once_and_no_more),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
