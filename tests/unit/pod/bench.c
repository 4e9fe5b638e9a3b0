/* What podfs-pod itself takes, without a server: medians in µs, and the memory of idle pods.
 *
 *   PODFS_POD=…/podfs-pod bench [ROUNDS [PODS]]
 */
#include "tests/unit/pod/podctl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define ROUNDS_MAX 1000

static int by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return (d > 0) - (d < 0);
}

static void report(const char *what, double *us, int n)
{
	qsort(us, (size_t)n, sizeof *us, by_size);
	printf("%-36s %7.0f µs   (least %.0f, a tenth %.0f .. %.0f)\n", what, us[n / 2], us[0], us[n / 10], us[n * 9 / 10]);
}

static double since(uint64_t t0)
{
	return (double)(now_mono_ns() - t0) / 1000.0;
}

static void quiet(int ms)
{
	usleep((useconds_t)ms * 1000); /* isolated calls: back to back they hide the kernel's grace periods */
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s failed\n", what);
		exit(1);
	}
}

static void reset(struct rig *r)
{
	r->gone = 0;
	rig_new_uid(r);
}

static void delete(struct rig *r, double *answered, double *gone)
{
	struct wire_out o = { 0 };
	uint64_t t0 = now_mono_ns();
	rig_begin(r, &o, W_DELETE);
	wire_u64(&o, K_GRACE, 0);
	must(!rig_call(r, &o), "delete");
	*answered = since(t0);
	must(RIG_UNTIL(r, r->gone), "gone");
	*gone = since(t0);
	waitpid(r->pid, NULL, 0);
	close_fd(&r->sock);
}

/* As podfs-net has them ready: -1 where podfs-pod is to make one. */
static int new_netns(bool handed_in)
{
	if (!handed_in)
		return -1;
	int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	must(!unshare(CLONE_NEWNET), "unshare");
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	must(!setns(before, CLONE_NEWNET), "setns");
	close(before);
	return fd;
}

static void bench_sandbox(struct rig *r, int n, bool handed_in)
{
	double ready[ROUNDS_MAX], answered[ROUNDS_MAX], gone[ROUNDS_MAX];
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int netns = new_netns(handed_in);
		reset(r);
		quiet(30);
		uint64_t t0 = now_mono_ns();
		rig_spawn(r, NULL);
		must(!rig_sandbox_in(r, netns), "sandbox");
		ready[i] = since(t0);
		quiet(30);
		delete(r, &answered[i], &gone[i]);
	}
	report(handed_in ? "spawn to ready, namespace handed in" : "spawn to ready", ready, n);
	report("DELETE to answer (no container)", answered, n);
	report("DELETE to gone (no container)", gone, n);
}

static int start(struct rig *r, const char *name, char *const *argv)
{
	struct wire_out o = { 0 };
	rig_container(r, name)->state = -1;
	rig_plan_argv(r, &o, name, argv);
	return rig_call(r, &o);
}

/* What is left of it for the server to wait for, when the process came up meanwhile. */
static void bench_request(struct rig *r, int n)
{
	double ready[ROUNDS_MAX], a, b;
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int netns = new_netns(true);
		reset(r);
		rig_spawn(r, NULL);
		quiet(30);
		uint64_t t0 = now_mono_ns();
		must(!rig_sandbox_in(r, netns), "sandbox");
		ready[i] = since(t0);
		delete(r, &a, &b);
	}
	report("SANDBOX to answer, handed in", ready, n);
}

static void bench_first_start(struct rig *r, int n)
{
	double running[ROUNDS_MAX], a, b;
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	for (int i = 0; i < n; i++) {
		reset(r);
		rig_spawn(r, NULL);
		must(!rig_sandbox(r) && !rig_add(r, "c1"), "sandbox");
		quiet(30);
		uint64_t t0 = now_mono_ns();
		must(!start(r, "c1", argv), r->error);
		running[i] = since(t0);
		delete(r, &a, &b);
	}
	report("first START to running", running, n);
}

static void bench_start(struct rig *r, int n)
{
	double running[ROUNDS_MAX], ended[ROUNDS_MAX];
	char *argv[] = { (char *)"true", NULL };
	reset(r);
	rig_spawn(r, NULL);
	must(!rig_sandbox(r) && !rig_add(r, "c1"), "sandbox");
	for (int i = 0; i < n; i++) {
		quiet(30);
		uint64_t t0 = now_mono_ns();
		must(!start(r, "c1", argv), r->error);
		running[i] = since(t0);
		must(rig_wait(r, "c1", WIRE_TERMINATED), "end");
		ended[i] = since(t0);
	}
	report("START to running", running, n);
	report("START to ended, true", ended, n);
}

static void bench_exec(struct rig *r, int n)
{
	double up[ROUNDS_MAX], ended[ROUNDS_MAX];
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	must(!start(r, "c1", argv), r->error);
	for (int i = 0; i < n; i++) {
		struct wire_out o = { 0 };
		uint64_t serial = (uint64_t)i + 1;
		quiet(30);
		uint64_t t0 = now_mono_ns();
		rig_begin(r, &o, W_EXEC);
		wire_u64(&o, K_SESSION, serial);
		wire_str(&o, K_NAME, "c1");
		wire_str(&o, K_ARG, "true");
		must(!rig_call(r, &o), r->error);
		up[i] = since(t0);
		struct seen_session *s = rig_session(r, serial);
		must(RIG_UNTIL(r, s->state == WIRE_SESSION_ENDED), "session");
		ended[i] = since(t0);
		for (int k = 0; k < 3; k++)
			close_fd(&r->fds[k]);
		rig_begin(r, &o, W_EXEC_END);
		wire_u64(&o, K_SESSION, serial);
		rig_call(r, &o);
	}
	report("EXEC to answer, true", up, n);
	report("EXEC to ended, true", ended, n);
}

static long pss_of(pid_t pid)
{
	char path[64], line[128];
	long kib = 0;
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "Pss:", 4))
			kib = atol(line + 4);
	if (f)
		fclose(f);
	return kib;
}

static long children_pss(pid_t pid, bool ours_only)
{
	char path[64], comm[32] = "";
	long sum = 0;
	int child;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	FILE *f = fopen(path, "re");
	while (f && fscanf(f, "%d", &child) == 1) {
		snprintf(path, sizeof path, "/proc/%d/comm", child);
		FILE *c = fopen(path, "re");
		if (c && fgets(comm, sizeof comm, c) && (!ours_only || !strncmp(comm, "podfs", 5)))
			sum += pss_of(child);
		if (c)
			fclose(c);
	}
	if (f)
		fclose(f);
	return sum;
}

static void bench_memory(struct rig *r, int pods)
{
	struct rig *all = calloc((size_t)pods, sizeof *all);
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	double a, b;
	long empty = 0, main_pss = 0, reaper = 0;
	for (int i = 0; i < pods; i++) {
		all[i] = *r;
		all[i].containers = NULL;
		reset(&all[i]);
		rig_spawn(&all[i], NULL);
		must(!rig_sandbox(&all[i]) && !rig_add(&all[i], "c1"), "sandbox");
	}
	for (int i = 0; i < pods; i++)
		empty += pss_of(all[i].pid);
	for (int i = 0; i < pods; i++)
		must(!start(&all[i], "c1", argv), all[i].error);
	for (int i = 0; i < pods; i++) {
		main_pss += pss_of(all[i].pid);
		reaper += children_pss(all[i].pid, true);
	}
	printf("%d pods, KiB PSS each: empty %ld; with a container: podfs-pod %ld, reaper %ld\n", pods, empty / pods,
	       main_pss / pods, reaper / pods);
	for (int i = 0; i < pods; i++)
		delete(&all[i], &a, &b);
	free(all);
}

static void bench_log(struct rig *r, size_t size)
{
	char *argv[] = { (char *)"dd", (char *)"if=/lines", (char *)"bs=64k", NULL };
	char path[128], line[101];
	snprintf(path, sizeof path, "%s/root/lines", r->base);
	FILE *f = fopen(path, "we");
	memset(line, 'x', 100);
	line[99] = '\n';
	for (size_t i = 0; f && i < size / 100; i++)
		fwrite(line, 100, 1, f);
	must(f && !fclose(f), path);
	rig_add(r, "log");
	for (int i = 0; i < 3; i++) {
		struct wire_out o = { 0 };
		uint64_t t0 = now_mono_ns();
		rig_container(r, "log")->state = -1;
		rig_plan_argv(r, &o, "log", argv);
		wire_u64(&o, K_LOG_MAX, 1 << 30);
		must(!rig_call(r, &o), r->error);
		must(rig_wait(r, "log", WIRE_TERMINATED), "log");
		printf("log of a container, %zu MB             %.0f MB/s\n", size / 1000000, (double)size / since(t0));
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 30, pods = argc > 2 ? atoi(argv[2]) : 50;
	struct rig r;
	double a, b;
	if (n < 1 || n > ROUNDS_MAX || pods < 1)
		return 2;
	rig_open(&r, true);
	rig_add(&r, "c1");
	delete(&r, &a, &b);
	bench_sandbox(&r, n, false);
	bench_sandbox(&r, n, true);
	bench_request(&r, n);
	bench_first_start(&r, n);
	bench_start(&r, n);
	bench_exec(&r, n);
	bench_log(&r, 200000000);
	delete(&r, &a, &b);
	bench_memory(&r, pods);
	r.gone = 1;
	r.pid = 0;
	rig_close(&r);
	return 0;
}
