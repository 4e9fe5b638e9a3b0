/* Control groups as podfs-pod needs them: enter, freeze, kill, remove.
 *
 * Plain files; the server made the groups and said where they are (K_CGDIR). No arithmetic,
 * no names of controllers. Nothing here waits: what is busy is tried again by a timer.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 8 /* of groups below ours; the containers can't make any */

/* v1: a task that moves itself pays no grace period of the threadgroup lock (kernel, cgroup-v1.c). */
int cgroup_enter(const struct wire_in *plan, struct err *e)
{
	if (wire_get_u64(plan, K_CGVERSION, 0) != 1)
		return 0;
	const char *dir;
	for (unsigned i = 0; (dir = plan_nth(plan, K_CGDIR, i)); i++) {
		char path[PATH_MAX];
		snprintf(path, sizeof path, "%s/tasks", dir);
		int r = write_file(path, "0", 1);
		if (r)
			return err_sys(e, -r, "cgroup %s", dir);
	}
	return 0;
}

int cgroup_clone_fd(const struct wire_in *plan, struct err *e)
{
	const char *dir = plan_nth(plan, K_CGDIR, 0);
	if (!dir || wire_get_u64(plan, K_CGVERSION, 0) != 2)
		return -1;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cgroup %s", dir) : fd;
}

uint64_t cgroup_oom_kills(const struct plan *pl)
{
	struct wire_in in = plan_view(pl);
	const char *path = wire_get_str(&in, K_OOM);
	char text[1024];
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *at = text;
	while (at && strncmp(at, "oom_kill ", 9)) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(at + 9, NULL, 10) : 0;
}

int cgroup_freeze(const struct plan *pl, bool on, struct err *e)
{
	struct wire_in in = plan_view(pl);
	const char *path = wire_get_str(&in, K_FREEZE);
	const char *text = wire_get_str(&in, on ? K_FREEZE_ON : K_FREEZE_OFF);
	if (!path || !text)
		return err_set(e, EOPNOTSUPP, "this host has no cgroup that freezes");
	int r = write_file(path, text, strlen(text));
	return r ? err_sys(e, -r, "%s", path) : 0;
}

/* --- trees of groups --- */

static void kill_pids(const char *text)
{
	char *end;
	for (long pid; (pid = strtol(text, &end, 10)), end != text; text = end)
		if (pid > 1 && pid != getpid())
			kill((pid_t)pid, SIGKILL);
}

/* v2 has cgroup.kill since 5.14; else one by one, and again until nobody is left. True: empty. */
static bool kill_group(int dir)
{
	_cleanup_buf_ struct buf pids = { 0 };
	if (read_file_at(dir, "cgroup.procs", 1 << 20, &pids) || !pids.len)
		return true;
	_cleanup_close_ int all = openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (all < 0 || write(all, "1", 1) < 0)
		kill_pids(pids.data);
	return false;
}

/* The group and, first, those below it. dir is consumed. */
static bool kill_tree(int dir, int depth)
{
	_cleanup_dir_ DIR *d = fdopendir(dir);
	if (!d) {
		close(dir);
		return false;
	}
	bool empty = true;
	struct dirent *de;
	while (depth && (de = readdir(d))) {
		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		int sub = openat(dir, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			empty &= kill_tree(sub, depth - 1);
	}
	return kill_group(dir) && empty;
}

static bool remove_below(int dir, int depth);

static bool remove_entry(int dir, const char *name, int depth)
{
	if (!unlinkat(dir, name, AT_REMOVEDIR) || errno == ENOENT)
		return true;
	int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0 || !remove_below(sub, depth))
		return false;
	return !unlinkat(dir, name, AT_REMOVEDIR) || errno == ENOENT;
}

/* dir is consumed. */
static bool remove_below(int dir, int depth)
{
	_cleanup_dir_ DIR *d = fdopendir(dir);
	if (!d) {
		close(dir);
		return false;
	}
	bool all = true;
	struct dirent *de;
	while (depth && (de = readdir(d)))
		if (de->d_type == DT_DIR && de->d_name[0] != '.')
			all &= remove_entry(dir, de->d_name, depth - 1);
	return all;
}

bool cgroup_kill(const struct plan *pl)
{
	struct wire_in in = plan_view(pl);
	bool empty = true;
	const char *path;
	for (unsigned i = 0; (path = plan_nth(&in, K_CGDIR, i)); i++) {
		int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			empty &= kill_tree(dir, DEPTH_MAX);
	}
	return empty;
}

int cgroup_remove(const struct plan *pl, struct err *busy)
{
	struct wire_in in = plan_view(pl);
	const char *path;
	for (unsigned i = 0; (path = plan_nth(&in, K_CGDIR, i)); i++)
		if (!remove_entry(AT_FDCWD, path, DEPTH_MAX))
			return err_sys(busy, EBUSY, "cgroup %s", path);
	return 0;
}

void cgroup_remove_parents(const struct plan *pl)
{
	struct wire_in in = plan_view(pl);
	const char *path;
	for (unsigned i = 0; (path = plan_nth(&in, K_CGDIR, i)); i++) {
		char parent[PATH_MAX];
		const char *slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) >= sizeof parent)
			continue;
		memcpy(parent, path, (size_t)(slash - path));
		parent[slash - path] = 0;
		rmdir(parent);
	}
}
