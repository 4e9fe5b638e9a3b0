/* Control verbs: start stop restart pause unpause kill, for a container or all of a pod.
 *
 * A verb is asked for, not awaited: done comes when podfs-pod has taken it on. Of a pod's containers
 * those are left out that the verb can't mean (starting what runs, stopping what does not), unless that
 * leaves none.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

/* One verb over n containers: done once, with the first refusal if there was one. */
struct verb {
	unsigned left;
	int result;
	struct err e;
	done_fn *done;
	void *arg;
};

static void verb_done(struct verb *v, int result, const struct err *e)
{
	if (result < 0 && !v->result) {
		v->result = result;
		v->e = *e;
	}
	if (--v->left)
		return;
	if (v->done)
		v->done(v->arg, v->result, &v->e);
	free(v);
}

static void on_verb_reply(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	verb_done(arg, result, e);
}

static void on_verb_done(void *arg, int result, const struct err *e)
{
	verb_done(arg, result, e);
}

static bool is_up(const struct container *c)
{
	return c->status.state == C_RUNNING || c->status.state == C_PAUSED;
}

static bool waits(const struct container *c)
{
	return c->pull || c->held || c->spec->start_pending;
}

/* Of one that waits for its image, a start means to try at once. */
static int fits_start(const struct container *c, enum ctl_verb verb, struct err *e)
{
	enum start_how how;
	if (verb == CTL_START && is_up(c) && !waits(c) && (!c->told.kill_ns || c->told.again))
		return err_set(e, EALREADY, "ctl: %s runs already", c->spec->name);
	return plan_check(c, true, &how, e);
}

static int fits(const struct container *c, enum ctl_verb verb, struct err *e)
{
	const char *name = c->spec->name;
	switch (verb) {
	case CTL_START:
	case CTL_RESTART:
		return fits_start(c, verb, e);
	case CTL_STOP:
		return is_up(c) || c->starting || c->told.next_ns || waits(c) ? 0 : err_set(e, ESRCH, "ctl: %s does not run", name);
	case CTL_KILL:
		return is_up(c) ? 0 : err_set(e, ESRCH, "ctl: %s does not run", name);
	case CTL_PAUSE:
		return c->status.state == C_RUNNING ? 0 : err_set(e, ESRCH, "ctl: %s does not run", name);
	case CTL_UNPAUSE:
		return c->status.state == C_PAUSED ? 0 : err_set(e, EINVAL, "ctl: %s is not paused", name);
	}
	return err_set(e, EINVAL, "ctl: unknown verb");
}

static int send_verb(struct container *c, const struct ctl *ctl, struct verb *v, struct err *e)
{
	static const enum wire_op op_of[] = {
		[CTL_STOP] = W_STOP, [CTL_PAUSE] = W_PAUSE, [CTL_UNPAUSE] = W_UNPAUSE, [CTL_KILL] = W_KILL,
	};
	/* A start is taken on as soon as podfs-pod has the plan; how it ended is in `state`. */
	if (ctl->verb == CTL_START || ctl->verb == CTL_RESTART)
		return container_go(c, false, on_verb_done, v, e);
	if (ctl->verb == CTL_STOP && waits(c))
		return container_stop_waiting(c, on_verb_done, v, e);
	struct wire_out o = { 0 };
	wire_begin(&o, op_of[ctl->verb], 0);
	wire_str(&o, K_NAME, c->id);
	if (ctl->verb == CTL_STOP)
		wire_u64(&o, K_GRACE, c->pod->spec->grace);
	if (ctl->verb == CTL_KILL)
		wire_u64(&o, K_SIGNAL, (uint64_t)ctl->signal);
	int r = link_request(c->pod, &o, on_verb_reply, v);
	wire_free(&o);
	return r ? err_sys(e, -r, "ctl: %s", c->spec->name) : 0;
}

static int pick(struct pod *p, struct container *c, enum ctl_verb verb, struct container **out, unsigned *n,
		struct err *e)
{
	int first = 0;
	struct err why = { 0 };
	*n = 0;
	for (size_t i = 0; i < (c ? 1 : p->ncontainers); i++) {
		struct container *one = c ? c : p->containers[i];
		struct err mine = { 0 };
		int r = fits(one, verb, &mine);
		if (!r) {
			out[(*n)++] = one;
		} else if (!first) {
			first = r;
			why = mine;
		}
	}
	if (*n)
		return 0;
	if (!first)
		return err_set(e, ENOENT, "ctl: pod %s has no containers", p->spec->name);
	if (e)
		*e = why;
	return first;
}

static int carry_out(struct pod *p, struct container *c, const struct ctl *ctl, done_fn *done, void *arg, struct err *e)
{
	struct container *who[CONTAINERS_MAX];
	unsigned n;
	uint64_t asking = p->engine->asking;
	p->engine->asking = 0;
	int r = pick(p, c, ctl->verb, who, &n, e);
	struct verb *v = r ? NULL : calloc(1, sizeof *v);
	if (!r && !v)
		r = err_set(e, ENOMEM, "ctl: out of memory");
	if (r)
		return r;
	*v = (struct verb){ .left = n + 1, .done = done, .arg = arg };
	for (unsigned i = 0; i < n; i++) {
		struct err mine = { 0 };
		p->engine->asking = i + 1 == n ? asking : 0; /* the last one completes it */
		r = send_verb(who[i], ctl, v, &mine);
		if (r)
			verb_done(v, r, &mine);
	}
	p->engine->asking = 0;
	verb_done(v, 0, NULL);
	return 0;
}

/* --- of a pod whose sandbox is lost --- */

struct revived {
	struct pod *pod;
	uint64_t container; /* serial; 0: all */
	struct ctl ctl;
	uint64_t asking;    /* engine's */
	done_fn *done;
	void *arg;
};

static void on_revived(void *arg, int result, const struct err *e)
{
	struct revived v = *(struct revived *)arg;
	struct err mine = *e;
	free(arg);
	struct entity *ent = v.container ? engine_entity(v.pod->engine, v.container) : NULL;
	if (result >= 0 && v.container && !ent)
		result = err_set(&mine, ENODEV, "ctl: the container has been removed");
	v.pod->engine->asking = v.asking;
	if (result >= 0)
		result = carry_out(v.pod, ent ? container_of(ent, struct container, entity) : NULL, &v.ctl, v.done, v.arg, &mine);
	v.pod->engine->asking = 0;
	if (result < 0 && v.done)
		v.done(v.arg, result, &mine);
}

int engine_ctl(struct pod *p, struct container *c, const struct ctl *ctl, done_fn *done, void *arg, struct err *e)
{
	bool starts = ctl->verb == CTL_START || ctl->verb == CTL_RESTART;
	if (!starts || (link_up(p) && !p->link->revival))
		return carry_out(p, c, ctl, done, arg, e);
	struct revived *v = malloc(sizeof *v);
	if (!v)
		return err_set(e, ENOMEM, "ctl: out of memory");
	*v = (struct revived){ p, c ? c->entity.serial : 0, *ctl, p->engine->asking, done, arg };
	p->engine->asking = 0;
	int r = sandbox_revive(p, on_revived, v, e);
	if (r)
		free(v);
	return r;
}
