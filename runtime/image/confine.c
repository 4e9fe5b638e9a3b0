/* The rights of podfs-image, given up: see confine.h. */
#include "runtime/image/confine.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* The store becomes all of the file system. `nodev`: it may make device nodes, and not open them. */
static int enter_store(struct disk *d, struct work *w, struct err *e)
{
	_cleanup_close_ int tree = open_tree(d->root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	/* The current folder is carried over into the new namespace, a descriptor is not. */
	if (tree < 0 || fchdir(d->root) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(tree) ||
	    syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/") ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return err_sys(e, errno, "cannot confine itself to the store");
	return disk_open_again(d, w, e);
}

/* On top of what it has: buffers, the JSON of an image, a zstd window of up to 32 MiB (RFC 8878 asks for 8). */
#define MEMORY ((rlim_t)64 << 20)

/* What it has, as RLIMIT_AS counts: the first word of statm, in pages (proc(5)). */
static int memory_now(rlim_t *out)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = read_file_at(AT_FDCWD, "/proc/self/statm", 4096, &b);
	if (!r)
		*out = strtoull(buf_str(&b), NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
	return r;
}

static int limit(int what, rlim_t most)
{
	struct rlimit l;
	if (getrlimit((__rlimit_resource_t)what, &l))
		return -errno;
	l.rlim_max = l.rlim_max < most ? l.rlim_max : most;
	l.rlim_cur = l.rlim_cur < l.rlim_max ? l.rlim_cur : l.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &l) ? -errno : 0;
}

static int set_limits(void)
{
	rlim_t now = 0;
	int r = memory_now(&now);
	if (!r && !SANITIZED)
		r = limit(RLIMIT_AS, now + MEMORY);
	if (!r)
		r = limit(RLIMIT_CORE, 0);
	return r ? r : limit(RLIMIT_NOFILE, 256);
}

/* What unpacking needs: any owner, mode, device and file capability, and trusted attributes (SYS_ADMIN). */
static int drop_capabilities(void)
{
	const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
			      1u << CAP_MKNOD | 1u << CAP_SYS_ADMIN | 1u << CAP_SETFCAP;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2];
	if (syscall(SYS_capget, &head, now))
		return -errno;
	struct __user_cap_data_struct less[2] = {
		{ .effective = now[0].permitted & keep, .permitted = now[0].permitted & keep },
	};
	return syscall(SYS_capset, &head, less) ? -errno : 0;
}

/* Everything else fails with ENOSYS, as on a kernel that lacks it: a newer C library then falls back to an older call,
 * where EPERM would be taken at its word and a signal would end imports with the library's next release. To
 * whoever broke in, no is no. Names that an architecture does not have are passed over. */
static const char *const allowed[] = {
	/* descriptors */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "_llseek", "close", "close_range", "dup", "dup3", "pipe2",
	"poll", "ppoll", "ppoll_time64", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2",
	"inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	/* a socket that it was started with: it can make none */
	"recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown",
	/* files */
	"openat", "openat2", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "fstatfs", "fstatfs64", "getdents64",
	"mkdirat", "mknodat", "symlinkat", "linkat", "unlinkat", "renameat", "renameat2", "readlinkat", "faccessat", "faccessat2",
	"fchown", "fchown32", "fchownat", "fchmod", "fchmodat", "utimensat", "utimensat_time64", "fchdir", "umask",
	"ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "syncfs", "sync_file_range", "sync_file_range2", "flock",
	"fsetxattr", "lsetxattr", "fgetxattr", "lgetxattr", "flistxattr", "fremovexattr",
	/* memory and time */
	"brk", "munmap", "mremap", "madvise", "futex", "futex_time64", "sched_yield", "getrandom",
	"clock_gettime", "clock_gettime64", "gettimeofday", "restart_syscall",
	/* processes: its own, by their pidfds */
	"exit", "exit_group", "wait4", "waitid", "pidfd_send_signal", "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid",
	"getegid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "set_robust_list", "rseq", "sched_getaffinity",
#if SANITIZED /* which looks for leaks from a process of its own, and says what it found */
	"ptrace", "prctl", "mmap", "mprotect", "open", "readlink", "ioctl", "sigaltstack", "tgkill", "kill", "prlimit64", "process_vm_readv",
	"personality", "uname", "arch_prctl", "msync", "mincore", "clock_nanosleep", "nanosleep", "getdents", "stat", "sysinfo",
	"sched_setaffinity", "fcntl", "fcntl64", "set_tid_address", "readahead", "access",
#endif
};

#define NEW_NAMESPACES                                                                                             \
	(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Allowed where one argument is so. F_SETOWN would signal anybody, and no page becomes code. */
static const struct {
	const char *name;
	unsigned arg;
	uint64_t mask, value;
} limited[] = {
	{ "clone", 0, NEW_NAMESPACES, 0 },
	{ "prctl", 0, ~0ull, PR_SET_PDEATHSIG },
	{ "mmap", 2, PROT_EXEC, 0 },
	{ "mmap2", 2, PROT_EXEC, 0 },
	{ "mprotect", 2, PROT_EXEC, 0 },
	{ "fcntl", 1, ~0ull, F_GETFD },
	{ "fcntl", 1, ~0ull, F_SETFD },
	{ "fcntl", 1, ~0ull, F_GETFL },
	{ "fcntl", 1, ~0ull, F_SETFL },
	{ "fcntl", 1, ~0ull, F_DUPFD_CLOEXEC },
	{ "fcntl64", 1, ~0ull, F_GETFD },
	{ "fcntl64", 1, ~0ull, F_SETFD },
	{ "fcntl64", 1, ~0ull, F_GETFL },
	{ "fcntl64", 1, ~0ull, F_SETFL },
	{ "fcntl64", 1, ~0ull, F_DUPFD_CLOEXEC },
};

static int add_rules(scmp_filter_ctx f)
{
	int r = 0;
	for (size_t i = 0; !r && i < ARRAY_LEN(allowed); i++) {
		int nr = seccomp_syscall_resolve_name(allowed[i]);
		r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);
	}
	for (size_t i = 0; !r && i < ARRAY_LEN(limited); i++) {
		struct scmp_arg_cmp arg = {
			.arg = limited[i].arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = limited[i].mask, .datum_b = limited[i].value,
		};
		int nr = seccomp_syscall_resolve_name(limited[i].name);
		r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 1, &arg);
	}
	return r;
}

/* Sets no_new_privs as well (seccomp_attr_set(3), SCMP_FLTATR_CTL_NNP). */
static int filter_calls(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = f ? seccomp_attr_set(f, SCMP_FLTATR_API_SYSRAWRC, 1) : -ENOMEM;
	if (!r)
		r = add_rules(f);
	if (!r)
		r = seccomp_load(f);
	seccomp_release(f);
	return r ? err_sys(e, -r, "cannot give up system calls (does the kernel have CONFIG_SECCOMP_FILTER?)") : 0;
}

int confine(struct disk *d, struct work *w, struct err *e)
{
	int r = set_limits();
	if (r)
		return err_sys(e, -r, "cannot limit itself");
	/* Sanitizers read /proc at the end. */
	r = SANITIZED ? 0 : enter_store(d, w, e);
	if (r)
		return r;
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC))
		return err_sys(e, errno, "cannot leave the network");
	r = drop_capabilities();
	return r ? err_sys(e, -r, "cannot drop its rights") : filter_calls(e);
}

/* mountinfo writes blanks and backslashes as octal digits (proc_pid_mountinfo(5)). */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; *to++ = *s++)
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			s[3] = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		}
	*to = 0;
}

/* A namespace that keeps podfs mounted would keep its server too, which a pull ends with. */
static int leave_podfs(void)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		char *point = NULL;
		if (!strstr(line, " - fuse.podfs ") || sscanf(line, "%*s %*s %*s %*s %ms", &point) != 1)
			continue;
		unescape(point);
		umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW);
		free(point);
	}
	return 0;
}

int shield(struct disk *d, const char *state, struct err *e)
{
	struct mount_attr closed = {
		.attr_set = MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	};
	if (SANITIZED) /* enter_store would not take it off again */
		return 0;
	_cleanup_close_ int tree = open_tree(d->root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 || fchdir(d->root) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
	    mount_setattr(tree, "", AT_EMPTY_PATH, &closed, sizeof closed) ||
	    move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) || chdir("/") || leave_podfs())
		return err_sys(e, errno, "cannot close the store to links and devices");
	disk_close(d);
	return disk_open(state, d, e);
}
