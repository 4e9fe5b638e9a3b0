/* The end of a pod: everything stopped, everything removed, then W_GONE.
 *
 * A row of stages, each done when what it waits for is gone. leave_step is called after everything that may have
 * been the last of it.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define SWEEP_MS 10
#define SWEEPS_MAX 1000
#define GONE_MS 1000 /* for a slow server to take W_GONE */

enum stage { CONTAINERS, REAPER, CGROUPS, TREE, GONE };

static void on_timer(struct timer *t UNUSED)
{
	leave_step(&pod_self);
}

static bool containers_gone(struct pod *p)
{
	if (!p->containers)
		sessions_free_ended(p);
	return !p->containers && !p->sessions && !p->jobs;
}

static bool reaper_gone(struct pod *p)
{
	if (!p->reaper.pid)
		return true;
	child_signal(&p->reaper, SIGKILL);
	return false;
}

static bool cgroups_gone(struct pod *p)
{
	struct err busy = { 0 };
	cgroup_kill(p->groups);
	if (!cgroup_remove(p->groups, &busy))
		return true;
	if (++p->tries <= SWEEPS_MAX) {
		timer_arm(&p->loop, &p->timer, SWEEP_MS);
		return false;
	}
	link_event(p, W_LEAK, NULL, "%s", busy.text);
	return true;
}

static int remove_pod(void *arg, struct err *e)
{
	const struct pod *p = arg;
	int r = remove_tree_at(p->pods_fd, p->uid);
	return r ? err_sys(e, -r, "pods/%s", p->uid) : 0;
}

static void pod_removed(void *arg, const struct err *e)
{
	struct pod *p = arg;
	if (e->code)
		link_event(p, W_LEAK, NULL, "%s", e->text);
	p->stage = GONE;
}

static bool tree_gone(struct pod *p)
{
	if (!p->jobs)
		job_start(p, remove_pod, pod_removed, p);
	return p->stage == GONE;
}

static void say_goodbye(struct pod *p)
{
	struct wire_out o = { 0 };
	if (p->loop.stop)
		return;
	door_close(&p->door);
	if (p->link.watch.fd < 0)
		cgroup_remove_parents(p->groups);
	wire_begin(&o, W_GONE, 0);
	link_send(p, &o);
	link_flush(p, GONE_MS);
	p->loop.stop = true;
}

void leave_step(struct pod *p)
{
	static bool (*const done[])(struct pod *) = {
		[CONTAINERS] = containers_gone, [REAPER] = reaper_gone, [CGROUPS] = cgroups_gone, [TREE] = tree_gone,
	};
	if (!p->leaving)
		return;
	while (p->stage < GONE) {
		int before = p->stage;
		if (!done[before](p))
			return;
		if (p->stage == before)
			p->stage++;
	}
	say_goodbye(p);
}

void leave_begin(struct pod *p, uint32_t grace_s)
{
	p->leaving = true;
	p->leave_by_ns = now_mono_ns() + grace_s * 1000000000ull;
	p->timer.fn = on_timer;
	sessions_end_all(p);
	for (struct container *c = p->containers, *next; c; c = next) {
		next = c->next;
		if (c->state == DROPPING)
			continue;
		c->grace_s = grace_s;
		life_event(c, ON_DROP, NULL);
	}
	leave_step(p);
}

uint64_t leave_seconds(const struct pod *p)
{
	uint64_t now = now_mono_ns();
	return p->leave_by_ns > now ? (p->leave_by_ns - now + 999999999) / 1000000000u : 0;
}
