/* runtime/base/util: times, files replaced as a whole, trees removed. */
#include "runtime/base/util.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char home[] = "/tmp/podfs-util.XXXXXX";
static int dir = -1;

static int setup(void **state)
{
	if (!mkdtemp(home))
		return -1;
	dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int teardown(void **state)
{
	close(dir);
	return remove_tree_at(AT_FDCWD, home);
}

static void put(int at, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static bool exists(const char *name)
{
	return !faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

static void times(void **state)
{
	static const struct { uint64_t ns; const char *full, *seconds; } t[] = {
		{ 0, "1970-01-01T00:00:00.000000000Z", "1970-01-01T00:00:00Z" },
		{ 951782400123456789u, "2000-02-29T00:00:00.123456789Z", "2000-02-29T00:00:00Z" },
		{ 1767225599999999999u, "2025-12-31T23:59:59.999999999Z", "2025-12-31T23:59:59Z" },
		{ 4102444800000000001u, "2100-01-01T00:00:00.000000001Z", "2100-01-01T00:00:00Z" },
	};
	EACH(t, i) {
		char full[RFC3339_LEN + 1], seconds[21];
		format_time(t[i].ns, full);
		format_time_s(t[i].ns, seconds);
		assert_string_equal(full, t[i].full);
		assert_string_equal(seconds, t[i].seconds);
	}
	uint64_t before = now_mono_ns();
	assert_true(now_mono_ns() >= before);
}

static void reads_up_to_its_bound(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_puts(&b, "before ");
	put(dir, "ten", "0123456789");
	assert_int_equal(read_file_at(dir, "ten", 9, &b), -EFBIG);
	assert_string_equal(buf_str(&b), "before ");
	assert_int_equal(read_file_at(dir, "ten", 10, &b), 0);
	assert_string_equal(buf_str(&b), "before 0123456789");
	assert_int_equal(read_file_at(dir, "none", 10, &b), -ENOENT);
	assert_int_equal(symlinkat("ten", dir, "link"), 0);
	assert_int_equal(read_file_at(dir, "link", 10, &b), -ELOOP);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(read_file_at(dir, "fifo", 10, &b), 0); /* and does not wait for a writer */
}

static void replaces_files(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct stat st;
	put(dir, "rec", "old");
	assert_int_equal(replace_file_at(dir, "rec", "new text", 8, 0600), 0);
	assert_int_equal(read_file_at(dir, "rec", 100, &b), 0);
	assert_string_equal(buf_str(&b), "new text");
	assert_int_equal(fstatat(dir, "rec", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_false(exists(".rec.tmp"));
}

static void replacing_fails_clean(void **state)
{
	char name[NAME_MAX + 1];
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = 0;
	assert_int_equal(replace_file_at(dir, name, "x", 1, 0600), -ENAMETOOLONG);
	assert_int_equal(mkdirat(dir, "folder", 0755), 0);
	assert_int_equal(replace_file_at(dir, "folder", "x", 1, 0600), -EISDIR);
	assert_false(exists(".folder.tmp"));
	assert_int_equal(replace_file_at(dir, "none/rec", "x", 1, 0600), -ENOENT);
}

static void writes_existing_files_only(void **state)
{
	_cleanup_free_ char *path = NULL;
	assert_true(asprintf(&path, "%s/kernel", home) > 0);
	assert_int_equal(write_file(path, "1", 1), -ENOENT);
	put(dir, "kernel", "");
	assert_int_equal(write_file(path, "1", 1), 0);
	assert_int_equal(write_file("/dev/full", "1", 1), -ENOSPC);
}

static void makes_paths(void **state)
{
	_cleanup_free_ char *path = NULL, *under = NULL;
	assert_true(asprintf(&path, "%s/a/b//c", home) > 0);
	assert_int_equal(mkdir_all(path, 0700), 0);
	assert_int_equal(mkdir_all(path, 0700), 0);
	assert_true(exists("a/b/c"));
	put(dir, "plain", "");
	assert_true(asprintf(&under, "%s/plain/x", home) > 0);
	assert_int_equal(mkdir_all(under, 0700), -ENOTDIR);
	assert_int_equal(mkdir_all("", 0700), -ENOENT);
}

static void removes_trees(void **state)
{
	assert_int_equal(remove_tree_at(dir, "missing"), 0);
	put(dir, "single", "x");
	assert_int_equal(remove_tree_at(dir, "single"), 0);
	assert_false(exists("single"));
	assert_int_equal(mkdirat(dir, "t", 0755), 0);
	assert_int_equal(mkdirat(dir, "t/locked", 0000), 0);
	assert_int_equal(mkdirat(dir, "t/sub", 0755), 0);
	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof name, "t/sub/%d", i);
		put(dir, name, "x");
	}
	assert_int_equal(mkfifoat(dir, "t/fifo", 0600), 0);
	assert_int_equal(remove_tree_at(dir, "t"), 0);
	assert_false(exists("t"));
}

static void follows_no_link(void **state)
{
	assert_int_equal(mkdirat(dir, "outside", 0755), 0);
	put(dir, "outside/kept", "x");
	assert_int_equal(mkdirat(dir, "t", 0755), 0);
	assert_int_equal(symlinkat("../outside", dir, "t/link"), 0);
	assert_int_equal(symlinkat("outside", dir, "top"), 0);
	assert_int_equal(remove_tree_at(dir, "t"), 0);
	assert_int_equal(remove_tree_at(dir, "top"), 0);
	assert_true(exists("outside/kept"));
	assert_false(exists("top"));
}

/* Deeper than PATH_MAX reaches and than there are descriptors. */
static void removes_deep_trees(void **state)
{
	assert_int_equal(mkdirat(dir, "deep", 0755), 0);
	int at = openat(dir, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2000; i++) {
		put(at, "file", "x");
		assert_int_equal(mkdirat(at, "down", 0755), 0);
		int next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(remove_tree_at(dir, "deep"), 0);
	assert_false(exists("deep"));
}

/* The names that deep folders get on their way up are taken. In which order a folder is read nobody knows:
 * of twenty some are met before their names are free. */
static void removes_deep_trees_of_a_joker(void **state)
{
	assert_int_equal(mkdirat(dir, "joke", 0755), 0);
	_cleanup_close_ int top = openat(dir, "joke", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int tree = 0; tree < 20; tree++) {
		char name[64];
		int at = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (int depth = 0; depth < 70; depth++) {
			struct stat st;
			snprintf(name, sizeof name, depth ? "down" : "down%d", tree);
			assert_int_equal(mkdirat(at, name, 0755), 0);
			int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			assert_int_equal(fstat(next, &st), 0);
			snprintf(name, sizeof name, ".deep-%llu", (unsigned long long)st.st_ino);
			put(top, name, "taken");
			close(at);
			at = next;
		}
		close(at);
	}
	assert_int_equal(remove_tree_at(dir, "joke"), 0);
	assert_false(exists("joke"));
}

/* In a mount namespace of its own: 0 passed, 77 it cannot be made. */
static int with_a_mount(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/m/mnt", home);
	if (mkdir_all(path, 0755) || mount("none", path, "tmpfs", 0, NULL))
		return 77;
	close_fd(&dir); /* it leads into the namespace before */
	dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir, "m/mnt/kept", "x");
	put(dir, "m/goes", "x");
	return remove_tree_at(dir, "m") == -EBUSY && exists("m/mnt/kept") && !exists("m/goes") ? 0 : 1;
}

/* The same, of a folder and a file of this very file system, and with the tree itself mounted over. */
static int with_a_bind_mount(void)
{
	char path[PATH_MAX], from[PATH_MAX];
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	snprintf(from, sizeof from, "%s/theirs/sub", home);
	snprintf(path, sizeof path, "%s/b/mnt", home);
	if (mkdir_all(from, 0755) || mkdir_all(path, 0755) || mount(from, path, NULL, MS_BIND, NULL))
		return 77;
	close_fd(&dir);
	dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir, "theirs/sub/kept", "x");
	put(dir, "b/goes", "x");
	put(dir, "b/file", "");
	snprintf(from, sizeof from, "%s/theirs/sub/kept", home);
	snprintf(path, sizeof path, "%s/b/file", home);
	if (mount(from, path, NULL, MS_BIND, NULL))
		return 77;
	if (remove_tree_at(dir, "b") != -EBUSY || !exists("theirs/sub/kept") || !exists("b/file") || exists("b/goes"))
		return 1;
	return remove_tree_at(dir, "b/mnt") == -EBUSY && exists("theirs/sub/kept") ? 0 : 2;
}

static void in_a_child(int (*test)(void))
{
	int status;
	pid_t pid = fork();
	if (!pid)
		_exit(test());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void stays_on_its_mount(void **state)
{
	in_a_child(with_a_mount);
	in_a_child(with_a_bind_mount);
}

static void moves_own(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int taken = take_fd(&fd);
	assert_int_equal(fd, -1);
	close_fd(&taken);
	assert_int_equal(taken, -1);
	char *p = strdup("x");
	_cleanup_free_ char *q = take_ptr(p);
	assert_null(p);
	assert_string_equal(q, "x");
}

static void sizes(void **state)
{
	static const struct {
		uint64_t n;
		const char *want;
	} t[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1.0K" }, { 102348, "99.9K" }, { 102400, "100K" }, { 1022976, "999K" },
		{ 1023488, "1.0M" }, { 47395635, "45.2M" }, { 141557760, "135M" }, { 1ull << 40, "1.0T" }, { UINT64_MAX, "16.0E" },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		_cleanup_buf_ struct buf b = { 0 };
		put_size(&b, t[i].n);
		assert_string_equal(buf_str(&b), t[i].want);
	}
}

static void programs_in_path(void **state UNUSED)
{
	char *old = getenv("PATH");
	_cleanup_free_ char *kept = old ? strdup(old) : NULL;
	setenv("PATH", "/nowhere::/bin:bin", 1);
	assert_true(in_path("sh"));
	assert_false(in_path("no-such-program"));
	/* folders are none, nor is what lies in a relative part */
	setenv("PATH", "/", 1);
	assert_false(in_path("bin"));
	setenv("PATH", "bin:", 1);
	assert_false(in_path("sh"));
	unsetenv("PATH");
	assert_true(in_path("sh"));
	if (kept)
		setenv("PATH", kept, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(sizes),
		cmocka_unit_test(reads_up_to_its_bound),
		cmocka_unit_test(replaces_files),
		cmocka_unit_test(replacing_fails_clean),
		cmocka_unit_test(writes_existing_files_only),
		cmocka_unit_test(makes_paths),
		cmocka_unit_test(removes_trees),
		cmocka_unit_test(follows_no_link),
		cmocka_unit_test(removes_deep_trees),
		cmocka_unit_test(removes_deep_trees_of_a_joker),
		cmocka_unit_test(stays_on_its_mount),
		cmocka_unit_test(moves_own),
		cmocka_unit_test(programs_in_path),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
