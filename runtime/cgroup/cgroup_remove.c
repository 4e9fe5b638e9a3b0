/* Groups without an owner: finding, emptying, removing.
 *
 * Owns the death of what nobody owns any more, and only below PARENT/UID. Works by plain
 * files: libcgroup has no kill, and its delete moves living processes to the parent, where
 * no limit holds them. Never kills its own process.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROCS_MAX (1024 * 1024)
#define DEPTH_MAX 32 /* levels that a container could make below its own group */

static int write_at(int dir, const char *file, const char *value)
{
	_cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* The pid was read from a list and may be another process by now: held by a pidfd, it is asked which groups it
 * is in before it is signalled. A uid stands in no other pod's path. */
static void kill_one(pid_t pid, const char *uid)
{
	char path[64];
	_cleanup_close_ int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return;
	_cleanup_buf_ struct buf b = { 0 };
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	if (!read_file_at(AT_FDCWD, path, PROCS_MAX, &b) && strstr(buf_str(&b), uid))
		pidfd_send_signal(fd, SIGKILL, NULL, 0);
}

/* The next of the lines of cgroup.procs; -1 at the end. */
static pid_t next_pid(const char **p)
{
	char *end;
	long pid = strtol(*p, &end, 10);
	if (end == *p)
		return -1;
	*p = end;
	return (pid_t)pid;
}

static bool holds_us(const char *procs)
{
	for (pid_t pid; (pid = next_pid(&procs)) >= 0;)
		if (pid == getpid())
			return true;
	return false;
}

static void kill_listed(const char *procs, const char *uid)
{
	for (pid_t pid; (pid = next_pid(&procs)) >= 0;)
		if (pid) /* 0: of a PID namespace that we do not see */
			kill_one(pid, uid);
}

static void kill_in(int dir, const char *uid)
{
	_cleanup_buf_ struct buf procs = { 0 };
	if (read_file_at(dir, "cgroup.procs", PROCS_MAX, &procs) || !procs.len || holds_us(buf_str(&procs)))
		return;
	/* v2 since 5.14: all at once, so that nothing can fork away. */
	if (write_at(dir, "cgroup.kill", "1"))
		kill_listed(buf_str(&procs), uid);
}

/* Top down kills, bottom up removes. */
static int sweep(const char *path, const char *uid, int depth)
{
	_cleanup_dir_ DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	kill_in(dirfd(d), uid);
	write_at(dirfd(d), "freezer.state", "THAWED"); /* v1: a frozen process dies when it is thawed, from the top down */
	int result = 0;
	for (struct dirent *de; (de = readdir(d));) {
		char sub[PATH_MAX];
		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		int n = snprintf(sub, sizeof sub, "%s/%s", path, de->d_name);
		int r = depth < DEPTH_MAX && n < PATH_MAX ? sweep(sub, uid, depth + 1) : -ELOOP;
		if (r)
			result = r;
	}
	if (!rmdir(path) || errno == ENOENT)
		return 0;
	return result ? result : -errno;
}

int cg_destroy(struct cg_host *h, const char *uid)
{
	const struct cg_group g = { h, uid, NULL };
	char path[PATH_MAX];
	int result = 0;
	for (int i = 0; i < CG_NCTL; i++) {
		if (!cg_first(h, i))
			continue;
		int r = cg_path(&g, i, NULL, path);
		if (!r)
			r = sweep(path, uid, 0);
		if (r && (!result || r == -EBUSY))
			result = r;
	}
	return result;
}

/* In one of the hierarchies before this one? */
static bool listed(const struct cg_host *h, int ctl, const char *uid)
{
	const struct cg_group g = { h, uid, NULL };
	char path[PATH_MAX];
	for (int i = 0; i < ctl; i++)
		if (cg_first(h, i) && !cg_path(&g, i, NULL, path) && !access(path, F_OK))
			return true;
	return false;
}

static int list_in(const struct cg_host *h, int ctl, struct strs *uids)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/%s", h->mount[ctl], h->parent) >= PATH_MAX)
		return -ENAMETOOLONG;
	_cleanup_dir_ DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	int r = 0;
	for (struct dirent *de; !r && (de = readdir(d));)
		if (de->d_type == DT_DIR && cg_is_uid(de->d_name) && !listed(h, ctl, de->d_name))
			r = strs_add(uids, de->d_name, strlen(de->d_name));
	return r;
}

int cg_list(const struct cg_host *h, struct strs *uids)
{
	int r = 0;
	for (int i = 0; !r && i < CG_NCTL; i++)
		if (cg_first(h, i))
			r = list_in(h, i, uids);
	return r;
}
