/* podfs-pod: a container's life, as the table in runtime/pod/life.c has it. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include "runtime/spec/spec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

static uint64_t now_ms(void)
{
	return now_mono_ns() / 1000000;
}

static void expect_end(struct rig *r, const char *script, int code, int sig, const char *reason)
{
	struct seen *s = rig_container(r, "c1");
	s->state = -1;
	assert_int_equal(rig_run(r, "c1", script), 0);
	assert_true(rig_wait(r, "c1", WIRE_TERMINATED));
	assert_int_equal(s->code, code);
	assert_int_equal(s->signal, sig);
	assert_string_equal(s->reason, reason);
}

static void test_exit_codes(void **state)
{
	struct rig r;
	rig_open(&r, true);
	expect_end(&r, "exit 0", 0, 0, "Completed");
	expect_end(&r, "exit 3", 3, 0, "Error");
	expect_end(&r, "exit 255", 255, 0, "Error");
	/* PID 1 takes only signals that it has a handler for; from outside SIGKILL works. */
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	assert_int_equal(rig_simple(&r, W_KILL, "c1"), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_int_equal(rig_container(&r, "c1")->code, 137);
	assert_int_equal(rig_container(&r, "c1")->signal, SIGKILL);
	assert_string_equal(rig_container(&r, "c1")->reason, "Error");
	rig_close(&r);
}

static void expect_failure(struct rig *r, const char *command, int result, int code, const char *words)
{
	struct wire_out o = { 0 };
	char *argv[] = { (char *)command, NULL };
	struct seen *s = rig_container(r, "c1");
	if (!s->known)
		rig_add(r, "c1");
	rig_plan_argv(r, &o, "c1", argv);
	assert_int_equal(rig_call(r, &o), result);
	assert_non_null(strstr(r->error, words));
	assert_true(rig_wait(r, "c1", WIRE_TERMINATED));
	assert_int_equal(s->code, code);
	assert_string_equal(s->reason, code == 128 ? "StartError" : "ContainerCannotRun");
	assert_string_equal(s->error, r->error);
}

static void test_start_failures(void **state)
{
	struct rig r;
	rig_open(&r, true);
	expect_failure(&r, "nosuch", -ENOENT, 127, "command nosuch: not found in PATH");
	expect_failure(&r, "/bin/nosuch", -ENOENT, 127, "/bin/nosuch");
	expect_failure(&r, "noexec", -EACCES, 126, "noexec");
	expect_failure(&r, "/bin", -EACCES, 126, "/bin");
	expect_failure(&r, "plain", -ENOEXEC, 126, "plain");
	expect_failure(&r, "nointerp", -ENOENT, 127, "nointerp");
	expect_failure(&r, "/proc/self/fd/9/bin/sh", -ENOENT, 127, "/proc/self/fd/9");
	rig_close(&r);
}

static int start_with(struct rig *r, enum wire_key key, const char *value)
{
	struct wire_out o = { 0 };
	if (!rig_container(r, "c1")->known)
		rig_add(r, "c1");
	rig_container(r, "c1")->state = -1;
	rig_plan(r, &o, "c1", "id -u; id -g; id -G; pwd; echo $HOME; exit 0");
	wire_str(&o, key, value);
	int result = rig_call(r, &o);
	rig_wait(r, "c1", WIRE_TERMINATED);
	return result;
}

static void test_user_and_cwd(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(start_with(&r, K_USER, "app"), 0);
	assert_string_equal(rig_log(&r, "c1"), "1000\n1001\n1001 2000\n/\n/home/app\n");
	assert_int_equal(start_with(&r, K_USER, "app2"), -EINVAL);
	assert_string_equal(r.error, "user app2: not in /etc/passwd of the image");
	assert_int_equal(rig_container(&r, "c1")->code, 128);
	assert_int_equal(start_with(&r, K_USER, "1234:extra"), 0);
	assert_non_null(strstr(rig_log(&r, "c1"), "\n1234\n2000\n2000\n/\n/\n"));
	assert_int_equal(start_with(&r, K_USER, "app:nogroup"), -EINVAL);
	assert_int_equal(start_with(&r, K_USER, "4294967295"), -EINVAL);
	assert_int_equal(start_with(&r, K_CWD, "/made/on/the/way"), 0);
	assert_non_null(strstr(rig_log(&r, "c1"), "\n/made/on/the/way\n"));
	assert_int_equal(start_with(&r, K_CWD, "relative"), -EINVAL);
	assert_int_equal(start_with(&r, K_CWD, "/bin/busybox"), -ENOTDIR);
	/* A workdir that leads to the host by a descriptor (CVE-2024-21626). */
	assert_int_not_equal(start_with(&r, K_CWD, "/proc/self/fd/7/../../.."), 0);
	rig_close(&r);
}

static void test_oom(void **state)
{
	struct rig r;
	char path[256];
	rig_open(&r, true);
	rig_add(&r, "c1");
	if (rig_memory_file(&r, "c1", path, sizeof path)) {
		struct wire_out o = { 0 };
		rig_begin(&r, &o, W_LIMIT);
		wire_str(&o, K_PATH, path);
		wire_str(&o, K_VALUE, "67108864");
		assert_int_equal(rig_call(&r, &o), 0);
		expect_end(&r, "exec dd if=/dev/zero of=/dev/null bs=256M", 137, SIGKILL, "OOMKilled");
		expect_end(&r, "exit 4", 4, 0, "Error");
		rig_begin(&r, &o, W_LIMIT);
		wire_str(&o, K_PATH, path);
		wire_str(&o, K_VALUE, "nonsense");
		assert_int_equal(rig_call(&r, &o), -EINVAL);
		assert_non_null(strstr(r.error, path));
	}
	rig_close(&r);
}

static void stop(struct rig *r, const char *name, unsigned grace)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_STOP);
	wire_str(&o, K_NAME, name);
	wire_u64(&o, K_GRACE, grace);
	assert_int_equal(rig_call(r, &o), 0);
}

static void test_stop(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"), 0);
	assert_true(rig_logged(&r, "c1", "up"));
	stop(&r, "c1", 20);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_int_equal(rig_container(&r, "c1")->code, 7);
	assert_string_equal(rig_log(&r, "c1"), "up\nbye\n");

	/* Who ignores it is killed when the grace period is over. */
	uint64_t before = now_ms();
	assert_int_equal(rig_run(&r, "c2", "trap '' TERM; while :; do sleep 0.05; done"), 0);
	stop(&r, "c2", 1);
	assert_true(rig_wait(&r, "c2", WIRE_TERMINATED));
	assert_int_equal(rig_container(&r, "c2")->code, 137);
	assert_in_range(now_ms() - before, 1000, 3000);
	assert_int_equal(rig_container(&r, "c2")->restarts, 0);
	rig_close(&r);
}

static void test_start_while_running(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "trap 'exit 0' TERM; echo first; while :; do sleep 0.05; done"), 0);
	assert_true(rig_logged(&r, "c1", "first"));
	int first = rig_container(&r, "c1")->pid;
	assert_int_equal(rig_run(&r, "c1", "echo second; exec sleep 1000"), 0);
	assert_int_not_equal(rig_container(&r, "c1")->pid, first);
	assert_false(alive(first));
	assert_true(rig_logged(&r, "c1", "first\nsecond\n"));
	rig_close(&r);
}

static void test_restarts(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	rig_add(&r, "c1");
	struct seen *s = rig_container(&r, "c1");
	rig_plan(&r, &o, "c1", "exit 1");
	wire_u64(&o, K_RESTART, RESTART_ALWAYS);
	wire_u64(&o, K_BACKOFF_BASE, 200);
	wire_u64(&o, K_BACKOFF_CAP, 400);
	wire_u64(&o, K_BACKOFF_RESET, 60000);
	uint64_t before = now_ms();
	assert_int_equal(rig_call(&r, &o), 0);
	/* 0, 200, 400, 400 ms */
	assert_true(RIG_UNTIL(&r, s->restarts == 2 && s->state == WIRE_WAITING));
	assert_string_equal(s->reason, "CrashLoopBackOff");
	assert_int_equal(s->code, 1);
	assert_true(s->next_ns > s->finished_ns);
	assert_true(RIG_UNTIL(&r, s->restarts == 4));
	assert_in_range(now_ms() - before, 990, 3000);
	assert_true(RIG_UNTIL(&r, s->state == WIRE_WAITING));
	stop(&r, "c1", 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_int_equal(s->next_ns, 0);

	rig_plan(&r, &o, "c1", "exit 0");
	wire_u64(&o, K_RESTART, RESTART_ON_FAILURE);
	s->state = -1;
	assert_int_equal(rig_call(&r, &o), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	rig_close(&r);
}

static void pause_on(int cgversion)
{
	struct rig r;
	rig_open_on(&r, true, cgversion);
	if (r.cgroups) {
		assert_int_equal(rig_run(&r, "c1", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"), 0);
		assert_int_equal(rig_simple(&r, W_UNPAUSE, "c1"), -EINVAL);
		assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), 0);
		assert_int_equal(rig_container(&r, "c1")->state, WIRE_PAUSED);
		assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), 0);
		assert_int_equal(rig_simple(&r, W_UNPAUSE, "c1"), 0);
		assert_int_equal(rig_container(&r, "c1")->state, WIRE_RUNNING);
		assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), 0);
		assert_int_equal(rig_simple(&r, W_KILL, "c1"), 0);
		assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
		assert_int_equal(rig_container(&r, "c1")->code, 137);
		assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
		assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), 0);
	}
	rig_close(&r); /* removes a paused one */
}

static void test_pause(void **state)
{
	pause_on(1);
	pause_on(2);
}

static void test_logs_exact(void **state)
{
	struct rig r;
	rig_open(&r, true);
	expect_end(&r, "seq 1 20000; printf 'no newline'", 0, 0, "Completed");
	const char *log = rig_log(&r, "c1");
	for (int i = 1; i <= 20000; i++) {
		char line[16];
		int n = snprintf(line, sizeof line, "%d\n", i);
		assert_memory_equal(log, line, (size_t)n);
		log += n;
	}
	assert_string_equal(log, "no newline");
	/* A background child that holds the pipes does not hold the end. */
	expect_end(&r, "sleep 1000 & echo left", 0, 0, "Completed");
	assert_non_null(strstr(rig_log(&r, "c1"), "left\n"));
	rig_close(&r);
}

static void share_pid_on(int cgversion)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open_on(&r, true, cgversion);
	rig_begin(&r, &o, W_SHARE);
	wire_str(&o, K_SHARE, "ipc net uts pid");
	assert_int_equal(rig_call(&r, &o), 0);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	rig_begin(&r, &o, W_SHARE);
	wire_str(&o, K_SHARE, "ipc net uts");
	assert_int_equal(rig_call(&r, &o), -EBUSY);
	assert_int_equal(rig_run(&r, "c2", "cat /proc/1/comm; cat /proc/*/cmdline | tr '\\0' ' '; exit 0"), 0);
	assert_true(rig_wait(&r, "c2", WIRE_TERMINATED));
	assert_non_null(strstr(rig_log(&r, "c2"), "podfs-reaper\n"));
	assert_non_null(strstr(rig_log(&r, "c2"), "sleep 1000"));
	if (r.cgroups) {
		/* What it left in the background is ended with it, by its cgroup. */
		assert_int_equal(rig_run(&r, "c3", "sleep 1000 & echo $!"), 0);
		assert_true(rig_wait(&r, "c3", WIRE_TERMINATED));
		char procs[300];
		rig_cgdir(&r, "pids", "c3", procs, sizeof procs - 20);
		strcat(procs, "/cgroup.procs");
		_cleanup_buf_ struct buf b = { 0 };
		assert_int_equal(read_file_at(AT_FDCWD, procs, 4096, &b), 0);
		assert_int_equal(b.len, 0);
	}
	assert_int_equal(rig_container(&r, "c1")->state, WIRE_RUNNING);
	rig_close(&r);
}

static void test_share_pid(void **state)
{
	share_pid_on(1);
	share_pid_on(2);
}

static void test_drop(void **state)
{
	struct rig r;
	char path[256];
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	int pid = rig_container(&r, "c1")->pid;
	struct wire_out o = { 0 };
	rig_begin(&r, &o, W_DROP);
	wire_str(&o, K_NAME, "c1");
	wire_u64(&o, K_GRACE, 0);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_int_equal(rig_simple(&r, W_STOP, "c1"), -ENOENT);
	assert_true(RIG_UNTIL(&r, r.dropped));
	assert_false(alive(pid));
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/state/pods/%s/%s/c1", r.base, r.uid, i ? "logs" : "c");
		assert_int_not_equal(access(path, F_OK), 0);
	}
	rig_cgdir(&r, "memory", "c1", path, sizeof path);
	assert_int_not_equal(access(path, F_OK), 0);
	rig_container(&r, "c1")->known = false;
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0); /* the name is free */
	rig_close(&r);
}

/* SIGKILL of podfs-pod ends the containers, also one whose first process changed its uid and
 * so lost its own parent-death signal. */
static void test_killed(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	rig_add(&r, "c2");
	rig_plan(&r, &o, "c2", "exec sleep 1000");
	wire_str(&o, K_USER, "app");
	assert_int_equal(rig_call(&r, &o), 0);
	int one = rig_container(&r, "c1")->pid, two = rig_container(&r, "c2")->pid;
	assert_true(alive(one) && alive(two));
	kill(r.pid, SIGKILL);
	waitpid(r.pid, NULL, 0);
	assert_true(wait_dead(one) && wait_dead(two));
	close_fd(&r.sock);
	rig_spawn(&r, NULL);
	assert_int_equal(rig_sandbox(&r), 0);
	rig_close(&r);
}

/* The kernel ends the containers with the reaper, and that only once we have reaped all of them: no start may run into what is left of
 * its PID namespace. */
static void test_reaper_killed(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	char command[64];
	rig_open(&r, true);
	for (int i = 1; i <= 3; i++) {
		snprintf(command, sizeof command, "c%d", i);
		rig_add(&r, command);
		rig_plan(&r, &o, command, "exec sleep 1000");
		wire_u64(&o, K_RESTART, RESTART_ALWAYS);
		wire_u64(&o, K_BACKOFF_BASE, 60000);
		assert_int_equal(rig_call(&r, &o), 0);
	}
	snprintf(command, sizeof command, "pkill -9 -P %d -x podfs-reaper", r.pid);
	assert_int_equal(system(command), 0);
	for (int i = 1; i <= 3; i++) {
		snprintf(command, sizeof command, "c%d", i);
		struct seen *s = rig_container(&r, command);
		assert_true(RIG_UNTIL(&r, s->restarts == 1 && s->state == WIRE_RUNNING));
		assert_int_equal(s->last_code, 137);
		assert_true(alive(s->pid));
	}
	assert_null(strstr(r.events, "log"));
	assert_int_equal(rig_simple(&r, W_DROP, "c1"), 0);
	rig_close(&r);
}

/* What is asked of a container while it waits for the old reaper's end. */
static void test_reaper_killed_and_stopped(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	char command[64];
	rig_open(&r, true);
	for (int i = 0; i < 20; i++) {
		rig_add(&r, "c1");
		rig_plan(&r, &o, "c1", "exec sleep 1000");
		wire_u64(&o, K_RESTART, RESTART_ALWAYS);
		wire_u64(&o, K_BACKOFF_BASE, 60000);
		assert_int_equal(rig_call(&r, &o), 0);
		struct seen *s = rig_container(&r, "c1");
		snprintf(command, sizeof command, "pkill -9 -P %d -x podfs-reaper", r.pid);
		assert_int_equal(system(command), 0);
		assert_true(RIG_UNTIL(&r, s->state != WIRE_RUNNING));
		stop(&r, "c1", 0);
		assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
		assert_int_equal(s->code, 137);
	}
	rig_close(&r);
}

static void test_policy_while_it_waits(void **state)
{
	static const struct {
		const char *script;
		int code;
		enum restart_policy policy;
		bool ends;
	} t[] = { { "exit 0", 0, RESTART_ON_FAILURE, true }, { "exit 1", 1, RESTART_ON_FAILURE, false }, { "exit 1", 1, RESTART_NEVER, true } };
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	rig_add(&r, "c1");
	struct seen *s = rig_container(&r, "c1");
	EACH(t, i) {
		rig_plan(&r, &o, "c1", t[i].script);
		wire_u64(&o, K_RESTART, RESTART_ALWAYS);
		wire_u64(&o, K_BACKOFF_BASE, 60000);
		assert_int_equal(rig_call(&r, &o), 0);
		assert_true(RIG_UNTIL(&r, s->restarts == i + 1 && s->state == WIRE_WAITING && s->next_ns));
		rig_begin(&r, &o, W_POLICY);
		wire_u64(&o, K_RESTART, t[i].policy);
		assert_int_equal(rig_call(&r, &o), 0);
		assert_int_equal(s->state, t[i].ends ? WIRE_TERMINATED : WIRE_WAITING);
		if (!t[i].ends)
			stop(&r, "c1", 0);
		assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
		assert_int_equal(s->next_ns, 0);
		assert_int_equal(s->code, t[i].code);
		assert_string_equal(s->reason, t[i].code ? "Error" : "Completed");
	}
	rig_close(&r);
}

static void test_delete_with_grace(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"), 0);
	assert_int_equal(rig_run(&r, "c2", "trap '' TERM; echo up; while :; do sleep 0.05; done"), 0);
	assert_true(rig_logged(&r, "c1", "up") && rig_logged(&r, "c2", "up"));
	int one = rig_container(&r, "c1")->pid, two = rig_container(&r, "c2")->pid;
	rig_begin(&r, &o, W_DELETE);
	wire_u64(&o, K_GRACE, 1);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_true(wait_dead(one));
	assert_true(alive(two));
	rig_reconnect(&r); /* a new server learns that it is leaving */
	assert_true(r.leaving);
	assert_true(RIG_UNTIL(&r, r.gone));
	assert_false(alive(two));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_start_failures), cmocka_unit_test(test_user_and_cwd),
		cmocka_unit_test(test_oom), cmocka_unit_test(test_stop), cmocka_unit_test(test_start_while_running),
		cmocka_unit_test(test_restarts), cmocka_unit_test(test_pause), cmocka_unit_test(test_logs_exact),
		cmocka_unit_test(test_share_pid), cmocka_unit_test(test_drop), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_delete_with_grace),
		cmocka_unit_test(test_reaper_killed), cmocka_unit_test(test_reaper_killed_and_stopped),
		cmocka_unit_test(test_policy_while_it_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
