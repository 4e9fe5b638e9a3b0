/* Folders of a layer being unpacked: see beneath.h. */
#include "runtime/image/beneath.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static int open_beneath(int at, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_DIRECTORY | O_CLOEXEC,
		.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: somebody renamed something somewhere while a `..` of a link was resolved (openat2(2)). */
	for (int tries = 0;; tries++) {
		int fd = (int)syscall(SYS_openat2, at, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN || tries >= 1000)
			return fd < 0 ? -errno : fd;
	}
}

bool beneath_is_whiteout(int folder, const char *name)
{
	struct stat st;
	return !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

int beneath_set_opaque(int fd, struct err *e)
{
	return fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) ?
		err_sys(e, errno, "cannot mark a folder as opaque") : 0;
}

int beneath_mkdir(int folder, const char *name, mode_t mode, struct err *e)
{
	if (!mkdirat(folder, name, mode))
		return 0;
	if (errno != EEXIST)
		return err_sys(e, errno, "cannot make the folder");
	if (!beneath_is_whiteout(folder, name))
		return -EEXIST;
	if (unlinkat(folder, name, 0) || mkdirat(folder, name, mode))
		return err_sys(e, errno, "cannot make the folder");
	_cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the folder") : beneath_set_opaque(fd, e);
}

/* The layer is at fault, or the disk. */
static int refuse(const char *dir, int code, struct err *e)
{
	if (code == EXDEV)
		return err_set(e, EINVAL, "%.200s: a symbolic link on the way leads out of the layer", dir);
	if (code == ENOENT || code == ELOOP)
		return err_set(e, EINVAL, "%.200s: a symbolic link on the way leads nowhere", dir);
	if (code == ENOTDIR)
		return err_set(e, EINVAL, "%.200s: is no folder", dir);
	return err_sys(e, code, "%.200s: cannot open the folder", dir);
}

/* One step down from `from` to the part of path that ends at end. A link is resolved from the root, as it
 * may climb and come back. */
static int step(const struct beneath *b, int from, char *path, char *name, struct err *e)
{
	int fd = open_beneath(from, name, O_PATH, RESOLVE_NO_SYMLINKS);
	if (fd == -ENOENT || fd == -ENOTDIR) {
		int r = beneath_mkdir(from, name, 0755, e);
		if (r && r != -EEXIST)
			return r;
		fd = open_beneath(from, name, O_PATH, RESOLVE_NO_SYMLINKS);
	}
	if (fd == -ELOOP)
		fd = open_beneath(b->root, path, O_PATH, 0);
	return fd < 0 ? refuse(path, -fd, e) : fd;
}

static int make_folders(const struct beneath *b, const char *dir, struct err *e)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s", dir);
	_cleanup_close_ int at = open_beneath(b->root, ".", O_PATH, 0);
	for (char *name = path, *end; at >= 0 && name; name = end ? end + 1 : NULL) {
		end = strchr(name, '/');
		if (end)
			*end = 0;
		int next = step(b, at, path, name, e);
		close_fd(&at);
		at = next;
		if (end)
			*end = '/';
	}
	return take_fd(&at);
}

int beneath_folder(struct beneath *b, const char *dir, bool create, struct err *e)
{
	if (b->folder >= 0 && !strcmp(b->dir, dir))
		return b->folder;
	int fd = open_beneath(b->root, *dir ? dir : ".", O_PATH, 0);
	if ((fd == -ENOENT || fd == -ENOTDIR) && create)
		fd = make_folders(b, dir, e);
	else if (fd < 0)
		return refuse(dir, -fd, e);
	if (fd < 0)
		return fd;
	beneath_forget(b);
	b->folder = fd;
	snprintf(b->dir, sizeof b->dir, "%s", dir);
	return fd;
}

void beneath_forget(struct beneath *b)
{
	close_fd(&b->folder);
}
