/* One inode of a layer: see node.h. */
#include "runtime/image/node.h"

#include "runtime/base/util.h"
#include "runtime/image/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define WRITE_BACK (512 * 1024) /* bytes of one file that are worth a call of their own */

/* One system call that makes the inode: what it returned, -1 with errno. */
typedef int make_fn(const struct node_in *n, const struct tar_entry *te);

/* Makes it, in place of what an earlier entry made under that name. */
static int make(const struct node_in *n, make_fn *fn, const struct tar_entry *te, struct err *e)
{
	int made = fn(n, te);
	if (made < 0 && errno == EEXIST) {
		*n->replaced = true;
		int r = remove_tree_at(n->folder, n->name);
		if (r)
			return err_sys(e, -r, "cannot replace what an earlier entry made");
		made = fn(n, te);
	}
	return made < 0 ? err_sys(e, errno, "cannot make it") : made;
}

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Which attributes an image may bring: file capabilities, ACLs and the user's own. Those of security
 * modules and of other parties' trusted ones belong to the host that made the image and are left out;
 * those of overlayfs would let a layer point anywhere and are refused. */
static int xattr_wanted(const char *name, mode_t type, bool *wanted, struct err *e)
{
	if (has_prefix(name, "trusted.overlay."))
		return err_set(e, EINVAL, "it carries overlayfs' own attribute %.100s", name);
	*wanted = !strcmp(name, "security.capability") || !strcmp(name, "system.posix_acl_access") ||
		  !strcmp(name, "system.posix_acl_default");
	/* xattr(7): user attributes are for files and folders only. */
	if (has_prefix(name, "user.") && !has_prefix(name, "user.overlay."))
		*wanted = type == S_IFREG || type == S_IFDIR;
	return 0;
}

static int set_xattr(int fd, const char *path, const char *name, const void *value, size_t len, struct err *e)
{
	int r = path ? lsetxattr(path, name, value, len, 0) : fsetxattr(fd, name, value, len, 0);
	if (!r || (errno == ENOTSUP && has_prefix(name, "user.")))
		return 0;
	return err_sys(e, errno, "cannot set the attribute %.100s", name);
}

/* On fd, or on path in the current folder. any: set when there was one to set. */
static int set_xattrs(int fd, const char *path, struct tar *t, mode_t type, bool *any, struct err *e)
{
	const char *name;
	const void *value;
	size_t len;
	while (tar_xattr(t, &name, &value, &len)) {
		bool wanted = false;
		int r = xattr_wanted(name, type, &wanted, e);
		if (!r && wanted)
			r = set_xattr(fd, path, name, value, len, e);
		if (r)
			return r;
		*any |= wanted;
	}
	return 0;
}

/* chown(2) has 2^32-1 for "leave it". */
static int check_owner(const struct tar_entry *te, struct err *e)
{
	if (te->uid < 0 || te->gid < 0 || te->uid >= UINT32_MAX || te->gid >= UINT32_MAX)
		return err_set(e, EINVAL, "no such owner: %lld:%lld", (long long)te->uid, (long long)te->gid);
	return 0;
}

/* Most things come with the right owner and mode: asking costs less than setting. Owner first: changing it clears
 * capabilities and set-id bits (chown(2)). An ACL changes the mode. */
static int set_open(int fd, struct tar *t, const struct tar_entry *te, ino_t *ino, struct err *e)
{
	struct stat st;
	bool any = false;
	if (fstat(fd, &st))
		return err_sys(e, errno, "cannot look at it");
	*ino = st.st_ino;
	bool owned = st.st_uid == (uid_t)te->uid && st.st_gid == (gid_t)te->gid;
	if (!owned && fchown(fd, (uid_t)te->uid, (gid_t)te->gid))
		return err_sys(e, errno, "cannot set the owner");
	int r = set_xattrs(fd, NULL, t, te->type, &any, e);
	bool right = (st.st_mode & 07777) == te->perm && !any && (owned || !(te->perm & (S_ISUID | S_ISGID)));
	if (r || right)
		return r;
	return fchmod(fd, te->perm) ? err_sys(e, errno, "cannot set the mode") : 0;
}

static int set_time(const struct node_in *n, const struct tar_entry *te, struct err *e)
{
	struct timespec times[2] = { te->mtime, te->mtime };
	return utimensat(n->folder, n->name, times, AT_SYMLINK_NOFOLLOW) ?
		err_sys(e, errno, "cannot set the time") : 0;
}

/* What cannot be opened is reached by its name in its folder; lsetxattr has no *at form. */
static int set_named(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e)
{
	if (fchownat(n->folder, n->name, (uid_t)te->uid, (gid_t)te->gid, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, errno, "cannot set the owner");
	if (fchdir(n->folder))
		return err_sys(e, errno, "cannot enter the folder");
	bool any = false;
	int r = set_xattrs(-1, n->name, t, te->type, &any, e);
	if (r)
		return r;
	if (te->type != S_IFLNK && fchmodat(n->folder, n->name, te->perm, 0))
		return err_sys(e, errno, "cannot set the mode");
	return set_time(n, te, e);
}

/* The disk begins to write what is large while the rest is unpacked: the sync at the end is then short. Small files
 * are left to the kernel, which writes many of them at once. */
static void write_back(int fd, uint64_t end, uint64_t *begun)
{
	if (end - *begun < WRITE_BACK)
		return;
	sync_file_range(fd, (off_t)*begun, (off_t)(end - *begun), SYNC_FILE_RANGE_WRITE);
	*begun = end;
}

static int write_data(int fd, struct tar *t, const struct tar_entry *te, struct err *e)
{
	const void *p;
	size_t len;
	uint64_t off, end = 0, begun = 0;
	int r;
	while ((r = tar_data(t, &p, &len, &off, e)) > 0) {
		/* libarchive takes maps of holes as they come. */
		if (off < end || off + len > te->size)
			return err_set(e, EINVAL, "its parts overlap, or lie beyond its end");
		if (off != end && lseek(fd, (off_t)off, SEEK_SET) < 0)
			return err_sys(e, errno, "cannot write");
		r = write_all(fd, p, len);
		if (r)
			return err_sys(e, -r, "cannot write");
		end = off + len;
		write_back(fd, end, &begun);
	}
	if (!r && end < te->size && ftruncate(fd, (off_t)te->size))
		return err_sys(e, errno, "cannot write %llu bytes", (unsigned long long)te->size);
	return r;
}

static int make_file(const struct node_in *n, const struct tar_entry *te)
{
	return openat(n->folder, n->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, te->perm);
}

int node_file(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e)
{
	const struct timespec times[2] = { te->mtime, te->mtime };
	ino_t ino;
	int r = check_owner(te, e);
	if (r)
		return r;
	_cleanup_close_ int fd = make(n, make_file, te, e);
	if (fd < 0)
		return fd;
	r = write_data(fd, t, te, e);
	if (!r)
		r = set_open(fd, t, te, &ino, e);
	if (!r && futimens(fd, times))
		r = err_sys(e, errno, "cannot set the time");
	return r;
}

static int make_symlink(const struct node_in *n, const struct tar_entry *te)
{
	return symlinkat(te->link, n->folder, n->name);
}

int node_symlink(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e)
{
	if (!te->link || !*te->link)
		return err_set(e, EINVAL, "a symbolic link to nothing");
	int r = check_owner(te, e);
	if (!r)
		r = make(n, make_symlink, te, e);
	return r ? r : set_named(n, t, te, e);
}

static int make_special(const struct node_in *n, const struct tar_entry *te)
{
	return mknodat(n->folder, n->name, te->type | 0600, te->dev);
}

int node_special(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e)
{
	/* It would hide a file of the layers below without saying so. */
	if (te->type == S_IFCHR && te->dev == 0)
		return err_set(e, EINVAL, "a 0:0 character device, overlayfs' mark for a removed file");
	int r = check_owner(te, e);
	if (!r)
		r = make(n, make_special, te, e);
	return r ? r : set_named(n, t, te, e);
}

static int make_whiteout(const struct node_in *n, const struct tar_entry *te UNUSED)
{
	return mknodat(n->folder, n->name, S_IFCHR, 0);
}

int node_whiteout(const struct node_in *n, struct err *e)
{
	return make(n, make_whiteout, NULL, e);
}

int node_link(const struct node_in *n, int folder, const char *name, struct err *e)
{
	struct stat target, there;
	if (fstatat(folder, name, &target, AT_SYMLINK_NOFOLLOW) || beneath_is_whiteout(folder, name))
		return err_set(e, EINVAL, "a hard link to something that is not in the layer");
	if (S_ISDIR(target.st_mode))
		return err_set(e, EINVAL, "a hard link to a folder");
	if (!linkat(folder, name, n->folder, n->name, 0))
		return 0;
	if (errno != EEXIST || fstatat(n->folder, n->name, &there, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, errno, "cannot make the hard link");
	if (there.st_ino == target.st_ino)
		return 0;
	*n->replaced = true;
	int r = remove_tree_at(n->folder, n->name);
	if (!r && linkat(folder, name, n->folder, n->name, 0))
		r = -errno;
	return r ? err_sys(e, -r, "cannot replace what an earlier entry made") : 0;
}

int node_set_folder(int fd, struct tar *t, const struct tar_entry *te, ino_t *ino, struct err *e)
{
	int r = check_owner(te, e);
	return r ? r : set_open(fd, t, te, ino, e);
}

/* beneath_mkdir in place of what is there and is no folder. */
static int make_folder(const struct node_in *n, mode_t perm, struct err *e)
{
	struct stat st;
	int r = beneath_mkdir(n->folder, n->name, perm, e);
	if (r != -EEXIST)
		return r;
	if (fstatat(n->folder, n->name, &st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, errno, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return 0;
	*n->replaced = true;
	if (unlinkat(n->folder, n->name, 0))
		return err_sys(e, errno, "cannot replace what an earlier entry made");
	return beneath_mkdir(n->folder, n->name, perm, e);
}

int node_folder(const struct node_in *n, struct tar *t, const struct tar_entry *te, ino_t *ino, struct err *e)
{
	int r = make_folder(n, te->perm, e);
	if (r)
		return r;
	_cleanup_close_ int fd = openat(n->folder, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the folder") : node_set_folder(fd, t, te, ino, e);
}
