/* A run of a container, from the parent's side: clone, the child's report, the end of its processes.
 *
 * Owns the container's first process and the status socket. Decides nothing: what follows from what
 * happened stands in life.c.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SWEEP_MS 5
#define SWEEPS_MAX 2000

static void fail(struct container *c, int code, const struct err *e)
{
	free(c->failure);
	c->failure = malloc(sizeof *e);
	if (c->failure)
		*c->failure = *e;
	c->failure_code = code;
	c->failed = true;
}

/* As report_read: 1, 0 at the end, -EAGAIN. */
static int take_report(struct container *c)
{
	struct report rep;
	int r = report_read(c->status.fd, &rep);
	if (r <= 0)
		return r;
	if (rep.err.code)
		fail(c, rep.code, &rep.err);
	else if (rep.fd >= 0)
		container_new_root(c, take_fd(&rep.fd));
	close_fd(&rep.fd);
	return 1;
}

/* Its end is the exec, or the child's. */
static void close_status(struct container *c)
{
	if (c->status.fd < 0)
		return;
	loop_del(&c->pod->loop, &c->status);
	close_fd(&c->status.fd);
	if (!c->failed && c->root_run == c->run)
		life_event(c, ON_UP, NULL);
}

static void on_status(struct watch *w, uint32_t events UNUSED)
{
	struct container *c = container_of(w, struct container, status);
	int r = take_report(c);
	if (r <= 0 && r != -EAGAIN)
		close_status(c);
}

/* --- the end of its processes --- */

static void on_sweep(struct timer *t)
{
	struct container *c = container_of(t, struct container, sweep);
	if (cgroup_kill(c->plan) || ++c->sweeps > SWEEPS_MAX)
		logs_drain(c);
	else
		timer_arm(&c->pod->loop, t, SWEEP_MS);
}

/* A PID namespace of its own died with its first process, wholly (pid_namespaces(7)). In a shared one the
 * container's other processes are known by their cgroup. */
static void end_processes(struct container *c)
{
	c->sweeps = 0;
	c->sweep.fn = on_sweep;
	if (!c->shared_pid)
		logs_drain(c);
	else
		on_sweep(&c->sweep);
}

static void on_exited(struct child *ch, int code, int sig)
{
	struct container *c = container_of(ch, struct container, init);
	while (c->status.fd >= 0 && take_report(c) > 0)
		;
	close_status(c);
	if (!c->failed && c->root_run != c->run) {
		struct err e;
		err_set(&e, EIO, "its process ended before exec (exit status %d)", code);
		fail(c, EXIT_START_FAILED, &e);
	}
	timer_stop(&c->pod->loop, &c->timer);
	leak_ended(c);
	mounts_unwatch(c);
	c->exit_code = code;
	c->exit_signal = sig;
	c->finished_ns = now_real_ns();
	c->oom_killed = sig == SIGKILL && !c->sent_kill && cgroup_oom_kills(c->plan) > c->oom_before;
	end_processes(c);
}

/* --- the beginning --- */

static struct launch describe(struct container *c, int report, const int out[2])
{
	struct launch l = {
		.pod = c->pod, .container = c->name, .plan = plan_view(c->plan), .report = report,
		.stdio = { -1, out[0], out[1] }, .run = c->run, .shm = c->pod->reaper.watch.fd, .join = -1,
	};
	l.args = l.plan;
	return l;
}

static int clone_container(struct container *c, int report, const int out[2], struct err *e)
{
	struct pod *p = c->pod;
	struct launch l = describe(c, report, out);
	_cleanup_close_ int group = cgroup_clone_fd(&l.plan, e);
	if (group < -1)
		return group;
	c->shared_pid = p->share_pid;
	c->oom_before = cgroup_oom_kills(c->plan);
	int r = child_clone(p, &c->init, c->shared_pid ? 0 : CLONE_NEWPID, group, p->reaper.watch.fd, launch_container, &l);
	if (r)
		return err_sys(e, -r, "clone");
	c->init.exited = on_exited;
	child_watch(p, &c->init);
	return 0;
}

/* While the child makes its mounts. Without a log it must not run. */
static void open_log(struct container *c)
{
	struct err e = { 0 };
	if (!logs_open(c, &e)) {
		logs_watch(c);
		return;
	}
	fail(c, EXIT_START_FAILED, &e);
	logs_close_pipes(c);
	container_signal(c, SIGKILL);
}

static int spawn(struct container *c, struct err *e)
{
	int sv[2], out[2];
	int r = reaper_need(c->pod, e);
	if (!r)
		r = etc_need(c->pod, e);
	if (!r)
		r = logs_pipes(c, out, e);
	if (r)
		return r;
	_cleanup_close_ int out_end UNUSED = out[0], err_end UNUSED = out[1];
	r = wire_socketpair(sv);
	if (r)
		return err_sys(e, -r, "socket");
	_cleanup_close_ int theirs = sv[1];
	c->status = (struct watch){ .fd = sv[0], .fn = on_status };
	r = clone_container(c, theirs, out, e);
	if (r) {
		close_fd(&c->status.fd);
		return r;
	}
	loop_add(&c->pod->loop, &c->status, EPOLLIN);
	open_log(c);
	return 0;
}

/* Its own sweep: while it has no process nothing else uses it. */
static void on_reaper_awaited(struct timer *t)
{
	struct container *c = container_of(t, struct container, sweep);
	if (c->state == STARTING) {
		container_start(c);
		return;
	}
	timer_stop(&c->pod->loop, &c->timer); /* it was stopped meanwhile, and has nothing to end */
	life_event(c, ON_EXIT, NULL);
}

static bool awaits_reaper(struct container *c)
{
	if (!reaper_ends(c->pod) || c->sweeps++ > SWEEPS_MAX) {
		c->sweeps = 0;
		return false;
	}
	c->sweep.fn = on_reaper_awaited;
	timer_arm(&c->pod->loop, &c->sweep, SWEEP_MS);
	return true;
}

void container_start(struct container *c)
{
	struct err e = { 0 };
	if (awaits_reaper(c))
		return;
	ran_keep(c);
	if (c->want) {
		plan_free(c->plan);
		c->plan = take_ptr(c->want);
		c->asker = c->want_asker;
		c->want_asker = (struct asker){ 0 };
	}
	free(take_ptr(c->failure));
	free(take_ptr(c->trouble));
	c->failed = c->sent_kill = c->leak_told = c->oom_killed = c->inherited = false;
	c->next_ns = 0;
	c->run++;
	int r = spawn(c, &e);
	if (!r)
		return;
	fail(c, EXIT_START_FAILED, &e);
	c->exit_code = EXIT_START_FAILED;
	c->exit_signal = 0;
	c->finished_ns = now_real_ns();
	logs_close_pipes(c); /* nobody has written to them, and the log is not open */
	logs_drain(c);
}

int container_signal(struct container *c, int sig)
{
	if (sig == SIGKILL)
		c->sent_kill = true;
	return child_signal(&c->init, sig);
}
