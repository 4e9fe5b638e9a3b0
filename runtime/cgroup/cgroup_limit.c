/* Limits: from the spec to the kernel files that make them hold.
 *
 * Owns the check that a value is one which the kernel takes, so that nothing is written
 * before a refusal, and the list of writes. Writes nothing: podfs-pod does.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CPU_US_MIN 1000u             /* kernel/sched/core.c: min_cfs_quota_period */
#define CPU_PERIOD_MAX 1000000u      /* max_cfs_quota_period */
#define CPU_QUOTA_MAX ((1ull << 44) - 1) /* MAX_BW_USEC */
#define CPU_PERIOD_DEFAULT 100000u
#define CPU_WEIGHT_DEFAULT 100u
#define CPU_WEIGHT_MAX 10000u        /* CGROUP_WEIGHT_MAX */
#define PIDS_MAX 4194304u            /* PID_MAX_LIMIT of a 64-bit kernel */

const struct limits *cg_limits(struct spec_ref r)
{
	return r.container ? &r.container->limits : &r.pod->limits;
}

struct cg_group cg_group_of(const struct cg_host *h, struct spec_ref r, char id[CONTAINER_ID_MAX])
{
	if (r.container)
		container_spec_id(r.container, id);
	return (struct cg_group){ h, r.pod->uid, r.container ? id : NULL };
}

uint64_t cg_memory_max(const struct limits *l)
{
	return l->has_memory_max ? l->memory_max : LIMIT_MAX;
}

uint64_t cg_memory_high(const struct limits *l)
{
	return l->has_memory_high ? l->memory_high : LIMIT_MAX;
}

uint64_t cg_pids_max(const struct limits *l)
{
	return l->has_pids_max ? l->pids_max : LIMIT_MAX;
}

uint64_t cg_cpu_weight(const struct limits *l)
{
	return l->has_cpu_weight ? l->cpu_weight : CPU_WEIGHT_DEFAULT;
}

uint64_t cg_cpu_quota(const struct limits *l)
{
	return l->has_cpu_max ? l->cpu_quota : LIMIT_MAX;
}

uint64_t cg_cpu_period(const struct limits *l)
{
	return l->has_cpu_max ? l->cpu_period : CPU_PERIOD_DEFAULT;
}

static int check_cpu_max(const struct limits *l, struct err *e)
{
	uint64_t quota = cg_cpu_quota(l), period = cg_cpu_period(l);
	if (period < CPU_US_MIN || period > CPU_PERIOD_MAX)
		return err_set(e, EINVAL, "cpu.max: a period of %llu microseconds is not between %u and %u",
			       (unsigned long long)period, CPU_US_MIN, CPU_PERIOD_MAX);
	if (quota == LIMIT_MAX)
		return 0;
	if (quota < CPU_US_MIN)
		return err_set(e, EINVAL, "cpu.max: a quota of %llu microseconds is below the kernel's least, %u",
			       (unsigned long long)quota, CPU_US_MIN);
	if (quota > CPU_QUOTA_MAX)
		return err_set(e, EINVAL, "cpu.max: a quota of %llu microseconds is above the kernel's most; max is no limit",
			       (unsigned long long)quota);
	return 0;
}

static int check(const char *file, const struct limits *l, struct err *e)
{
	if (!strcmp(file, "cpu.max"))
		return check_cpu_max(l, e);
	if (!strcmp(file, "cpu.weight") && (cg_cpu_weight(l) < 1 || cg_cpu_weight(l) > CPU_WEIGHT_MAX))
		return err_set(e, EINVAL, "cpu.weight: %llu is not between 1 and %u", (unsigned long long)cg_cpu_weight(l),
			       CPU_WEIGHT_MAX);
	if (!strcmp(file, "pids.max") && cg_pids_max(l) != LIMIT_MAX && cg_pids_max(l) > PIDS_MAX)
		return err_set(e, EINVAL, "pids.max: %llu is above the kernel's most, %u; max is no limit",
			       (unsigned long long)cg_pids_max(l), PIDS_MAX);
	return 0;
}

int cg_add_write(struct cg_writes *w, const struct cg_group *g, enum cg_ctl ctl, const char *file, const char *value)
{
	char path[PATH_MAX];
	int r = cg_path(g, ctl, file, path);
	if (r)
		return r;
	struct cg_write *v = realloc(w->v, (w->n + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	w->v = v;
	v[w->n] = (struct cg_write){ strdup(path), strdup(value) };
	struct cg_write *added = &v[w->n++];
	return added->path && added->value ? 0 : -ENOMEM;
}

void cg_writes_free(struct cg_writes *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->v[i].path);
		free(w->v[i].value);
	}
	free(w->v);
	*w = (struct cg_writes){ 0 };
}

static const struct cg_file *find(const struct cg_host *h, const char *file)
{
	for (const struct cg_file *f = h->files; f->name; f++)
		if (!strcmp(f->name, file) && f->limit)
			return f;
	return NULL;
}

static int no_limit(const struct cg_host *h, const struct cg_file *f, int r, const char *file, struct err *e)
{
	if (r == -EOPNOTSUPP)
		return err_set(e, EOPNOTSUPP, "%s: this host has no %s controller", file, f ? cg_ctl_names[f->ctl] : "such");
	return err_sys(e, -r, "%s", file);
}

int cg_limit(const struct cg_host *h, struct spec_ref r, const char *file, struct cg_writes *out, struct err *e)
{
	const struct cg_file *f = find(h, file);
	if (!f)
		return no_limit(h, NULL, -EOPNOTSUPP, file, e);
	int result = check(file, cg_limits(r), e);
	if (result)
		return result;
	struct cg_writes w = { 0 };
	result = f->limit(f, h, r, &w);
	if (result) {
		cg_writes_free(&w);
		return no_limit(h, f, result, file, e);
	}
	*out = w;
	return 0;
}
