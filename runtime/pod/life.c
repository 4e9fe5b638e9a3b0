/* A container's life: the table of docs/design.md, and what each of its cells does.
 *
 * Decides; does nothing to the kernel itself. An event that a state does not name is nothing to it,
 * except where somebody waits for the answer.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <signal.h>

#define HANG_MS 10000 /* after SIGKILL: then it is a leak, as the process hangs in the kernel */

struct rule {
	uint8_t next; /* 0: act decides, or it stays */
	int (*act)(struct container *c, struct err *e); /* < 0: refused, the state stays */
};

static int launch(struct container *c, struct err *e UNUSED)
{
	c->tries = 0;
	container_start(c);
	return 0;
}

static int launch_again(struct container *c, struct err *e UNUSED)
{
	c->restarts++;
	container_start(c);
	return 0;
}

/* --- coming up --- */

static void end_what_is_replaced(struct container *c)
{
	if (c->want)
		life_event(c, ON_START, NULL);
}

static int came_up(struct container *c, struct err *e UNUSED)
{
	c->started_ns = now_real_ns();
	c->finished_ns = 0;
	c->up_mono_ns = now_mono_ns();
	c->pod->has_run = true;
	container_tell(c);
	link_reply(c->pod, &c->asker, 0, NULL);
	mounts_watch(c);
	end_what_is_replaced(c);
	return 0;
}

/* --- stopping --- */

static void send_kill(struct container *c)
{
	cgroup_freeze(c->plan, false, NULL); /* v1: a frozen process does not die */
	container_signal(c, SIGKILL);
	timer_arm(&c->pod->loop, &c->timer, HANG_MS);
}

/* Of one that is dropped the server wants to hear no more. */
static void tell_stopping(struct container *c)
{
	if (c->state != DROPPING)
		container_tell(c);
}

static int ask_end(struct container *c, struct err *e UNUSED)
{
	struct wire_in plan = plan_view(c->plan);
	c->kill_ns = now_real_ns() + c->grace_s * 1000000000ull;
	tell_stopping(c);
	if (!c->grace_s) {
		send_kill(c);
		return 0;
	}
	container_signal(c, (int)wire_get_u64(&plan, K_STOPSIGNAL, SIGTERM));
	timer_arm(&c->pod->loop, &c->timer, c->grace_s * 1000ull);
	return 0;
}

static int thaw_and_ask_end(struct container *c, struct err *e)
{
	cgroup_freeze(c->plan, false, NULL);
	return ask_end(c, e);
}

static int patience_over(struct container *c, struct err *e UNUSED)
{
	if (!c->sent_kill) {
		send_kill(c);
	} else if (!c->leak_told) {
		c->leak_told = true;
		leak_process(c, (int)c->init.pid);
	}
	return 0;
}

/* Nobody will be told that a start went well that was stopped or replaced. */
static void cancel(struct container *c, struct asker *a)
{
	struct err e;
	err_set(&e, ECANCELED, "container %s was stopped before it came up", c->label);
	link_reply(c->pod, a, -ECANCELED, &e);
}

static int forget_want(struct container *c, struct err *e UNUSED)
{
	plan_free(take_ptr(c->want));
	cancel(c, &c->want_asker);
	return 0;
}

static int kill_start(struct container *c, struct err *e UNUSED)
{
	cancel(c, &c->asker);
	forget_want(c, NULL);
	c->kill_ns = now_real_ns();
	send_kill(c);
	return 0;
}

/* A newer patience, if it is shorter than what is left. */
static void hasten(struct container *c)
{
	uint64_t at = now_mono_ns() + c->grace_s * 1000000000ull;
	if (c->sent_kill || c->timer.at_ns <= at)
		return;
	c->kill_ns = now_real_ns() + c->grace_s * 1000000000ull;
	if (c->grace_s)
		timer_arm(&c->pod->loop, &c->timer, c->grace_s * 1000ull);
	else
		send_kill(c);
}

static int stop_stopping(struct container *c, struct err *e)
{
	hasten(c);
	forget_want(c, e);
	tell_stopping(c);
	return 0;
}

/* c->want is set, and looked at when this state ends. */
static int remember(struct container *c UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int remember_stopping(struct container *c, struct err *e UNUSED)
{
	tell_stopping(c);
	return 0;
}

/* --- ended --- */

static uint64_t backoff_ms(struct container *c)
{
	const struct policy *po = &c->policy;
	if (c->up_mono_ns && now_mono_ns() - c->up_mono_ns >= po->reset_ms * 1000000u)
		c->tries = 0;
	/* As kubelet: the first restart is immediate, then base, doubling to cap. */
	unsigned n = c->tries++;
	if (!n)
		return 0;
	uint64_t ms = po->base_ms;
	while (--n && ms < po->cap_ms)
		ms *= 2;
	return ms < po->cap_ms ? ms : po->cap_ms;
}

static void ended(struct container *c)
{
	c->state = ENDED;
	container_tell(c);
}

static bool comes_again(const struct container *c)
{
	const struct policy *po = &c->policy;
	return po->restart == RESTART_ALWAYS || (po->restart == RESTART_ON_FAILURE && c->exit_code);
}

static int by_policy(struct container *c, struct err *e UNUSED)
{
	if (!comes_again(c)) {
		ended(c);
		return 0;
	}
	uint64_t ms = backoff_ms(c);
	ran_keep(c);
	c->state = BACKOFF;
	c->next_ns = now_real_ns() + ms * 1000000u;
	container_tell(c);
	timer_arm(&c->pod->loop, &c->timer, ms);
	return 0;
}

static int ended_or_next(struct container *c, struct err *e)
{
	ended(c);
	return c->want ? life_event(c, ON_START, e) : 0;
}

static int start_failed(struct container *c, struct err *e)
{
	struct asker asker = c->asker;
	struct err why = { .code = EIO };
	c->asker = (struct asker){ 0 };
	if (c->failure)
		why = *c->failure;
	c->up_mono_ns = 0;
	container_failed_run(c);
	int r = 0;
	if (c->want)
		r = ended_or_next(c, e);
	else if (why.code == EMEDIUMTYPE) /* trying again changes nothing: the server has to fetch it */
		ended(c);
	else
		r = by_policy(c, e);
	link_reply(c->pod, &asker, -why.code, &why);
	return r;
}

static int give_up(struct container *c, struct err *e UNUSED)
{
	timer_stop(&c->pod->loop, &c->timer);
	c->next_ns = 0;
	container_tell(c);
	return 0;
}

static int start_now(struct container *c, struct err *e)
{
	timer_stop(&c->pod->loop, &c->timer);
	return launch(c, e);
}

/* --- dropping --- */

static int drop(struct container *c, struct err *e UNUSED)
{
	timer_stop(&c->pod->loop, &c->timer);
	container_dispose(c);
	return 0;
}

static int drop_running(struct container *c, struct err *e)
{
	forget_want(c, e);
	return ask_end(c, e);
}

static int drop_paused(struct container *c, struct err *e)
{
	forget_want(c, e);
	return thaw_and_ask_end(c, e);
}

static int drop_ended(struct container *c, struct err *e UNUSED)
{
	container_tell(c);
	container_dispose(c);
	return 0;
}

/* --- pausing --- */

static int pause_it(struct container *c, struct err *e)
{
	int r = cgroup_freeze(c->plan, true, e);
	if (!r)
		container_tell(c);
	return r;
}

static int unpause(struct container *c, struct err *e)
{
	int r = cgroup_freeze(c->plan, false, e);
	if (!r)
		container_tell(c);
	return r;
}

static int not_running(struct container *c, struct err *e)
{
	return err_set(e, ESRCH, "container %s does not run", c->label);
}

static int not_paused(struct container *c, struct err *e)
{
	return err_set(e, EINVAL, "container %s is not paused", c->label);
}

static int nothing(struct container *c UNUSED, struct err *e UNUSED)
{
	return 0;
}

static const struct rule rules[LIFE_STATES][LIFE_EVENTS] = {
	[DEFINED] = {
		[ON_START] = { STARTING, launch }, [ON_DROP] = { DROPPING, drop },
		[ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[STARTING] = {
		[ON_START] = { 0, remember }, [ON_UP] = { RUNNING, came_up }, [ON_EXIT] = { 0, start_failed },
		[ON_STOP] = { STOPPING, kill_start }, [ON_DROP] = { DROPPING, kill_start },
		[ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[RUNNING] = {
		[ON_START] = { RESTARTING, ask_end }, [ON_EXIT] = { 0, by_policy }, [ON_STOP] = { STOPPING, ask_end },
		[ON_DROP] = { DROPPING, drop_running }, [ON_PAUSE] = { PAUSED, pause_it }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[PAUSED] = {
		[ON_START] = { RESTARTING, thaw_and_ask_end }, [ON_EXIT] = { 0, by_policy },
		[ON_STOP] = { STOPPING, thaw_and_ask_end }, [ON_DROP] = { DROPPING, drop_paused },
		[ON_PAUSE] = { 0, nothing }, [ON_UNPAUSE] = { RUNNING, unpause },
	},
	[STOPPING] = {
		[ON_START] = { 0, remember_stopping }, [ON_EXIT] = { 0, ended_or_next }, [ON_TIMER] = { 0, patience_over },
		[ON_STOP] = { 0, stop_stopping }, [ON_DROP] = { DROPPING, stop_stopping },
		[ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[RESTARTING] = {
		[ON_START] = { 0, remember_stopping }, [ON_EXIT] = { 0, ended_or_next }, [ON_TIMER] = { 0, patience_over },
		[ON_STOP] = { STOPPING, stop_stopping }, [ON_DROP] = { DROPPING, stop_stopping },
		[ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[BACKOFF] = {
		[ON_START] = { STARTING, start_now }, [ON_TIMER] = { STARTING, launch_again }, [ON_STOP] = { ENDED, give_up },
		[ON_DROP] = { DROPPING, drop }, [ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[ENDED] = {
		[ON_START] = { STARTING, launch }, [ON_DROP] = { DROPPING, drop },
		[ON_PAUSE] = { 0, not_running }, [ON_UNPAUSE] = { 0, not_paused },
	},
	[DROPPING] = {
		[ON_EXIT] = { 0, drop_ended }, [ON_TIMER] = { 0, patience_over },
	},
};

int life_event(struct container *c, enum life_event ev, struct err *e)
{
	const struct rule *r = &rules[c->state][ev];
	enum life before = c->state;
	if (r->next)
		c->state = r->next;
	int result = r->act ? r->act(c, e) : 0;
	if (result < 0)
		c->state = before;
	return result;
}

void life_policy(struct container *c)
{
	if (c->state == BACKOFF && !comes_again(c))
		life_event(c, ON_STOP, NULL);
}

static void on_timer(struct timer *t)
{
	life_event(container_of(t, struct container, timer), ON_TIMER, NULL);
}

void life_init(struct container *c)
{
	c->timer.fn = on_timer;
}
