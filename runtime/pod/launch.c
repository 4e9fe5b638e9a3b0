/* The child's stages, in order: see launch.h. */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LOOKUPS_MAX 10000 /* on a busy host a few are lost, not thousands */

struct stage {
	const char *name; /* before the sentence of a failure; NULL: the sentence says it */
	int (*run)(struct launch *l, struct err *e);
};

/* EAGAIN: something was renamed or mounted somewhere on the host while ".." was being looked up (openat2(2)). */
int beneath(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;
	for (int tries = 0; tries < LOOKUPS_MAX; tries++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

static int make_last(int parent, const char *name, bool folder)
{
	if (folder)
		return mkdirat(parent, name, 0755) ? -errno : 0;
	_cleanup_close_ int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : 0;
}

/* part: path up to and with the part to be made. */
static int make_part(int root, char *part, bool folder, bool last)
{
	char *slash = strrchr(part, '/');
	*slash = 0;
	_cleanup_close_ int parent = beneath(root, *part ? part : "/", O_PATH | O_DIRECTORY);
	*slash = '/';
	if (parent < 0)
		return parent;
	int r = make_last(parent, slash + 1, folder);
	/* There is a name, but it led nowhere: a dangling link. */
	if (r == -EEXIST && last && !unlinkat(parent, slash + 1, 0))
		r = make_last(parent, slash + 1, folder);
	return r;
}

int beneath_make(int root, const char *path, bool folder)
{
	int how = O_PATH | (folder ? O_DIRECTORY : 0);
	int fd = beneath(root, path, how);
	char part[PATH_MAX];
	if (fd != -ENOENT)
		return fd;
	if (strlen(path) >= sizeof part)
		return -ENAMETOOLONG;
	for (const char *end = path + strcspn(path + 1, "/") + 1;; end += strcspn(end + 1, "/") + 1) {
		bool last = !*end;
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = 0;
		_cleanup_close_ int there = beneath(root, part, last ? how : O_PATH | O_DIRECTORY);
		int r = there == -ENOENT ? make_part(root, part, folder || !last, last) : there < 0 ? there : 0;
		if (r)
			return r;
		if (last)
			return beneath(root, path, how);
	}
}

static int enter_cgroups(struct launch *l, struct err *e)
{
	int r = cgroup_enter(&l->plan, e);
	if (r || l->join >= 0)
		return r;
	/* After entering: the namespace's root is where its maker is. */
	return unshare(CLONE_NEWCGROUP) ? err_sys(e, errno, "cgroup namespace") : 0;
}

/* IPC, network and UTS are podfs-pod's own, so they are the container's already. */
static int join_container(struct launch *l, struct err *e)
{
	if (setns(l->join, CLONE_NEWNS | CLONE_NEWCGROUP))
		return err_sys(e, errno, "the container's namespaces");
	l->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return l->root < 0 ? err_sys(e, errno, "/") : 0;
}

static int restore_oom_score(const struct pod *p)
{
	char text[16];
	if (!p->oom_lowered)
		return 0;
	snprintf(text, sizeof text, "%d", p->oom_score);
	return write_file("/proc/self/oom_score_adj", text, strlen(text));
}

static int be_ordinary(struct launch *l, struct err *e)
{
	int r = restore_oom_score(l->pod);
	if (r)
		return err_sys(e, -r, "oom_score_adj");
	for (size_t i = 0; i < ARRAY_LEN(pod_ignores); i++)
		signal(pod_ignores[i], SIG_DFL);
	umask(022);
	if (setsid() < 0)
		return err_sys(e, errno, "setsid");
	/* Not the host's: keys of root are nobody's business in there. A kernel without keys has none to hide. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	return 0;
}

/* Nothing of the host may be reachable by /proc/self/fd when the image's names are looked up. */
static int close_host(struct launch *l, struct err *e)
{
	for (int i = 0; i < 3; i++)
		if (l->stdio[i] >= 0 && dup2(l->stdio[i], i) < 0)
			return err_sys(e, errno, "stdio");
	int keep[] = { l->report, l->pod->self, l->root, l->give };
	close_all_but(keep, ARRAY_LEN(keep));
	return 0;
}

static int enter_cwd(struct launch *l, struct err *e)
{
	const char *cwd = wire_get_str(&l->plan, K_CWD);
	if (!cwd || !*cwd)
		cwd = "/";
	if (*cwd != '/')
		return err_set(e, EINVAL, "workdir %s: not an absolute path", cwd);
	_cleanup_close_ int fd = beneath_make(l->root, cwd, true);
	if (fd < 0 || fchdir(fd))
		return err_sys(e, fd < 0 ? -fd : errno, "workdir %s", cwd);
	if (l->give != l->root)
		close_fd(&l->root);
	return 0;
}

static _Noreturn void run_stages(struct launch *l, const struct stage *stages)
{
	struct err e = { 0 };
	l->exit_code = EXIT_START_FAILED;
	l->root = l->give = -1;
	int r = 0;
	for (const struct stage *s = stages; s->run && !r; s++) {
		r = s->run(l, &e);
		if (r && s->name)
			err_prefix(&e, "%s", s->name);
	}
	report_send(l->report, r, l->exit_code, &e, -1);
	_exit(l->exit_code);
}

void launch_container(void *arg)
{
	static const struct stage stages[] = {
		{ NULL, enter_cgroups }, { "root", launch_root }, { NULL, launch_mounts }, { NULL, be_ordinary },
		{ "root", launch_pivot }, { NULL, close_host }, { NULL, launch_user }, { NULL, enter_cwd },
		{ NULL, launch_become }, { NULL, launch_exec }, { 0 },
	};
	run_stages(arg, stages);
}

void launch_session(void *arg)
{
	static const struct stage stages[] = {
		{ NULL, enter_cgroups }, { NULL, be_ordinary }, { NULL, join_container }, { NULL, launch_user },
		{ "tty", launch_tty }, { NULL, close_host }, { NULL, enter_cwd }, { NULL, launch_become },
		{ NULL, launch_exec }, { 0 },
	};
	run_stages(arg, stages);
}
