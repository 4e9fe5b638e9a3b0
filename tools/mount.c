/* The mount of the tree: see mount.h. */
#include "tools/mount.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Which mount a path is on. Asks no file system, so a server that hangs delays nobody here. */
static uint64_t mount_id(const char *path)
{
	struct statx st;
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) ||
	    !(st.stx_mask & STATX_MNT_ID))
		return 0;
	return st.stx_mnt_id;
}

/* proc(5), mountinfo: the id is the first field, the type the first one behind " - ". */
bool mount_is_ours(uint64_t id)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	while (f && getline(&line, &cap, f) > 0) {
		const char *type = strstr(line, " - ");
		if (strtoull(line, NULL, 10) == id)
			return type && !strncmp(type + 3, FS_TYPE " ", sizeof FS_TYPE);
	}
	return false;
}

bool mount_listed(const struct mount *m)
{
	_cleanup_file_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	char dev[sizeof m->dev];
	while (f && getline(&line, &cap, f) > 0)
		if (sscanf(line, "%*u %*u %23s", dev) == 1 && !strcmp(dev, m->dev))
			return true;
	return !f || !*m->dev; /* not known: then it is */
}

static void note_device(struct mount *m)
{
	struct statx st;
	if (!statx(AT_FDCWD, m->path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st))
		snprintf(m->dev, sizeof m->dev, "%u:%u", st.stx_dev_major, st.stx_dev_minor);
}

static int check_place(const char *path, struct err *e)
{
	struct stat st;
	if (stat(path, &st))
		return err_sys(e, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "%s", path);
	return mount_is_ours(mount_id(path)) ? err_set(e, EBUSY, "%s: podfs is already mounted there", path) : 0;
}

/* Its server is no more. A call that was under way when it went says ECONNABORTED, each after that ENOTCONN. */
static bool is_dead(const char *path)
{
	struct stat st;
	int r = stat(path, &st) ? errno : 0;
	if (r == ECONNABORTED)
		r = stat(path, &st) ? errno : 0;
	return r == ENOTCONN;
}

int mount_prepare(struct mount *m, const char *mountpoint, struct err *e)
{
	*m = (struct mount){ .fd = -1 };
	m->path = realpath(mountpoint, NULL);
	if (!m->path)
		return err_sys(e, errno, "%s", mountpoint);
	/* Another may lie below it. */
	while (is_dead(m->path) && mount_is_ours(mount_id(m->path))) {
		if (umount2(m->path, MNT_DETACH))
			return err_sys(e, errno, "%s: a dead podfs mount is there and cannot be detached", m->path);
		fprintf(stderr, "podfs: %s: detached the mount of a server that has died\n", m->path);
	}
	return check_place(m->path, e);
}

int mount_do(struct mount *m, const char *source, unsigned long flags, const char *data, struct err *e)
{
	_cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "/dev/fuse");
	_cleanup_buf_ struct buf text = { 0 };
	buf_printf(&text, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other%s", fd, geteuid(),
		   getegid(), data);
	if (buf_status(&text))
		return -ENOMEM;
	if (mount(source, m->path, FS_TYPE, flags, buf_str(&text)))
		return err_sys(e, errno, "%s: mount", m->path);
	m->id = mount_id(m->path);
	note_device(m);
	m->fd = take_fd(&fd);
	return 0;
}

bool mount_undo(struct mount *m)
{
	if (!m->id || mount_id(m->path) != m->id)
		return true;
	m->id = 0;
	if (!umount2(m->path, 0))
		return true;
	umount2(m->path, MNT_DETACH);
	return false;
}

/* fs/fuse/dev.c: poll of a descriptor whose connection has ended is an error. */
bool mount_gone(const struct mount *m)
{
	struct pollfd p = { .fd = m->fd };
	return m->fd < 0 || (poll(&p, 1, 0) > 0 && (p.revents & POLLERR));
}

void mount_free(struct mount *m)
{
	close_fd(&m->fd);
	free(take_ptr(m->path));
}
