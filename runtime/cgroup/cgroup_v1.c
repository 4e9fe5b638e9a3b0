/* cgroup v1 behind v2's names.
 *
 * Owns the table for v1. Where v1 has no equal, the nearest, said here and in the manual:
 *   - memory.high is memory.soft_limit_in_bytes: it is reclaimed first when the host is
 *     short of memory, but nothing slows down at the limit;
 *   - memory.max below what is in use and cannot be reclaimed is refused with EBUSY; v2 takes it
 *     and kills;
 *   - memory.events: v1 counts `max` (failcnt) and `oom_kill`; `oom` is shown as oom_kill, the
 *     others stay 0. v1 counts where it happened and not upwards: a pod's are its own and those
 *     of the containers that are there.
 *
 * cpu.max needs an order. v1 refuses (EINVAL) a child's quota/period above its parent's, and a
 * parent's below any child's; v2 lets the lower one win. So a container whose own limit is not
 * below the pod's is written as unlimited, which means the pod's. (kernel/sched/core.c,
 * tg_cfs_schedulable_down; Documentation/scheduler/sched-bwc.rst)
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHARES_MIN 2u        /* kernel/sched/sched.h: MIN_SHARES */
#define SHARES_MAX (1u << 18) /* MAX_SHARES */

static int write_number(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, uint64_t v, const char *unlimited,
			struct cg_writes *out)
{
	char id[CONTAINER_ID_MAX];
	const struct cg_group g = cg_group_of(h, r, id);
	char text[32];
	snprintf(text, sizeof text, "%" PRIu64, v);
	return cg_add_write(out, &g, f->ctl, f->kernel, v == LIMIT_MAX ? unlimited : text);
}

static int memory_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_memory_max(cg_limits(r)), "-1", out);
}

static int memory_high(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_memory_high(cg_limits(r)), "-1", out);
}

static int pids_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	return write_number(f, h, r, cg_pids_max(cg_limits(r)), "max", out);
}

/* Both defaults, 100 and 1024, mean an equal part: so linear, as systemd and the kernel's own conversion have it. */
static int cpu_weight(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	uint64_t shares = cg_cpu_weight(cg_limits(r)) * 1024 / 100;
	if (shares < SHARES_MIN)
		shares = SHARES_MIN;
	if (shares > SHARES_MAX)
		shares = SHARES_MAX;
	return write_number(f, h, r, shares, NULL, out);
}

/* --- cpu.max --- */

/* As the kernel compares: to_ratio(), 20 bits of fraction. */
static uint64_t cpu_ratio(const struct limits *l)
{
	uint64_t quota = cg_cpu_quota(l);
	uint64_t period = cg_cpu_period(l);
	return quota == LIMIT_MAX || !period ? UINT64_MAX : (quota << 20) / period;
}

static bool below(const struct limits *child, const struct limits *pod)
{
	return cpu_ratio(child) < cpu_ratio(pod);
}

static int no_quota(struct cg_writes *out, const struct cg_group *g)
{
	return cg_add_write(out, g, CG_CPU, "cpu.cfs_quota_us", "-1");
}

/* Quota and period are two files, and the kernel judges after each of them: without a quota any period is right. */
static int quota_and_period(struct cg_writes *out, const struct cg_group *g, const struct limits *l, bool limited)
{
	char text[32];
	int r = no_quota(out, g);
	snprintf(text, sizeof text, "%" PRIu64, cg_cpu_period(l));
	if (!r)
		r = cg_add_write(out, g, CG_CPU, "cpu.cfs_period_us", text);
	snprintf(text, sizeof text, "%" PRIu64, cg_cpu_quota(l));
	if (!r && limited && cg_cpu_quota(l) != LIMIT_MAX)
		r = cg_add_write(out, g, CG_CPU, "cpu.cfs_quota_us", text);
	return r;
}

struct nested {
	const struct cg_host *host;
	const struct pod_spec *pod;
	struct cg_writes *out;
};

static const struct container_spec *by_id(const struct pod_spec *p, const char *id)
{
	char its[CONTAINER_ID_MAX];
	for (size_t i = 0; i < p->ncontainers; i++) {
		container_spec_id(p->containers[i], its);
		if (!strcmp(its, id))
			return p->containers[i];
	}
	return NULL;
}

static bool limited_below(const struct nested *n, const struct container_spec *c)
{
	return c && c->limits.has_cpu_max && below(&c->limits, &n->pod->limits);
}

/* Every group that is there counts for the kernel, also that of a container which is being removed. */
static int lift_child(void *arg, const char *id)
{
	const struct nested *n = arg;
	const struct cg_group g = { n->host, n->pod->uid, id };
	const struct container_spec *c = by_id(n->pod, id);
	_cleanup_buf_ struct buf b = { 0 };
	if (limited_below(n, c))
		return 0;
	if ((!c || !c->limits.has_cpu_max) && (cg_read(&g, CG_CPU, "cpu.cfs_quota_us", &b) || *buf_str(&b) == '-'))
		return 0;
	return no_quota(n->out, &g);
}

static int limit_child(void *arg, const char *id)
{
	const struct nested *n = arg;
	const struct cg_group g = { n->host, n->pod->uid, id };
	const struct container_spec *c = by_id(n->pod, id);
	return limited_below(n, c) ? quota_and_period(n->out, &g, &c->limits, true) : 0;
}

static int cpu_max(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out)
{
	char id[CONTAINER_ID_MAX];
	const struct cg_group g = cg_group_of(h, r, id);
	if (r.container)
		return quota_and_period(out, &g, &r.container->limits, below(&r.container->limits, &r.pod->limits));
	struct nested n = { h, r.pod, out };
	int result = cg_each_container(&g, CG_CPU, lift_child, &n);
	if (result == -ENOENT) /* no group yet, so no children: the limit alone */
		return quota_and_period(out, &g, &r.pod->limits, true);
	if (!result)
		result = quota_and_period(out, &g, &r.pod->limits, true);
	if (!result)
		result = cg_each_container(&g, CG_CPU, limit_child, &n);
	return result;
}

/* --- use --- */

struct counts {
	const struct cg_group *pod;
	uint64_t max, oom_kill;
};

static int count_group(struct counts *c, const struct cg_group *g)
{
	_cleanup_buf_ struct buf b = { 0 };
	uint64_t failcnt = 0;
	int r = cg_read_u64(g, CG_MEMORY, "memory.failcnt", &failcnt);
	if (!r)
		r = cg_read(g, CG_MEMORY, "memory.oom_control", &b);
	if (r)
		return r;
	c->max += failcnt;
	c->oom_kill += cg_key(buf_str(&b), "oom_kill");
	return 0;
}

static int count_container(void *arg, const char *id)
{
	struct counts *c = arg;
	const struct cg_group g = { c->pod->host, c->pod->uid, id };
	int r = count_group(c, &g);
	return r == -ENOENT || r == -ENODEV ? 0 : r; /* removed while we looked */
}

static int memory_events(const struct cg_file *f, const struct cg_group *g, struct buf *out)
{
	struct counts c = { .pod = g };
	int r = count_group(&c, g);
	if (!r && !g->name)
		r = cg_each_container(g, CG_MEMORY, count_container, &c);
	if (!r)
		buf_printf(out, "low 0\nhigh 0\nmax %" PRIu64 "\noom %" PRIu64 "\noom_kill %" PRIu64 "\noom_group_kill 0\n",
			   c.max, c.oom_kill, c.oom_kill);
	return r;
}

/* User and system are counted by ticks and the whole by the scheduler: v2 scales the two so that they make up
 * the whole (kernel/sched/cputime.c), and so is it done here. */
static void put_usage(uint64_t usage, uint64_t user, uint64_t system, struct buf *out)
{
	uint64_t ticks = user + system;
	uint64_t scaled = !ticks ? usage : (uint64_t)((__uint128_t)usage * user / ticks);
	buf_printf(out, "usage_usec %" PRIu64 "\nuser_usec %" PRIu64 "\nsystem_usec %" PRIu64 "\n", usage, scaled, usage - scaled);
}

static int put_throttling(const struct cg_group *g, struct buf *out)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = cg_read(g, CG_CPU, "cpu.stat", &b);
	if (r && r != -EOPNOTSUPP)
		return r;
	const char *t = buf_str(&b);
	buf_printf(out, "nr_periods %" PRIu64 "\nnr_throttled %" PRIu64 "\nthrottled_usec %" PRIu64 "\n"
		   "nr_bursts %" PRIu64 "\nburst_usec %" PRIu64 "\n",
		   cg_key(t, "nr_periods"), cg_key(t, "nr_throttled"), cg_key(t, "throttled_time") / 1000,
		   cg_key(t, "nr_bursts"), cg_key(t, "burst_time") / 1000);
	return 0;
}

static int cpu_stat(const struct cg_file *f, const struct cg_group *g, struct buf *out)
{
	uint64_t usage = 0, user = 0, system = 0;
	int r = cg_read_u64(g, CG_CPUACCT, "cpuacct.usage", &usage);
	if (!r)
		r = cg_read_u64(g, CG_CPUACCT, "cpuacct.usage_user", &user);
	if (!r)
		r = cg_read_u64(g, CG_CPUACCT, "cpuacct.usage_sys", &system);
	if (r)
		return r;
	put_usage(usage / 1000, user / 1000, system / 1000, out);
	return put_throttling(g, out);
}

const struct cg_file cg_files_v1[] = {
	{ "memory.max", CG_MEMORY, .limit = memory_max, .kernel = "memory.limit_in_bytes" },
	{ "memory.high", CG_MEMORY, .limit = memory_high, .kernel = "memory.soft_limit_in_bytes" },
	{ "cpu.max", CG_CPU, .limit = cpu_max },
	{ "cpu.weight", CG_CPU, .limit = cpu_weight, .kernel = "cpu.shares" },
	{ "pids.max", CG_PIDS, .limit = pids_max, .kernel = "pids.max" },
	{ "memory.current", CG_MEMORY, .show = cg_show_plain, .kernel = "memory.usage_in_bytes" },
	{ "memory.peak", CG_MEMORY, .show = cg_show_plain, .kernel = "memory.max_usage_in_bytes" },
	{ "memory.events", CG_MEMORY, .show = memory_events },
	{ "cpu.stat", CG_CPUACCT, .show = cpu_stat },
	{ "pids.current", CG_PIDS, .show = cg_show_plain, .kernel = "pids.current" },
	{ NULL },
};
