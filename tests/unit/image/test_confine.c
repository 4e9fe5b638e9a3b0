/* What a confined importer can still do, and what not, tried from inside. Needs root. */
#include "tests/unit/unit.h"

#include "runtime/base/util.h"
#include "runtime/image/confine.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true /* it keeps the file system, and may do a few things more */
#else
#define SANITIZED false
#endif

/* In a child: says what does not hold, and ends. */
#define MUST(x)                                                          \
	do {                                                             \
		if (!(x)) {                                              \
			fprintf(stderr, "%s (errno %d)\n", #x, errno);   \
			_exit(1);                                        \
		}                                                        \
	} while (0)
#define REFUSED(x) MUST((x) < 0 && errno == ENOSYS)

static char dir[] = "/tmp/podfs-test-confine-XXXXXX";
static int pair[2]; /* a socket that the child is started with */

static int make_dir(void **state UNUSED)
{
	return geteuid() || (mkdtemp(dir) && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) ? 0 : -1;
}

static int drop_dir(void **state UNUSED)
{
	return remove_tree_at(AT_FDCWD, dir);
}

typedef void inside_fn(struct disk *d, struct work *w);

/* fn in a child that holds what an unpacker holds, confined. */
static void confined(inside_fn *fn)
{
	if (geteuid())
		skip();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct disk d;
		struct work w = { .fd = -1 };
		struct err e = { 0 };
		MUST(!disk_open(dir, &d, &e) && !work_open(&d, &w, &e));
		if (confine(&d, &w, &e)) {
			fprintf(stderr, "%s\n", e.text);
			_exit(1);
		}
		fn(&d, &w);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void look_for_a_way_out(struct disk *d, struct work *w)
{
	const int at[] = { AT_FDCWD, d->root, d->layers, d->refs, d->tmp, w->fd };
	struct stat root, st;
	MUST(!stat("/", &root));
	EACH(at, i) {
		char path[] = "../../../../../../../../../../../../../../../../..";
		MUST(openat(at[i], "/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
		MUST(!fstatat(at[i], path, &st, 0) && st.st_ino == root.st_ino && st.st_dev == root.st_dev);
	}
	MUST(!fstat(d->root, &st) && st.st_ino == root.st_ino);
	MUST(openat(AT_FDCWD, "/proc/self/root", O_PATH | O_CLOEXEC) < 0);
	/* Nor by a descriptor that was left over. */
	for (int fd = 3; fd < 100; fd++)
		if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
			MUST(!fstatat(fd, "../../../../../..", &st, 0) && st.st_ino == root.st_ino);
}

static void the_store_is_all_there_is(void **state UNUSED)
{
	if (SANITIZED)
		skip();
	confined(look_for_a_way_out);
}

static void try_the_forbidden(struct disk *d, struct work *w UNUSED)
{
	char *const none[] = { NULL };
	REFUSED(socket(AF_INET, SOCK_STREAM, 0));
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
	REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	REFUSED(unshare(CLONE_NEWUSER));
	REFUSED(setns(d->root, 0));
	REFUSED(mount("x", "/", "tmpfs", 0, NULL));
	REFUSED(umount2("/", MNT_DETACH));
	REFUSED(chroot("layers"));
	REFUSED(execve("/layers", none, none));
	REFUSED(setuid(1));
	if (SANITIZED)
		return;
	REFUSED(fcntl(0, F_SETOWN, 1));
	REFUSED(ptrace(PTRACE_ATTACH, 1, 0, 0));
	REFUSED(kill(getppid(), 0));
	REFUSED(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

static void what_unpacking_does_not_take_is_refused(void **state UNUSED)
{
	confined(try_the_forbidden);
}

static void open_a_device(struct disk *d UNUSED, struct work *w)
{
	MUST(!mknodat(w->fd, "zero", S_IFCHR | 0600, makedev(1, 5)));
	MUST(openat(w->fd, "zero", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

static void a_device_can_be_made_and_not_opened(void **state UNUSED)
{
	if (SANITIZED)
		skip();
	confined(open_a_device);
}

static void unpack_something(struct disk *d, struct work *w)
{
	const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };
	struct stat st;
	char byte;
	MUST(!mkdirat(w->fd, "d", 0755));
	int folder = openat(w->fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(folder, "f", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 04755);
	MUST(folder >= 0 && fd >= 0 && write(fd, "text", 4) == 4 && lseek(fd, 0, SEEK_SET) == 0 && read(fd, &byte, 1) == 1);
	MUST(!fchown(fd, 7, 8) && !fchmod(fd, 06755) && !futimens(fd, times) && !fstat(fd, &st));
	MUST(st.st_uid == 7 && st.st_gid == 8 && (st.st_mode & 07777) == 06755 && st.st_mtim.tv_sec == 3);
	MUST(!ftruncate(fd, 100000) && !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	MUST(!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) && !fsync(fd) && !syncfs(fd));
	MUST(!fsetxattr(folder, "trusted.overlay.opaque", "y", 1, 0) && fgetxattr(folder, "trusted.overlay.opaque", &byte, 1) == 1);
	MUST(!symlinkat("x", folder, "s") && !linkat(folder, "f", folder, "h", 0) && !unlinkat(folder, "f", 0));
	MUST(!fchownat(folder, "s", 1, 1, AT_SYMLINK_NOFOLLOW) && !utimensat(folder, "s", times, AT_SYMLINK_NOFOLLOW));
	MUST(!mknodat(folder, "w", S_IFCHR, 0) && !mknodat(folder, "p", S_IFIFO | 0600, 0));
	MUST(!renameat2(w->fd, "d", d->layers, "d", RENAME_NOREPLACE) && !flock(d->lock, LOCK_SH));
	MUST(!remove_tree_at(d->layers, "d"));
}

static void unpacking_works(void **state UNUSED)
{
	confined(unpack_something);
}

static void use_what_it_was_started_with(struct disk *d UNUSED, struct work *w)
{
	char byte = 'x';
	MUST(write(pair[0], &byte, 1) == 1 && recv(pair[1], &byte, 1, 0) == 1 && send(pair[1], &byte, 1, 0) == 1);
	pid_t pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(prctl(PR_SET_PDEATHSIG, SIGKILL) ? 1 : 7);
	int status, more = eventfd(0, EFD_CLOEXEC), watch = inotify_init1(IN_CLOEXEC);
	MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
	MUST(more >= 0 && watch >= 0 && !eventfd_write(more, 1));
	MUST(openat(w->fd, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0);
}

static void pipes_sockets_and_children_work(void **state UNUSED)
{
	confined(use_what_it_was_started_with);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_store_is_all_there_is),
		cmocka_unit_test(what_unpacking_does_not_take_is_refused),
		cmocka_unit_test(a_device_can_be_made_and_not_opened),
		cmocka_unit_test(unpacking_works),
		cmocka_unit_test(pipes_sockets_and_children_work),
	};
	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
