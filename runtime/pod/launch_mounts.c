/* What a container finds mounted: proc, sys, dev, shm, mqueue, etc files, and what is hidden from it.
 *
 * Child side, before pivot_root. Every mount is made detached, then attached to a descriptor that was
 * found beneath the root: a link of the image can lead it to another place in the image, never out, and
 * what lies in proc, sys and dev is reached by those mounts' own descriptors, not by path.
 *
 * Lists: Docker's (moby, daemon/pkg/oci/defaults.go). Everything that can be written is nodev: the
 * capability to make a device node opens none.
 */
#include "runtime/pod/launch.h"
#include "runtime/pod/mount_api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CLOSED (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* key=value pairs end with NULL. A detached mount, or -errno. */
static int new_fs(const char *type, unsigned attr, const char *const *options)
{
	_cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	for (; options && *options; options += 2)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0))
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	return fd < 0 ? -errno : fd;
}

static int clone_of(int at, const char *path)
{
	int fd = open_tree(at, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return fd < 0 ? -errno : fd;
}

/* Of a device of the host: it can be used, but its mode and owner are not the container's to change. */
static int clone_device(int at, const char *path)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC };
	int fd = clone_of(at, path);
	if (fd < 0 || !mount_setattr(fd, "", AT_EMPTY_PATH, &ro, sizeof ro))
		return fd;
	int r = -errno;
	close(fd);
	return r;
}

static int attach(int what, int where)
{
	return move_mount(what, "", where, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ? -errno : 0;
}

/* what is consumed unless it is kept open for more to come. */
static int attach_beneath(struct launch *l, int what, const char *path, bool folder)
{
	if (what < 0)
		return what;
	_cleanup_close_ int where = beneath_make(l->root, path, folder);
	return where < 0 ? where : attach(what, where);
}

/* dir/name, a folder of ours that no image has written to. */
static int attach_in(int what, int dir, const char *name)
{
	if (what < 0)
		return what;
	if (mkdirat(dir, name, 0755) && errno != EEXIST)
		return -errno;
	return move_mount(what, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH) ? -errno : 0;
}

/* --- /proc and /sys --- */

static int read_only_path(int fs, const char *path)
{
	_cleanup_close_ int where = openat(fs, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (where < 0)
		return errno == ENOENT ? 0 : -errno;
	_cleanup_close_ int tree = clone_of(where, "");
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	if (tree < 0)
		return tree;
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &ro, sizeof ro))
		return -errno;
	return attach(tree, where);
}

struct mask {
	int null;  /* the host's /dev/null */
	int empty; /* an empty read-only folder, made when first needed; -1: not yet */
};

static int mask_folder(struct mask *m, int where)
{
	static const char *const options[] = { "nr_inodes", "1", "mode", "755", NULL };
	if (m->empty < 0) {
		m->empty = new_fs("tmpfs", CLOSED | MOUNT_ATTR_RDONLY, options);
		return m->empty < 0 ? m->empty : attach(m->empty, where);
	}
	_cleanup_close_ int again = clone_of(m->empty, "");
	return again < 0 ? again : attach(again, where);
}

static int mask_path(struct mask *m, int fs, const char *path)
{
	struct stat st;
	_cleanup_close_ int where = openat(fs, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (where < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(where, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return mask_folder(m, where);
	_cleanup_close_ int null = clone_device(m->null, "");
	return null < 0 ? null : attach(null, where);
}

static int each(const char *const *paths, int fs, struct mask *m, const char *what, struct err *e)
{
	for (; *paths; paths++) {
		int r = m ? mask_path(m, fs, *paths) : read_only_path(fs, *paths);
		if (r)
			return err_sys(e, -r, "%s/%s", what, *paths);
	}
	return 0;
}

static int mount_proc(struct launch *l, struct mask *m, struct err *e)
{
	static const char *const masked[] = {
		"acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list",
		"timer_stats", NULL,
	};
	static const char *const read_only[] = { "bus", "fs", "irq", "sys", "sysrq-trigger", NULL };
	_cleanup_close_ int proc = new_fs("proc", CLOSED, NULL);
	int r = attach_beneath(l, proc, "/proc", true);
	if (r)
		return err_sys(e, -r, "/proc");
	r = each(masked, proc, m, "/proc", e);
	return r ? r : each(read_only, proc, NULL, "/proc", e);
}

static int mount_sys(struct launch *l, struct mask *m, struct err *e)
{
	static const char *const masked[] = { "firmware", "devices/virtual/powercap", NULL };
	_cleanup_close_ int sys = new_fs("sysfs", CLOSED | MOUNT_ATTR_RDONLY, NULL);
	int r = attach_beneath(l, sys, "/sys", true);
	if (r)
		return err_sys(e, -r, "/sys");
	if (wire_get_u64(&l->plan, K_CGVERSION, 0) == 2) {
		_cleanup_close_ int cg = new_fs("cgroup2", CLOSED | MOUNT_ATTR_RDONLY, NULL);
		r = cg < 0 ? cg : move_mount(cg, "", sys, "fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH) ? -errno : 0;
		if (r)
			return err_sys(e, -r, "/sys/fs/cgroup");
	}
	return each(masked, sys, m, "/sys", e);
}

/* --- /dev --- */

static int device(int dev, const char *name)
{
	char host[32];
	snprintf(host, sizeof host, "/dev/%s", name);
	_cleanup_close_ int node = clone_device(AT_FDCWD, host);
	_cleanup_close_ int where = openat(dev, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (node < 0 || where < 0)
		return node < 0 ? node : -errno;
	return attach(node, where);
}

static int devices(int dev, struct err *e)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" },
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int r = device(dev, names[i]);
		if (r)
			return err_sys(e, -r, "/dev/%s", names[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlinkat(links[i][0], dev, links[i][1]))
			return err_sys(e, errno, "/dev/%s", links[i][1]);
	return 0;
}

static int mount_dev(struct launch *l, struct err *e)
{
	static const char *const dev_options[] = { "mode", "755", "size", "64m", NULL };
	static const char *const pts_options[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL }; /* Debian's tty */
	_cleanup_close_ int dev = new_fs("tmpfs", CLOSED, dev_options);
	int r = attach_beneath(l, dev, "/dev", true);
	if (r)
		return err_sys(e, -r, "/dev");
	_cleanup_close_ int pts = new_fs("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts_options);
	_cleanup_close_ int mqueue = new_fs("mqueue", CLOSED, NULL);
	if ((r = attach_in(pts, dev, "pts")))
		return err_sys(e, -r, "/dev/pts");
	if ((r = attach_in(l->shm, dev, "shm")))
		return err_sys(e, -r, "/dev/shm");
	if ((r = attach_in(mqueue, dev, "mqueue")) && r != -ENODEV && r != -ENOENT) /* a kernel without them */
		return err_sys(e, -r, "/dev/mqueue");
	return devices(dev, e);
}

/* --- /etc --- */

static int mount_etc(struct launch *l, struct err *e)
{
	static const char *const names[] = { "hostname", "hosts", "resolv.conf" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[32];
		snprintf(path, sizeof path, "/etc/%s", names[i]);
		_cleanup_close_ int file = clone_of(l->dir, path + 1);
		int r = attach_beneath(l, file, path, false);
		if (r)
			return err_sys(e, -r, "%s", path);
	}
	return 0;
}

int launch_mounts(struct launch *l, struct err *e)
{
	struct mask m = { .null = open("/dev/null", O_PATH | O_CLOEXEC), .empty = -1 };
	if (m.null < 0)
		return err_sys(e, errno, "/dev/null");
	int r = mount_proc(l, &m, e);
	if (!r)
		r = mount_sys(l, &m, e);
	if (!r)
		r = mount_dev(l, e);
	return r ? r : mount_etc(l, e);
}
