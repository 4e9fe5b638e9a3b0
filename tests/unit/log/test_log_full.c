/* A full disk: the pump takes everything, drops and counts what finds no room, and goes on when there is room.
 *
 * Needs root: it mounts a tmpfs of 256 KiB in a mount namespace of its own.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

/* Covers the rig's folder with the small tmpfs. */
static bool small_disk(struct rig *g, uint64_t max, const char *options)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	rig_up(g, max, 4);
	if (mount("tmpfs", g->path, "tmpfs", MS_NODEV, options)) {
		rig_down(g);
		return false;
	}
	close(g->dir);
	g->dir = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig_writer_again(g);
	rig_reader_again(g);
	return true;
}

static void down(struct rig *g)
{
	umount2(g->path, MNT_DETACH);
	close(g->dir);
	g->dir = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig_down(g);
}

static void occupy(const struct rig *g)
{
	static const char mem[4096];
	_cleanup_close_ int fd = openat(g->dir, "other", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (write(fd, mem, sizeof mem) > 0)
		;
}

static void put_text(struct rig *g, int n)
{
	for (int i = 0; i < n; i++) {
		char mem[3000];
		memset(mem, 'a' + i % 26, sizeof mem);
		mem[sizeof mem - 1] = '\n';
		rig_put(g, i & 1 ? LOG_STDOUT : LOG_STDERR, mem, sizeof mem);
	}
}

static void full(bool copy)
{
	struct rig g;
	if (!small_disk(&g, 1 << 20, "size=256k"))
		skip();
	g.w.copy = g.copy = copy;
	put_text(&g, 10);
	occupy(&g);
	put_text(&g, 200);
	assert_int_equal(g.w.broken, ENOSPC);
	assert_true(g.w.dropped > 500000 && g.w.dropped < 610000);
	rig_check(&g);
	rig_puts(&g, LOG_STDOUT, "not now\n"); /* within 100 ms nothing is even tried */
	unlinkat(g.dir, "other", 0);
	g.w.retry_ns = 0;
	uint64_t dropped = g.w.dropped;
	put_text(&g, 10);
	assert_int_equal(g.w.broken, 0);
	assert_int_equal(g.w.dropped, dropped);
	rig_check(&g);
	rig_writer_again(&g);
	assert_int_equal(g.w.dropped, dropped); /* the count outlives the writer */
	rig_check(&g);
	down(&g);
}

static void test_full(void **state)
{
	full(false);
}

static void test_full_copy(void **state)
{
	full(true);
}

/* No room for another segment's files: the oldest one makes it. */
static void test_no_inodes(void **state)
{
	struct rig g;
	if (!small_disk(&g, 8192, "size=1m,nr_inodes=8"))
		skip();
	put_text(&g, 100);
	assert_int_equal(g.w.dropped, 0);
	rig_check(&g);
	down(&g);
}

/* The log itself fills the disk: its oldest segments go, and it lives on with less. */
static void test_own_size(void **state)
{
	struct rig g;
	if (!small_disk(&g, 100000, "size=256k"))
		skip();
	for (int i = 0; i < 40; i++) {
		put_text(&g, 20);
		g.w.retry_ns = 0;
	}
	rig_check(&g);
	down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full), cmocka_unit_test(test_full_copy), cmocka_unit_test(test_no_inodes),
		cmocka_unit_test(test_own_size),
	};
	return cmocka_run_group_tests_name("log on a full disk", tests, NULL, NULL);
}
