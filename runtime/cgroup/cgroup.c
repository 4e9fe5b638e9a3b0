/* The host's hierarchies and our folders in them: names, paths, making, the launch plan.
 *
 * Owns struct cg_host. What differs between v1 and v2 stands in cgroup_v1.c and cgroup_v2.c;
 * what is asked of libcgroup in cgroup_lib.c. What is written as plain files, and why:
 *   - enabling controllers on v2: libcgroup skips the root and leaves a group behind when
 *     an ancestor refuses;
 *   - limits: podfs-pod writes them, and it is a static program without libraries;
 *   - reading: libcgroup reads every file of a controller to give one;
 *   - killing, freezing, removing: libcgroup has no kill and no freeze, its delete reports
 *     ENOENT for a v2 group that it did remove and moves living processes to the parent.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const cg_ctl_names[CG_NCTL] = { "memory", "cpu", "cpuacct", "pids", "freezer" };

/* One path component after the other: no empty one, no "." and "..". */
static bool is_parent(const char *s)
{
	size_t n = strlen(s);
	if (!n || n > 200 || s[n - 1] == '/')
		return false;
	for (const char *p = s; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (*p == '/' || *p == '.' || !*p)
			return false;
	return true;
}

bool cg_is_uid(const char *s)
{
	return strlen(s) == 36 && strspn(s, "0123456789abcdef-") == 36;
}

bool cg_is_id(const char *s)
{
	size_t n = strlen(s);
	return n && n < CONTAINER_ID_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

bool cg_first(const struct cg_host *h, int ctl)
{
	if (!h->mount[ctl])
		return false;
	for (int i = 0; i < ctl; i++)
		if (h->mount[i] && !strcmp(h->mount[i], h->mount[ctl]))
			return false;
	return true;
}

/* PARENT/UID[/c.NAME], the name that libcgroup knows a group by. */
static int group_name(const struct cg_group *g, char out[PATH_MAX])
{
	if (!cg_is_uid(g->uid) || (g->name && !cg_is_id(g->name)))
		return -EINVAL;
	snprintf(out, PATH_MAX, "%s/%s%s%s", g->host->parent, g->uid, g->name ? "/c." : "", g->name ? g->name : "");
	return 0;
}

int cg_path(const struct cg_group *g, enum cg_ctl ctl, const char *file, char out[PATH_MAX])
{
	char group[PATH_MAX];
	int r = group_name(g, group);
	if (r)
		return r;
	const char *mount = g->host->mount[ctl];
	if (!mount)
		return -EOPNOTSUPP;
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", mount, group, file ? "/" : "", file ? file : "");
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int cg_open(const char *parent, struct cg_host **out, struct err *e)
{
	if (!is_parent(parent))
		return err_set(e, EINVAL, "cgroup: '%s' is not the name of a group below the root", parent);
	struct cg_host *h = calloc(1, sizeof *h);
	if (!h)
		return err_sys(e, ENOMEM, "cgroup");
	h->parent = strdup(parent);
	int r = h->parent ? cg_lib_find(h, e) : err_sys(e, ENOMEM, "cgroup");
	if (!r) {
		h->files = h->version == 2 ? cg_files_v2 : cg_files_v1;
		if (h->version == 2)
			r = cg_v2_delegate(h, h->parent, e);
	}
	if (r) {
		cg_close(h);
		return r;
	}
	*out = h;
	return 0;
}

void cg_close(struct cg_host *h)
{
	if (!h)
		return;
	char path[PATH_MAX];
	for (int i = 0; i < CG_NCTL; i++)
		if (h->version && cg_first(h, i) && snprintf(path, sizeof path, "%s/%s", h->mount[i], h->parent) < PATH_MAX)
			rmdir(path); /* EBUSY, ENOTEMPTY: pods go on in there */
	for (int i = 0; i < CG_NCTL; i++)
		free(h->mount[i]);
	free(h->parent);
	free(h);
}

int cg_version(const struct cg_host *h)
{
	return h->version;
}

int cg_create(struct cg_host *h, const char *uid, const char *name, struct err *e)
{
	struct cg_group g = { h, uid, name };
	char group[PATH_MAX];
	if (group_name(&g, group))
		return err_set(e, EINVAL, "cgroup: bad name '%s%s%s'", uid, name ? "/" : "", name ? name : "");
	/* The way to the group is made first: another instance may have removed an empty PARENT, and on v2
	 * controllers must be enabled from the root down. A pod's group holds groups only, a container's processes. */
	int r = 0;
	if (h->version == 2)
		r = cg_v2_delegate(h, h->parent, e);
	if (!r)
		r = cg_lib_create(h, group, e);
	/* A group's own memory counts as its parent's. */
	if (r == -ENOMEM && name)
		err_set(e, ENOMEM, "cgroup %s: the kernel has no memory for it: the pod's memory.max may be too little", group);
	if (!r && h->version == 2 && !name)
		r = cg_v2_delegate(h, group, e);
	return r;
}

int cg_dirs(const struct cg_host *h, const char *uid, const char *name, struct strs *out)
{
	struct cg_group g = { h, uid, name };
	char path[PATH_MAX];
	for (int i = 0; i < CG_NCTL; i++) {
		if (!cg_first(h, i))
			continue;
		int r = cg_path(&g, i, NULL, path);
		if (!r)
			r = strs_add(out, path, strlen(path));
		if (r)
			return r;
	}
	return 0;
}

int cg_plan(const struct cg_host *h, const char *uid, const char *name, struct cg_plan *out)
{
	struct cg_group g = { h, uid, name };
	bool v2 = h->version == 2;
	char oom[PATH_MAX], freeze[PATH_MAX];
	int no_oom = cg_path(&g, CG_MEMORY, v2 ? "memory.events" : "memory.oom_control", oom);
	int no_freeze = cg_path(&g, CG_FREEZER, v2 ? "cgroup.freeze" : "freezer.state", freeze);
	if (no_oom == -EINVAL)
		return -EINVAL;
	struct cg_plan p = {
		.oom = no_oom ? NULL : strdup(oom),
		.freeze = no_freeze ? NULL : strdup(freeze),
		.freeze_on = v2 ? "1" : "FROZEN",
		.freeze_off = v2 ? "0" : "THAWED",
	};
	if ((!no_oom && !p.oom) || (!no_freeze && !p.freeze)) {
		cg_plan_free(&p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

void cg_plan_free(struct cg_plan *p)
{
	free(p->oom);
	free(p->freeze);
	*p = (struct cg_plan){ 0 };
}
