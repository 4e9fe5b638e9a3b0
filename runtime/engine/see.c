/* What is: phase, why, wait, how far a pull is.
 *
 * Reads only. The one place that says what the states of containers mean for their pod.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

const char *container_state_name(const struct container *c)
{
	static const char *const names[] = {
		[C_WAITING] = "waiting", [C_RUNNING] = "running", [C_PAUSED] = "paused", [C_TERMINATED] = "terminated",
	};
	return names[c->status.state];
}

const char *pod_phase_name(enum pod_phase ph)
{
	static const char *const names[] = {
		[POD_PENDING] = "Pending", [POD_RUNNING] = "Running", [POD_SUCCEEDED] = "Succeeded", [POD_FAILED] = "Failed",
	};
	return names[ph];
}

/* Waiting and never ran: neither backing off between two runs nor on its way into another. */
static bool never_ran(const struct container *c)
{
	return c->status.state == C_WAITING && !c->status.started_ns && !c->status.finished_ns;
}

/* As kubelet's getPhase: kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase */
enum pod_phase pod_phase(const struct pod *p)
{
	size_t fresh = 0, ended = 0, failed = 0;
	if (!p->ncontainers)
		return POD_PENDING;
	for (size_t i = 0; i < p->ncontainers; i++) {
		const struct container *c = p->containers[i];
		fresh += never_ran(c);
		ended += c->status.state == C_TERMINATED;
		failed += c->status.state == C_TERMINATED && c->status.exit_code != 0;
	}
	if (ended == p->ncontainers)
		return failed ? POD_FAILED : POD_SUCCEEDED; /* which the loss of the sandbox changes no more */
	if (*p->lost)
		return POD_FAILED;
	return fresh ? POD_PENDING : POD_RUNNING;
}

unsigned pod_ready_count(const struct pod *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < p->ncontainers; i++)
		n += p->containers[i]->status.state == C_RUNNING;
	return n;
}

unsigned pod_restarts(const struct pod *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < p->ncontainers; i++)
		n += p->containers[i]->status.restarts;
	return n;
}

/* --- pulls --- */

static void show_fetching(const struct pull *p, struct buf *out)
{
	if (p->queued) {
		buf_puts(out, "waits for its turn behind other pulls");
		return;
	}
	if (!p->layers && !p->bytes) {
		buf_puts(out, "beginning");
		return;
	}
	if (p->layers)
		buf_printf(out, "layer %u of %u, ", p->layers_done < p->layers ? p->layers_done + 1 : p->layers, p->layers);
	put_size(out, p->bytes);
	if (p->total) {
		double percent = (double)p->bytes * 100 / (double)p->total;
		buf_puts(out, " of ");
		put_size(out, p->total);
		buf_printf(out, " (%u %%)", percent < 100 ? (unsigned)percent : 100);
	}
	buf_puts(out, ", ");
	put_size(out, p->rate);
	buf_puts(out, "/s");
}

static void show_backoff(const struct pull *p, struct buf *out)
{
	buf_printf(out, "%s; tried ", p->error);
	if (p->attempts == 1)
		buf_puts(out, "once");
	else
		buf_printf(out, "%u times", p->attempts);
	buf_printf(out, ", next try in %.0f s", seconds_until(p->next_ns));
}

void pull_show(const struct pull *p, struct buf *out)
{
	if (p->state == PULL_BACKOFF)
		show_backoff(p, out);
	else
		show_fetching(p, out);
}

/* --- why --- */

static void why_terminated(const struct container *c, struct buf *out)
{
	const struct container_status *s = &c->status;
	buf_printf(out, "%s", *s->reason ? s->reason : "ended");
	if (s->signal)
		buf_printf(out, ": ended by %s (exit code %d)", signal_name(s->signal), s->exit_code);
	else
		buf_printf(out, ": exit code %d", s->exit_code);
	if (*s->message)
		buf_printf(out, ", %s", s->message);
	if (c->refusal)
		buf_printf(out, "; it did not start again: %s", c->refusal);
	if (c->pod->spec->restart == RESTART_NEVER)
		buf_puts(out, "; restart is Never: `echo start > ctl` starts it again");
	else
		buf_puts(out, "; `echo start > ctl` starts it again");
}

/* What a person wants to hear of first: how far it is, or what is wrong. */
static void why_pull(const struct container *c, struct buf *out)
{
	if (c->pull->state == PULL_BACKOFF)
		buf_printf(out, "%s: ", c->status.reason);
	else
		buf_printf(out, "pulling %s: ", c->pull->reference);
	pull_show(c->pull, out);
}

static void why_runs_on(const struct container *c, struct buf *out)
{
	const struct container_status *s = &c->status;
	if (s->kill_ns) {
		buf_printf(out, "it is being stopped%s: it has been asked to end, and is killed in %.0f s",
			   s->again ? " and then started again" : "", seconds_until(s->kill_ns));
	} else if (c->pull) {
		buf_printf(out, "it runs (pid %d), and will be restarted with a new image: ", (int)c->status.pid);
		pull_show(c->pull, out);
	} else if (c->starting) {
		buf_puts(out, "it runs and is being restarted");
	} else {
		buf_printf(out, "it runs (pid %d)", (int)c->status.pid);
	}
	if (*s->trouble)
		buf_printf(out, ", but %s", s->trouble);
}

static void why_waiting(const struct container *c, struct buf *out)
{
	const struct container_status *s = &c->status;
	if (!c->spec->image)
		buf_puts(out, "it has no image yet: write one to `image`");
	else if (c->pull)
		why_pull(c, out);
	else if (s->next_ns)
		buf_printf(out, "%s: ended with exit code %d, next start in %.1f s", *s->reason ? s->reason : "waiting",
			   s->exit_code, seconds_until(s->next_ns));
	else if (c->starting) {
		buf_puts(out, c->pod->net.busy ? "it starts once its pod's network is there" : "it is being started");
	} else {
		buf_printf(out, "%s%s%s", *s->reason ? s->reason : "not started yet", *s->message ? ": " : "", s->message);
	}
}

static void why_container(const struct container *c, struct buf *out)
{
	switch (c->status.state) {
	case C_RUNNING:
		why_runs_on(c, out);
		break;
	case C_PAUSED:
		buf_puts(out, "paused by ctl; `echo unpause > ctl` lets it go on");
		if (*c->status.trouble)
			buf_printf(out, "; %s", c->status.trouble);
		break;
	case C_WAITING:
		why_waiting(c, out);
		break;
	case C_TERMINATED:
		why_terminated(c, out);
		break;
	}
}

/* The container that a person asking about the pod wants to hear of: the first that is worst. */
static const struct container *worst(const struct pod *p)
{
	static const int badness[] = { [C_RUNNING] = 0, [C_PAUSED] = 1, [C_WAITING] = 3, [C_TERMINATED] = 2 };
	const struct container *w = NULL;
	int score = 0;
	for (size_t i = 0; i < p->ncontainers; i++) {
		const struct container *c = p->containers[i];
		int b = badness[c->status.state];
		if (c->status.state == C_TERMINATED && c->status.exit_code)
			b = 4;
		if (c->status.state == C_RUNNING && (c->pull || c->status.kill_ns || *c->status.trouble))
			b = 1;
		if (b > score) {
			score = b;
			w = c;
		}
	}
	return w;
}

/* What no container can start without; or what they have to do without. True: nothing else matters. */
static bool why_network(const struct pod *p, struct buf *out)
{
	bool cni = p->spec->net.mode == NET_CNI;
	if (p->net.up || !(*p->net.why || (cni && p->net.busy)))
		return false;
	if (cni && p->net.busy)
		buf_printf(out, "its network (cni:%s) is being made", p->spec->net.cni);
	else
		buf_printf(out, "it has not got its network: %s", p->net.why);
	if (cni)
		return true;
	buf_puts(out, "; ");
	return false;
}

void engine_why(const struct pod *p, const struct container *c, struct buf *out)
{
	if (c) {
		why_container(c, out);
		return;
	}
	if (p->link && p->link->hello)
		buf_printf(out, "%s, so this is how it was last: ", *p->trouble ? p->trouble : "its podfs-pod does not answer");
	else if (*p->trouble)
		buf_printf(out, "%s; ", p->trouble);
	if (*p->lost) {
		buf_printf(out, "the sandbox is lost: %s; ", p->lost);
		if (p->revive_ns)
			buf_printf(out, "it is made anew in %.0f s", seconds_until(p->revive_ns));
		else
			buf_puts(out, "`echo start > ctl` makes it anew");
		return;
	}
	if (why_network(p, out))
		return;
	if (!p->ncontainers) {
		buf_puts(out, "the sandbox is up; it has no containers yet: write an image to `image`");
		return;
	}
	const struct container *w = worst(p);
	if (!w) {
		if (p->ncontainers == 1)
			buf_puts(out, "its container runs");
		else
			buf_printf(out, "all of its %zu containers run", p->ncontainers);
		return;
	}
	buf_printf(out, "%s: ", w->spec->name);
	why_container(w, out);
}

/* --- wait --- */

static int failed_start(const struct container *c, struct err *e)
{
	const char *words = c->pull ? c->pull->error : c->refusal ? c->refusal : c->status.message;
	return err_set(e, c->last_error, "wait: container %s: %s", c->spec->name, *words ? words : "it could not be started");
}

/* Its sandbox was lost, and it is to run in the next one. */
static bool comes_again(const struct container *c)
{
	return c->spec->start_pending && !c->pull && !c->refusal;
}

static int wait_up(const struct container *c, bool ready, struct err *e)
{
	const struct container_status *s = &c->status;
	/* What still runs is the run before. */
	if (c->starting || comes_again(c) || (c->pull && !c->last_error))
		return -EAGAIN;
	if (c->pull || c->refusal)
		return failed_start(c, e);
	if (s->state == C_RUNNING || (s->state == C_PAUSED && !ready))
		return 0;
	if (c->last_error)
		return failed_start(c, e);
	if (s->state != C_TERMINATED)
		return -EAGAIN;
	/* It ran, and that is over: for `running` that is enough, ready it will not be. */
	if (ready)
		return err_set(e, ESRCH, "wait: container %s has ended with exit code %d", c->spec->name, s->exit_code);
	return 0;
}

/* One that never ran and is not being tried any more has no end to wait for. */
static int wait_end(const struct container *c, int *code, struct err *e)
{
	if (c->status.state == C_WAITING && c->refusal)
		return failed_start(c, e);
	if (c->status.state != C_TERMINATED || c->starting || comes_again(c))
		return -EAGAIN;
	*code = c->status.exit_code;
	return 0;
}

static int wait_one(const struct container *c, enum wait_for what, int *code, struct err *e)
{
	return what == WAIT_ENDED ? wait_end(c, code, e) : wait_up(c, what == WAIT_READY, e);
}

/* A pod: all of its containers; the first failure counts; of exit codes the first that is not 0. */
static int wait_all(const struct pod *p, enum wait_for what, int *code, struct err *e)
{
	int result = p->ncontainers ? 0 : -EAGAIN;
	*code = 0;
	for (size_t i = 0; i < p->ncontainers; i++) {
		int one = 0, r = wait_one(p->containers[i], what, &one, e);
		if (r && r != -EAGAIN)
			return r;
		if (r)
			result = r;
		else if (!*code)
			*code = one;
	}
	return result;
}

int engine_wait(const struct pod *p, const struct container *c, enum wait_for what, struct buf *out, struct err *e)
{
	int code = 0;
	int r = c ? wait_one(c, what, &code, e) : wait_all(p, what, &code, e);
	if (r)
		return r;
	if (what == WAIT_ENDED)
		buf_printf(out, "%d\n", code);
	else
		buf_puts(out, what == WAIT_READY ? "ready\n" : "running\n");
	return buf_status(out);
}
