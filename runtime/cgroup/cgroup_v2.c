/* cgroup v2: the kernel's own names, and the way controllers come down the tree.
 *
 * Owns the table for v2 and the writes to cgroup.subtree_control. They are plain I/O:
 * libcgroup 2.0.2 skips the root and says ENOENT where a controller is off there.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int enable(const char *dir, struct err *e)
{
	static const char controllers[] = "+memory +cpu +pids";
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/cgroup.subtree_control", dir) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "cgroup %s", dir);
	int r = write_file(path, controllers, sizeof controllers - 1);
	if (r == -EBUSY)
		return err_set(e, EBUSY, "cgroup %s holds processes, so its controllers cannot be handed on: "
			       "name another group with the config's `cgroup`", dir);
	if (r == -ENOENT)
		return err_set(e, EOPNOTSUPP, "cgroup %s was not given the controllers memory, cpu and pids", dir);
	return r ? err_sys(e, -r, "%s", path) : 0;
}

int cg_v2_delegate(const struct cg_host *h, const char *group, struct err *e)
{
	char path[PATH_MAX];
	size_t root = strlen(h->mount[CG_MEMORY]);
	if (snprintf(path, sizeof path, "%s/%s", h->mount[CG_MEMORY], group) >= PATH_MAX)
		return err_sys(e, ENAMETOOLONG, "cgroup %s", group);
	int r = enable(h->mount[CG_MEMORY], e);
	for (char *s = path + root + 1; !r && s; s = strchr(s, '/')) {
		s += *s == '/';
		char *end = strchrnul(s, '/');
		char kept = *end;
		*end = 0;
		r = mkdir(path, 0755) && errno != EEXIST ? err_sys(e, errno, "cgroup %s", path) : enable(path, e);
		*end = kept;
	}
	return r;
}

static int write_number(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, uint64_t v, struct cg_writes *out)
{
	char id[CONTAINER_ID_MAX];
	const struct cg_group g = cg_group_of(h, r, id);
	char text[32] = "max";
	if (v != LIMIT_MAX)
		snprintf(text, sizeof text, "%llu", (unsigned long long)v);
	return cg_add_write(out, &g, f->ctl, f->name, text);
}

static int memory_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_memory_max(cg_limits(r)), out);
}

static int memory_high(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_memory_high(cg_limits(r)), out);
}

static int pids_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_pids_max(cg_limits(r)), out);
}

static int cpu_weight(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_cpu_weight(cg_limits(r)), out);
}

static int cpu_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	char id[CONTAINER_ID_MAX];
	const struct cg_group g = cg_group_of(h, r, id);
	uint64_t quota = cg_cpu_quota(cg_limits(r)), period = cg_cpu_period(cg_limits(r));
	char text[64];
	if (quota == LIMIT_MAX)
		snprintf(text, sizeof text, "max %llu", (unsigned long long)period);
	else
		snprintf(text, sizeof text, "%llu %llu", (unsigned long long)quota, (unsigned long long)period);
	return cg_add_write(out, &g, f->ctl, f->name, text);
}

const struct cg_file cg_files_v2[] = {
	{ "memory.max", CG_MEMORY, .limit = memory_max },
	{ "memory.high", CG_MEMORY, .limit = memory_high },
	{ "cpu.max", CG_CPU, .limit = cpu_max },
	{ "cpu.weight", CG_CPU, .limit = cpu_weight },
	{ "pids.max", CG_PIDS, .limit = pids_max },
	{ "memory.current", CG_MEMORY, .show = cg_show_plain, .kernel = "memory.current" },
	{ "memory.peak", CG_MEMORY, .show = cg_show_plain, .kernel = "memory.peak" },
	{ "memory.events", CG_MEMORY, .show = cg_show_plain, .kernel = "memory.events" },
	{ "cpu.stat", CG_CPU, .show = cg_show_plain, .kernel = "cpu.stat" },
	{ "pids.current", CG_PIDS, .show = cg_show_plain, .kernel = "pids.current" },
	{ NULL },
};
