/* Groups as the kernel has them: made, limited, read, emptied, on the host's own version.
 *
 * The same file runs on v1 (also hybrid) and, in the guest of tests/vm, on v2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "groups.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MIB (1024ull * 1024)

static struct fixture *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static bool is_v2(const struct fixture *f)
{
	return cg_version(f->h) == 2;
}

static void bad_names_are_refused(void **state)
{
	struct fixture *f = need(state);
	static const char *const parents[] = { "", "/podfs", "podfs/", "..", "a/../b", "a//b", ".x" };
	struct cg_host *h = NULL;
	struct err e = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		assert_int_equal(cg_open(parents[i], &h, &e), -EINVAL);
		assert_null(h);
	}
	assert_int_equal(cg_create(f->h, "../../x", NULL, &e), -EINVAL);
	assert_int_equal(cg_create(f->h, TEST_UID, "a/b", &e), -EINVAL);
	assert_int_equal(cg_create(f->h, TEST_UID, "", &e), -EINVAL);
	assert_int_equal(cg_destroy(f->h, ".."), -EINVAL);
}

/* v2 hands no controllers on from a group with processes in it; v1 has no such rule. */
static void a_parent_with_processes_is_refused(void **state)
{
	struct fixture *f = need(state);
	char busy[100];
	struct cg_host *h = NULL;
	struct err e = { 0 };
	assert_non_null(add_container(f, "a", 1));
	pid_t pid = run_in(f, "a.1", NULL, NULL);
	assert_true(pid > 0);
	snprintf(busy, sizeof busy, "%s/%s/c.a.1", f->parent, TEST_UID);
	assert_int_equal(cg_open(busy, &h, &e), is_v2(f) ? -EBUSY : 0);
	cg_close(h);
	if (is_v2(f))
		assert_non_null(strstr(e.text, "c.a.1 holds processes"));
	kill(pid, SIGKILL);
	reap(pid);
}

static void groups_are_made_once(void **state)
{
	struct fixture *f = need(state);
	struct strs dirs = { 0 };
	struct stat st;
	assert_non_null(add_container(f, "a", 0x1f));
	assert_int_equal(cg_create(f->h, TEST_UID, "a.1f", NULL), 0);
	assert_int_equal(cg_create(f->h, TEST_UID, NULL, NULL), 0);
	assert_int_equal(cg_dirs(f->h, TEST_UID, "a.1f", &dirs), 0);
	assert_true(dirs.n >= 1 && (!is_v2(f) || dirs.n == 1));
	for (size_t i = 0; i < dirs.n; i++) {
		assert_non_null(strstr(dirs.v[i], TEST_UID "/c.a.1f"));
		assert_int_equal(stat(dirs.v[i], &st), 0);
	}
	strs_free(&dirs);
}

/* The parent may go when it is empty, under the feet of another instance. */
static void parent_comes_back(void **state)
{
	struct fixture *f = need(state);
	struct cg_host *other = NULL;
	assert_int_equal(cg_destroy(f->h, TEST_UID), 0);
	assert_int_equal(cg_open(f->parent, &other, NULL), 0);
	cg_close(other);
	assert_int_equal(cg_create(f->h, TEST_UID, NULL, NULL), 0);
	assert_non_null(add_container(f, "a", 1));
	assert_int_equal(apply(f, f->pod->containers[0], "pids.max"), 0);
}

static void limits_reach_the_kernel(void **state)
{
	struct fixture *f = need(state);
	struct container_spec *c = add_container(f, "a", 1);
	bool v2 = is_v2(f);
	c->limits = (struct limits){ .has_memory_max = true, .memory_max = 64 * MIB, .has_memory_high = true,
		.memory_high = 32 * MIB, .has_cpu_weight = true, .cpu_weight = 50, .has_pids_max = true, .pids_max = 17 };
	assert_int_equal(apply(f, c, "memory.max"), 0);
	assert_int_equal(apply(f, c, "memory.high"), 0);
	assert_int_equal(apply(f, c, "cpu.weight"), 0);
	assert_int_equal(apply(f, c, "pids.max"), 0);
	assert_int_equal(raw_u64(f, c, CG_MEMORY, v2 ? "memory.max" : "memory.limit_in_bytes"), 64 * MIB);
	assert_int_equal(raw_u64(f, c, CG_MEMORY, v2 ? "memory.high" : "memory.soft_limit_in_bytes"), 32 * MIB);
	assert_int_equal(raw_u64(f, c, CG_CPU, v2 ? "cpu.weight" : "cpu.shares"), v2 ? 50 : 512);
	assert_string_equal(raw(f, c, CG_PIDS, "pids.max"), "17");
	c->limits = (struct limits){ 0 };
	assert_int_equal(apply(f, c, "memory.max"), 0);
	assert_int_equal(apply(f, c, "memory.high"), 0);
	assert_int_equal(apply(f, c, "cpu.weight"), 0);
	assert_int_equal(apply(f, c, "pids.max"), 0);
	assert_true(!strcmp(raw(f, c, CG_MEMORY, v2 ? "memory.max" : "memory.limit_in_bytes"), v2 ? "max" : "9223372036854771712"));
	assert_int_equal(raw_u64(f, c, CG_CPU, v2 ? "cpu.weight" : "cpu.shares"), v2 ? 100 : 1024);
	assert_string_equal(raw(f, c, CG_PIDS, "pids.max"), "max");
}

static void ends_of_the_ranges_hold(void **state)
{
	struct fixture *f = need(state);
	struct limits *l = &f->pod->limits;
	l->has_cpu_weight = l->has_pids_max = l->has_memory_max = true;
	l->cpu_weight = 1, l->pids_max = 4194304, l->memory_max = LIMIT_MAX - 1;
	assert_int_equal(apply(f, NULL, "cpu.weight"), 0);
	assert_int_equal(apply(f, NULL, "pids.max"), 0);
	assert_int_equal(apply(f, NULL, "memory.max"), 0);
	l->cpu_weight = 10000, l->pids_max = 0;
	assert_int_equal(apply(f, NULL, "cpu.weight"), 0);
	assert_int_equal(apply(f, NULL, "pids.max"), 0);
	set_cpu(l, 1000, 1000000);
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
	set_cpu(l, (1ull << 44) - 1, 1000);
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
}

static void refused(struct fixture *f, const char *file)
{
	struct cg_writes w = { 0 };
	struct err e = { 0 };
	assert_int_equal(cg_limit(f->h, (struct spec_ref){ f->pod, NULL }, file, &w, &e), -EINVAL);
	assert_int_equal(w.n, 0);
	assert_non_null(strstr(e.text, file));
}

static void values_beyond_are_refused(void **state)
{
	struct fixture *f = need(state);
	struct limits *l = &f->pod->limits;
	l->has_cpu_weight = l->has_pids_max = true;
	l->cpu_weight = 0, l->pids_max = 4194305;
	refused(f, "cpu.weight");
	refused(f, "pids.max");
	l->cpu_weight = 10001;
	refused(f, "cpu.weight");
	static const uint64_t bad[][2] = { { 999, 100000 }, { 0, 100000 }, { 50000, 999 }, { 50000, 1000001 },
		{ 1ull << 44, 100000 }, { LIMIT_MAX, 0 } };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		set_cpu(l, bad[i][0], bad[i][1]);
		refused(f, "cpu.max");
	}
	struct cg_writes w = { 0 };
	struct err e = { 0 };
	assert_int_equal(cg_limit(f->h, (struct spec_ref){ f->pod, NULL }, "io.max", &w, &e), -EOPNOTSUPP);
}

/* The limit that holds in c, in ratio * 2^20: the lower one of its own and the pod's. */
static uint64_t effective(struct fixture *f, const struct container_spec *c)
{
	unsigned long long quota = 0, period = 1;
	if (is_v2(f)) {
		char text[64];
		snprintf(text, sizeof text, "%s", raw(f, c, CG_CPU, "cpu.max"));
		if (sscanf(text, "max %llu", &period) == 1)
			return UINT64_MAX;
		assert_int_equal(sscanf(text, "%llu %llu", &quota, &period), 2);
	} else {
		if (*raw(f, c, CG_CPU, "cpu.cfs_quota_us") == '-')
			return UINT64_MAX;
		quota = raw_u64(f, c, CG_CPU, "cpu.cfs_quota_us");
		period = raw_u64(f, c, CG_CPU, "cpu.cfs_period_us");
	}
	return (quota << 20) / period;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void containers_keep_theirs_below_the_pods(void **state)
{
	struct fixture *f = need(state);
	struct container_spec *a = add_container(f, "a", 1), *b = add_container(f, "b", 2);
	set_cpu(&f->pod->limits, 100000, 100000);
	set_cpu(&a->limits, 50000, 100000);
	set_cpu(&b->limits, 200000, 100000);
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
	assert_int_equal(apply(f, a, "cpu.max"), 0);
	assert_int_equal(apply(f, b, "cpu.max"), 0);
	assert_int_equal(effective(f, a), (1 << 20) / 2);
	assert_true(effective(f, b) >= 1 << 20);
	set_cpu(&f->pod->limits, 20000, 100000); /* below both */
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
	assert_int_equal(least(effective(f, a), effective(f, NULL)), (20000ull << 20) / 100000);
	set_cpu(&f->pod->limits, 80000, 100000); /* a's own counts again */
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
	assert_int_equal(effective(f, a), (1 << 20) / 2);
	f->pod->limits = (struct limits){ 0 };
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
	assert_int_equal(effective(f, NULL), UINT64_MAX);
	assert_int_equal(effective(f, b), 2 << 20);
}

/* A container that was removed and is still being stopped: no longer in the spec, but the kernel counts it. */
static void a_leaving_group_is_no_obstacle(void **state)
{
	struct fixture *f = need(state);
	struct container_spec *a = add_container(f, "a", 1);
	set_cpu(&a->limits, 60000, 100000);
	assert_int_equal(apply(f, a, "cpu.max"), 0);
	pod_spec_drop(f->pod, a);
	set_cpu(&f->pod->limits, 10000, 100000);
	assert_int_equal(apply(f, NULL, "cpu.max"), 0);
}

static void random_cpu(struct limits *l, unsigned *seed)
{
	static const uint64_t periods[] = { 1000, 10000, 33333, 100000, 1000000 };
	if (rand_r(seed) % 4 == 0) {
		*l = (struct limits){ 0 };
		return;
	}
	uint64_t quota = 1000 + (uint64_t)rand_r(seed) % 400000;
	set_cpu(l, rand_r(seed) % 5 ? quota : LIMIT_MAX, periods[(unsigned)rand_r(seed) % ARRAY_LEN(periods)]);
}

static uint64_t wanted(const struct limits *l)
{
	return !l->has_cpu_max || l->cpu_quota == LIMIT_MAX ? UINT64_MAX : (l->cpu_quota << 20) / l->cpu_period;
}

static void any_order_of_cpu_limits_is_taken(void **state)
{
	struct fixture *f = need(state);
	unsigned seed = 20260801;
	struct container_spec *c[3] = { add_container(f, "a", 1), add_container(f, "b", 2), add_container(f, "c", 3) };
	for (int i = 0; i < 300; i++) {
		int who = rand_r(&seed) % 4;
		random_cpu(who ? &c[who - 1]->limits : &f->pod->limits, &seed);
		assert_int_equal(apply(f, who ? c[who - 1] : NULL, "cpu.max"), 0);
		uint64_t pod = effective(f, NULL);
		assert_int_equal(pod, wanted(&f->pod->limits));
		for (int k = 0; k < 3; k++)
			assert_int_equal(least(effective(f, c[k]), pod), least(wanted(&c[k]->limits), pod));
	}
}

/* --- use --- */

static void touch(void *arg)
{
	size_t n = *(size_t *)arg;
	volatile char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; p != MAP_FAILED && i < n; i += 4096)
		p[i] = 1;
}

static void touch_and_stop(void *arg)
{
	touch(arg);
	raise(SIGSTOP);
}

static const char *show(struct fixture *f, const char *id, const char *file)
{
	static char text[4096];
	_cleanup_buf_ struct buf b = { 0 };
	int r = cg_show(f->h, TEST_UID, id, file, &b);
	snprintf(text, sizeof text, "%s", r ? strerror(-r) : buf_str(&b));
	return text;
}

static uint64_t key(struct fixture *f, const char *id, const char *file, const char *name)
{
	return cg_key(show(f, id, file), name);
}

static void keys_in_order(const char *text, const char *const *keys, size_t n)
{
	const char *at = text;
	for (size_t i = 0; i < n; i++) {
		const char *k = strstr(at, keys[i]);
		if (!k)
			fail_msg("no '%s' in order in:\n%s", keys[i], text);
		else
			at = k + strlen(keys[i]);
	}
}

static void use_is_shown(void **state)
{
	static const char *const stat_keys[] = { "usage_usec ", "\nuser_usec ", "\nsystem_usec ", "\nnr_periods ",
		"\nnr_throttled ", "\nthrottled_usec ", "\nnr_bursts ", "\nburst_usec " };
	static const char *const event_keys[] = { "low ", "\nhigh ", "\nmax ", "\noom ", "\noom_kill ", "\noom_group_kill " };
	struct fixture *f = need(state);
	size_t n = 8 * MIB;
	int status;
	assert_non_null(add_container(f, "a", 1));
	pid_t pid = run_in(f, "a.1", touch_and_stop, &n);
	assert_true(pid > 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	for (int i = 0; i < 2; i++) {
		const char *id = i ? "a.1" : NULL;
		struct cg_use u = { 0 };
		assert_int_equal(cg_use(f->h, TEST_UID, id, &u), 0);
		assert_true(u.memory >= n && u.memory < n + 4 * MIB);
		assert_int_equal(u.pids, 1);
		assert_true(u.cpu_usec > 0);
		assert_true(strtoull(show(f, id, "memory.peak"), NULL, 10) >= n);
		assert_true(strtoull(show(f, id, "memory.current"), NULL, 10) >= n);
		assert_string_equal(show(f, id, "pids.current"), "1\n");
		keys_in_order(show(f, id, "memory.events"), event_keys, ARRAY_LEN(event_keys));
		const char *stat = show(f, id, "cpu.stat"); /* one reading: another may know more */
		keys_in_order(stat, stat_keys, ARRAY_LEN(stat_keys));
		uint64_t parts = cg_key(stat, "user_usec") + cg_key(stat, "system_usec");
		assert_in_range(cg_key(stat, "usage_usec"), parts, parts + 1); /* each is cut to whole microseconds */
	}
	kill(pid, SIGKILL);
	reap(pid);
	assert_string_equal(show(f, "b.2", "pids.current"), strerror(ENOENT));
	assert_string_equal(show(f, NULL, "no.such"), strerror(EOPNOTSUPP));
	struct cg_use u;
	assert_int_equal(cg_use(f->h, TEST_UID, "b.2", &u), -ENOENT);
}

/* So that the test does not depend on the host's swap; where it has none, the file is not there. */
static void without_swap(struct fixture *f, const char *id)
{
	const struct cg_group g = { f->h, TEST_UID, id };
	char path[PATH_MAX];
	assert_int_equal(cg_path(&g, CG_MEMORY, is_v2(f) ? "memory.swap.max" : "memory.memsw.limit_in_bytes", path), 0);
	int r = is_v2(f) ? write_file(path, "0", 1) : write_file(path, "16M", 3);
	assert_true(!r || r == -ENOENT);
}

static void oom_kills_are_counted(void **state)
{
	struct fixture *f = need(state);
	struct container_spec *c = add_container(f, "a", 1);
	struct cg_plan plan = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	size_t n = 256 * MIB;
	c->limits.has_memory_max = true;
	c->limits.memory_max = 8 * MIB;
	assert_int_equal(apply(f, c, "memory.max"), 0);
	without_swap(f, "a.1");
	assert_int_equal(cg_plan(f->h, TEST_UID, "a.1", &plan), 0);
	int status = reap(run_in(f, "a.1", touch, &n));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(key(f, "a.1", "memory.events", "oom_kill"), 1);
	assert_true(key(f, "a.1", "memory.events", "max") > 0);
	assert_int_equal(key(f, NULL, "memory.events", "oom_kill"), 1);
	assert_true(key(f, NULL, "memory.events", "max") > 0);
	assert_int_equal(read_file_at(-1, plan.oom, 4096, &b), 0);
	assert_int_equal(cg_key(buf_str(&b), "oom_kill"), 1);
	cg_plan_free(&plan);
}

/* --- the end --- */

static void processes_are_killed(void **state)
{
	struct fixture *f = need(state);
	struct cg_plan plan = { 0 };
	assert_non_null(add_container(f, "a", 1));
	assert_non_null(add_container(f, "b", 2));
	pid_t p[3] = { run_in(f, "a.1", NULL, NULL), run_in(f, "a.1", NULL, NULL), run_in(f, "b.2", NULL, NULL) };
	assert_int_equal(cg_plan(f->h, TEST_UID, "b.2", &plan), 0);
	if (plan.freeze) /* as `ctl pause` leaves it */
		assert_int_equal(write_file(plan.freeze, plan.freeze_on, strlen(plan.freeze_on)), 0);
	cg_plan_free(&plan);
	int r = cg_destroy(f->h, TEST_UID);
	assert_true(!r || r == -EBUSY);
	for (int i = 0; i < 3; i++) {
		int status = reap(p[i]);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	assert_int_equal(destroy(f), 0);
	assert_string_equal(show(f, NULL, "pids.current"), strerror(ENOENT));
	assert_int_equal(cg_destroy(f->h, TEST_UID), 0); /* nothing there: done */
}

static void destroy_inside(void *arg)
{
	struct fixture *f = arg;
	_exit(cg_destroy(f->h, TEST_UID) == -EBUSY ? 0 : 1);
}

static void own_process_is_spared(void **state)
{
	struct fixture *f = need(state);
	assert_non_null(add_container(f, "a", 1));
	assert_int_equal(reap(run_in(f, "a.1", destroy_inside, f)), 0);
}

static bool is_listed(struct fixture *f, const char *uid, size_t *n)
{
	struct strs uids = { 0 };
	bool found = false;
	assert_int_equal(cg_list(f->h, &uids), 0);
	for (size_t i = 0; i < uids.n; i++)
		found |= !strcmp(uids.v[i], uid);
	*n = uids.n;
	strs_free(&uids);
	return found;
}

static void leftovers_are_listed(void **state)
{
	static const char other[] = "fedcba98-0000-4000-8000-000000000000";
	struct fixture *f = need(state);
	char path[PATH_MAX];
	size_t n;
	assert_true(is_listed(f, TEST_UID, &n));
	assert_int_equal(n, 1);
	/* one that is left in a single hierarchy, and a folder that is none of ours */
	snprintf(path, sizeof path, "%s/%s/%s", f->h->mount[CG_PIDS], f->parent, other);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/%s/stranger", f->h->mount[CG_PIDS], f->parent);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_true(is_listed(f, other, &n));
	assert_int_equal(n, 2);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(cg_destroy(f->h, other), 0);
	assert_int_equal(destroy(f), 0);
	assert_false(is_listed(f, TEST_UID, &n));
	assert_int_equal(n, 0);
}

static void empty_parent_goes(void **state)
{
	struct fixture *f = need(state);
	char path[PATH_MAX];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", f->h->mount[CG_MEMORY], f->parent);
	cg_close(f->h);
	assert_int_equal(stat(path, &st), 0); /* a pod is in there */
	assert_int_equal(cg_open(f->parent, &f->h, NULL), 0);
	assert_int_equal(destroy(f), 0);
	cg_close(f->h);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(cg_open(f->parent, &f->h, NULL), 0);
}

#define GROUP_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_up, fixture_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(bad_names_are_refused), GROUP_TEST(a_parent_with_processes_is_refused),
		GROUP_TEST(groups_are_made_once), GROUP_TEST(parent_comes_back),
		GROUP_TEST(limits_reach_the_kernel), GROUP_TEST(ends_of_the_ranges_hold), GROUP_TEST(values_beyond_are_refused),
		GROUP_TEST(containers_keep_theirs_below_the_pods), GROUP_TEST(a_leaving_group_is_no_obstacle),
		GROUP_TEST(any_order_of_cpu_limits_is_taken), GROUP_TEST(use_is_shown), GROUP_TEST(oom_kills_are_counted),
		GROUP_TEST(processes_are_killed), GROUP_TEST(own_process_is_spared), GROUP_TEST(leftovers_are_listed),
		GROUP_TEST(empty_parent_goes),
	};
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
