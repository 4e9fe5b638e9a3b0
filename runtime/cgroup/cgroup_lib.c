/* libcgroup: finds the hierarchies and makes the groups. The only includer of it.
 *
 * Knows the traps of 2.0.2, the version that Debian 12 has:
 *   - it does not translate between v1 and v2, and has no call that says which one a
 *     controller is on: statfs(2) does;
 *   - it reads the mount table once, in cgroup_init, process-wide: before any thread;
 *   - cgroup_create_cgroup without ignore_ownership chowns every file of every group:
 *     1.8 ms for five hierarchies. With it 0.3 to 0.5 ms, against 0.15 to 0.25 for plain
 *     mkdir(2)s: bearable;
 *   - a create that fails leaves behind what it had made.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int lib_error(int r)
{
	if (r == ECGOTHER)
		return cgroup_get_last_errno() ? cgroup_get_last_errno() : EIO;
	if (r == ECGROUPNOTOWNER)
		return EACCES;
	if (r == ECGROUPNOTALLOWED)
		return EPERM;
	return r == ECGROUPNOTEXIST ? ENOENT : EIO;
}

/* 1 or 2; 0: not mounted. *mount is the caller's to free. */
static int controller_at(const char *controller, char **mount)
{
	struct statfs st;
	char *m = NULL;
	if (cgroup_get_subsys_mount_point(controller, &m) || !m)
		return 0;
	if (statfs(m, &st)) {
		free(m);
		return 0;
	}
	*mount = m;
	return st.f_type == CGROUP2_SUPER_MAGIC ? 2 : 1;
}

/* v2 has no controllers cpuacct and freezer: both are part of every group's core. */
static bool all_on_memorys_mount(struct cg_host *h)
{
	bool ok = true;
	for (int i = 0; i < CG_NCTL; i++) {
		if (i == CG_MEMORY)
			continue;
		free(h->mount[i]);
		h->mount[i] = strdup(h->mount[CG_MEMORY]);
		ok &= !!h->mount[i];
	}
	return ok;
}

static int missing(struct err *e)
{
	return err_set(e, EOPNOTSUPP, "cgroup: neither cgroup v2 with memory, cpu and pids nor any of these on v1 is mounted");
}

int cg_lib_find(struct cg_host *h, struct err *e)
{
	int r = cgroup_init();
	if (r == ECGROUPNOTMOUNTED)
		return missing(e);
	if (r)
		return err_set(e, lib_error(r), "cgroup: libcgroup: %s", cgroup_strerror(r));
	int version[CG_NCTL];
	for (int i = 0; i < CG_NCTL; i++)
		version[i] = controller_at(cg_ctl_names[i], &h->mount[i]);
	if (version[CG_MEMORY] == 2 && version[CG_CPU] == 2 && version[CG_PIDS] == 2) {
		h->version = 2;
		return all_on_memorys_mount(h) ? 0 : err_sys(e, ENOMEM, "cgroup");
	}
	/* A hybrid host may have a controller or two on v2: from here they are as if missing. */
	bool any = false;
	for (int i = 0; i < CG_NCTL; i++) {
		if (version[i] == 2) {
			free(h->mount[i]);
			h->mount[i] = NULL;
		}
		any |= h->mount[i] && i != CG_FREEZER;
	}
	h->version = 1;
	return any ? 0 : missing(e);
}

static void drop_failed(const struct cg_host *h, const char *group)
{
	char path[PATH_MAX];
	for (int i = 0; i < CG_NCTL; i++)
		if (cg_first(h, i) && snprintf(path, sizeof path, "%s/%s", h->mount[i], group) < PATH_MAX)
			rmdir(path);
}

/* libcgroup says of most that mkdir(2) says only that it was not allowed, and keeps no errno of it: so the kernel is asked again.
 * 0: it refuses no more. What this makes is dropped with the rest. */
static int kernels_reason(const struct cg_host *h, const char *group)
{
	char path[PATH_MAX];
	for (int i = 0; i < CG_NCTL; i++) {
		if (!cg_first(h, i) || snprintf(path, sizeof path, "%s/%s", h->mount[i], group) >= PATH_MAX)
			continue;
		if (mkdir(path, 0755) && errno != EEXIST)
			return errno;
	}
	return 0;
}

int cg_lib_create(const struct cg_host *h, const char *group, struct err *e)
{
	struct cgroup *cg = cgroup_new_cgroup(group);
	bool ok = cg;
	for (int i = 0; ok && i < CG_NCTL; i++)
		if (h->mount[i] && (h->version == 1 || i == CG_MEMORY || i == CG_CPU || i == CG_PIDS))
			ok = cgroup_add_controller(cg, cg_ctl_names[i]);
	if (!ok) {
		cgroup_free(&cg);
		return err_sys(e, ENOMEM, "cgroup %s", group);
	}
	int r = cgroup_create_cgroup(cg, 1);
	int code = r ? lib_error(r) : 0;
	cgroup_free(&cg);
	if (!r)
		return 0;
	int reason = r == ECGROUPNOTALLOWED ? kernels_reason(h, group) : 0;
	drop_failed(h, group);
	if (reason)
		return err_sys(e, reason, "cgroup %s", group);
	return err_sys(e, code, "cgroup %s: libcgroup: %s", group, cgroup_strerror(r));
}
