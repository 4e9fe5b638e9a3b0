/* What becomes dnsmasq: see dnsmasq_child.h.
 *
 * All that the host has mounted stays behind, podfs first of all: a mount that this process kept would be busy as long as it runs.
 * What it is given does not go before the host does. It is killed with podfs-net, since the next one starts one of its own.
 */
#include "runtime/net/dnsmasq_child.h"

#include "runtime/base/util.h"
#include "runtime/net/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ROOT "/mnt"  /* where its root is put together */
#define NAMES "/mnt" /* in there */
#define FILES 1024   /* it closes as many as it might have when it starts */
#define NOT_PREPARED 125

/* --- its root --- */

/* Of what it needs, the parts that are mounts of their own, in this order. resolv.conf is looked at again when it changes; it may be
 * a link into /run. */
static const struct part { const char *path; bool deep; } parts[] = {
	{ "/usr", true }, { "/lib", true }, { "/lib64", true }, { "/etc", false }, { "/dev", false }, { "/run", false },
	{ "/run/systemd/resolve", false }, { "/etc/resolv.conf", false },
};

static bool is_mount(const char *path)
{
	struct statx st;
	return !statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0, &st) &&
		(st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int keep(const struct part *p)
{
	char at[64];
	snprintf(at, sizeof at, ROOT "%s", p->path);
	return is_mount(p->path) && mount(p->path, at, NULL, MS_BIND | (p->deep ? MS_REC : 0), NULL) ? -errno : 0;
}

/* In this mount namespace: what belongs to another one cannot be bound. */
static int open_names(const char *run)
{
	char names[PATH_MAX];
	if (snprintf(names, sizeof names, "%s/names", run) >= (int)sizeof names)
		return -ENAMETOOLONG;
	int fd = open(names, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int put_together(const char *run)
{
	char names[32];
	_cleanup_close_ int fd = open_names(run);
	if (fd < 0)
		return fd;
	snprintf(names, sizeof names, "/proc/self/fd/%d", fd);
	if (mount("/", ROOT, NULL, MS_BIND, NULL) || mount(names, ROOT NAMES, NULL, MS_BIND, NULL))
		return -errno;
	int r = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts) && !r; i++)
		r = keep(&parts[i]);
	return r;
}

static int change_root(const char *run)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	int r = put_together(run);
	if (r || chdir(ROOT))
		return r ? r : -errno;
	/* The old root comes to lie over the new one, from where it is taken off. An initramfs cannot be changed like that. */
	if (syscall(SYS_pivot_root, ".", "."))
		return chroot(".") ? -errno : 0;
	return umount2(".", MNT_DETACH) || chdir("/") ? -errno : 0;
}

/* --- its rights --- */

static int keep_only(unsigned capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	caps[0].effective = caps[0].permitted = caps[0].inheritable = 1u << capability;
	if (syscall(SYS_capset, &head, caps))
		return -errno;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) ? -errno : 0;
}

/* Changing the user would clear the parent-death signal, so that comes last; who had no parent by then is killed by himself. */
static int become(const struct dnsmasq_child *c)
{
	bool low = c->port < 1024;
	if (low && prctl(PR_SET_KEEPCAPS, 1))
		return -errno;
	if (setgroups(0, NULL) || setgid(c->user->pw_gid) || setuid(c->user->pw_uid))
		return -errno;
	int r = low ? keep_only(CAP_NET_BIND_SERVICE) : 0;
	if (!r)
		r = set_death_signal(SIGKILL);
	if (r)
		return r;
	return getppid() == c->parent && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? 0 : -ESRCH;
}

static int take_descriptors(int says)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* libnftables' socket is not */
	return null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(says, 2) < 0 ? -errno : 0;
}

/* A name without a dot is a pod's or nobody's: the host's servers are not asked for it. One of these may be dnsmasq itself, by
 * the address where it serves the host: it looks for that. */
static void run_it(const struct dnsmasq_child *c)
{
	char interface[32], port[16];
	snprintf(interface, sizeof interface, "--interface=%s", c->bridge);
	snprintf(port, sizeof port, "--port=%u", c->port);
	const char *const argv[] = {
		"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--log-facility=-", interface, port,
		"--except-interface=lo", "--bind-dynamic", "--no-hosts", "--hostsdir=" NAMES, "--domain-needed", "--dns-loop-detect",
		NULL,
	};
	const struct rlimit files = { FILES, FILES };
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	execv(c->program, (char *const *)(uintptr_t)argv);
}

void dnsmasq_child(const struct dnsmasq_child *c)
{
	oom_restore();
	int r = take_descriptors(c->says);
	if (!r)
		r = change_root(c->run);
	if (!r)
		r = become(c);
	if (!r)
		run_it(c);
	dprintf(2, "%s: %s\n", c->program, strerror(r ? -r : errno));
	_exit(NOT_PREPARED);
}
