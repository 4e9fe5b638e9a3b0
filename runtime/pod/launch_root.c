/* The container's root: an overlay of the image's layers under a fresh upper layer.
 *
 * Child side. Owns the run's folder STATE/pods/UID/c/NAME/N. Layers are named by descriptors, so
 * their paths need no escaping and the option text stays short.
 */
#include "runtime/pod/launch.h"
#include "runtime/pod/mount_api.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OPTIONS_MAX 4096 /* mount(2): one page */

/* A mount namespace of our own, with a clone of the reaper's root in hand: that can be made only from within
 * the reaper's namespace. */
static int new_namespace(struct launch *l, struct err *e)
{
	if (setns(l->shm, CLONE_NEWNS))
		return err_sys(e, errno, "reaper's mount namespace");
	int shm = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (shm < 0)
		return err_sys(e, errno, "/dev/shm");
	if (setns(l->pod->self, CLONE_NEWNS) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_sys(e, errno, "mount namespace");
	l->shm = shm;
	/* By path: podfs-pod's own descriptor leads into the host's mount namespace, and mounts of that can't be used here. */
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/pods/%s", l->pod->state, l->pod->uid);
	l->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return l->dir < 0 ? err_sys(e, errno, "%s", path) : 0;
}

static int make_dir(int at, const char *name)
{
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return -errno;
	int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Opens each layer once: an image may name one twice (the empty one), overlayfs refuses that, and
 * the lower of two equal layers adds nothing that the upper does not have. */
static bool seen_before(const struct wire_in *plan, unsigned i)
{
	const char *dir = plan_nth(plan, K_LAYER, i), *other;
	for (unsigned k = 0; k < i && (other = plan_nth(plan, K_LAYER, k)); k++)
		if (!strcmp(dir, other))
			return true;
	return false;
}

/* containers-transports(5), `dir`: an image as files side by side. Its `version` begins "Directory Transport Version". */
static bool is_transport(int dir)
{
	static const char begins[] = "Directory Transport Version";
	char text[sizeof begins - 1];
	_cleanup_close_ int fd = openat(dir, "version", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && !faccessat(dir, "manifest.json", F_OK, AT_SYMLINK_NOFOLLOW) &&
	       read(fd, text, sizeof text) == sizeof text && !memcmp(text, begins, sizeof text);
}

static int open_layers(struct launch *l, struct buf *options, struct stat *top, struct err *e)
{
	const char *dir;
	bool folder = !wire_get_u64(&l->plan, K_HOLD, 0); /* that somebody named, not of the store */
	buf_puts(options, "volatile,lowerdir=");
	for (unsigned i = 0; (dir = plan_nth(&l->plan, K_LAYER, i)); i++) {
		if (seen_before(&l->plan, i))
			continue;
		int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC | (folder ? 0 : O_NOFOLLOW));
		if (fd < 0 || (!i && fstat(fd, top)))
			return err_sys(e, errno, "layer %s", dir);
		if (folder && is_transport(fd))
			return err_set(e, EMEDIUMTYPE, "%s holds an image of the dir transport, not a root file system", dir);
		buf_printf(options, i ? ":%d" : "%d", fd);
	}
	if (!plan_nth(&l->plan, K_LAYER, 0))
		return err_set(e, EINVAL, "the image has no layers");
	/* Without it nothing is missing but time: what the image lacks is made in the upper layer. */
	char skeleton[PATH_MAX];
	snprintf(skeleton, sizeof skeleton, "%s/" SKELETON, l->pod->state);
	int fd = open(skeleton, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		buf_printf(options, ":%d", fd);
	return 0;
}

/* An overlay's root has the upper layer's owner and mode. */
static int like_top(int upper, const struct stat *top, struct err *e)
{
	_cleanup_close_ int fd = openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fchown(fd, top->st_uid, top->st_gid) || fchmod(fd, top->st_mode & 07777))
		return err_sys(e, errno, "upper layer");
	return 0;
}

static int make_run(struct launch *l, char name[16], struct buf *options, const struct stat *top, struct err *e)
{
	int all = make_dir(l->dir, "c");
	int mine = all < 0 ? all : make_dir(all, l->container);
	snprintf(name, 16, "%u", l->run);
	int run = mine < 0 ? mine : make_dir(mine, name);
	int upper = run < 0 ? run : make_dir(run, "upper");
	int work = upper < 0 ? upper : make_dir(run, "work");
	if (work < 0)
		return err_sys(e, -work, "c/%s/%s", l->container, name);
	buf_printf(options, ",upperdir=%d,workdir=%d", upper, work);
	int r = like_top(upper, top, e);
	return r ? r : mine;
}

/* `volatile`: no run outlives the machine, as each start has a fresh upper layer, so nothing in it needs to reach the
 * disk; without it an unmount would sync the whole file system that the layers lie on. */
int launch_root(struct launch *l, struct err *e)
{
	_cleanup_buf_ struct buf options = { 0 };
	struct stat top = { 0 };
	char name[16], target[32];
	int r = new_namespace(l, e);
	if (!r)
		r = open_layers(l, &options, &top, e);
	if (r)
		return r;
	int mine = make_run(l, name, &options, &top, e);
	if (mine < 0)
		return mine;
	if (buf_status(&options) || options.len >= OPTIONS_MAX)
		return err_set(e, E2BIG, "the image has too many layers");
	/* On top of the run's own folder, which nobody else sees in this namespace. */
	snprintf(target, sizeof target, "%d/%s", mine, name);
	if (chdir("/proc/self/fd") || mount("overlay", target, "overlay", MS_NODEV, options.data))
		return err_sys(e, errno, "overlay on %s/c/%s", l->pod->uid, l->container);
	l->root = openat(mine, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return l->root < 0 ? err_sys(e, errno, "overlay") : 0;
}

int launch_pivot(struct launch *l, struct err *e)
{
	/* pivot_root(2), notes: with "." twice the old root lies on top of the new one. */
	if (fchdir(l->root) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return err_sys(e, errno, "pivot_root");
	l->give = l->root;
	return 0;
}
