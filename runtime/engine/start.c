/* The ways into a start: from what is on the node, or after a pull.
 *
 * A write of image, ctl, an image that has arrived and a server that takes up what the last one left all come
 * through here. The wish to start is in the record while a pull is under way, and leaves it with the message that starts the
 * container; where the image is there it is never written. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

static const struct err none;

static int no_memory(const struct container *c, struct err *e)
{
	return err_set(e, ENOMEM, "container %s: out of memory", c->spec->name);
}

/* --- W_START --- */

/* Who wants to know how it went. */
struct start {
	struct engine *en;
	uint64_t serial;
	unsigned number; /* of the start: a newer one may have taken its place */
	done_fn *done;
	void *arg;
};

static struct start *start_new(const struct container *c, done_fn *done, void *arg)
{
	struct start *st = malloc(sizeof *st);
	if (st)
		*st = (struct start){ c->pod->engine, c->entity.serial, c->starts, done, arg };
	return st;
}

/* NULL: it is gone, or something newer was asked of it. */
static struct container *start_container(const struct start *st)
{
	struct entity *ent = engine_entity(st->en, st->serial);
	struct container *c = ent ? container_of(ent, struct container, entity) : NULL;
	return c && c->starts == st->number ? c : NULL;
}

static int go_pull(struct container *c, done_fn *done, void *arg, struct err *e);

/* podfs-pod found that what the server took for an image is none (any more): a layer was removed meanwhile, or the folder of
 * `dir:` is the dir transport's. */
static bool fetch_instead(struct container *c, int result, struct start *st)
{
	struct err e = { 0 };
	if (result != -ESTALE && result != -EMEDIUMTYPE)
		return false;
	if (c->refetched || container_pull_policy(c->spec) == PULL_NEVER || !pull_possible())
		return false;
	c->refetched = true;
	return !go_pull(c, st->done, st->arg, &e);
}

static void tell_failure(struct container *c, const struct err *e)
{
	engine_event(c->pod->engine, c->pod, c, "could not be started: %s", e->text);
}

static void on_started(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct start st = *(struct start *)arg;
	free(arg);
	struct container *c = start_container(&st);
	if (c) {
		c->starting = false;
		c->last_error = 0;
	}
	if (c && result < 0 && fetch_instead(c, result, &st))
		return;
	if (c && result < 0) {
		c->last_error = -result;
		tell_failure(c, e);
	}
	if (st.done)
		st.done(st.arg, result, e);
	if (!c)
		return;
	container_show(c);
	gc_run_ended(st.en);
	engine_changed(st.en, c->pod, CHANGE_STATE);
}

/* Takes over st when it returns 0. */
static int send_start(struct container *c, struct wire_out *o, struct start *st, struct err *e)
{
	int r = link_request(c->pod, o, on_started, st);
	if (r)
		return err_sys(e, -r, "pod %s", c->pod->spec->name);
	const struct image *im = images_find(c->pod->engine->images, c->spec->image);
	if (im)
		images_use(c->pod->engine->images, im);
	c->starting = true;
	return 0;
}

static int start_plainly(struct container *c, struct start *st, struct err *e)
{
	struct wire_out o = { 0 };
	int r = plan_message(c, &o, e);
	if (!r)
		r = send_start(c, &o, st, e);
	wire_free(&o);
	return r;
}

/* --- the same as an op: behind what changes the pod's network, and taking the wish out of the record --- */

/* Only behind what changes the network. */
static int taken_before(struct op *o UNUSED, struct err *e UNUSED)
{
	return 1;
}

static int taken_apply(struct op *o, struct err *e UNUSED)
{
	struct container_spec *cs = op_container(o)->spec;
	o->was_pending = cs->start_pending;
	cs->start_pending = false;
	return 0;
}

static void taken_revert(struct op *o)
{
	op_container(o)->spec->start_pending = o->was_pending;
}

static int taken_message(struct op *o, struct wire_out *out, struct err *e)
{
	int r = net_may_start(o->pod, e);
	return r ? r : plan_message(op_container(o), out, e);
}

static int taken_send(struct op *o, struct wire_out *out, struct err *e)
{
	return send_start(op_container(o), out, o->arg, e);
}

/* Nobody waits to hear of it: it is tried again with the network (net_set.c). */
static void hold(struct container *c, const struct err *e)
{
	c->held = true;
	c->last_error = e->code;
	container_show(c);
	engine_changed(c->pod->engine, c->pod, CHANGE_STATE);
}

/* It was queued behind another change, and could not be sent when its turn came. */
static void taken_failed(void *arg, int result, const struct err *e)
{
	struct start st = *(struct start *)arg;
	free(arg);
	struct container *c = start_container(&st);
	if (st.done)
		st.done(st.arg, result, e);
	if (!c)
		return;
	c->starting = false;
	tell_failure(c, e);
	if (!st.done && net_may_start(c->pod, NULL))
		hold(c, e);
	else if (e->code != ENODEV)
		container_give_up(c, e->code, e->text);
}

static int start_in_turn(struct container *c, struct start *st, struct err *e)
{
	struct op *o = op_new(c->pod, c, taken_failed, st);
	if (!o)
		return no_memory(c, e);
	o->before = taken_before;
	o->apply = taken_apply;
	o->revert = taken_revert;
	o->message = taken_message;
	o->send = taken_send;
	c->starting = true;
	int r = op_run(o, e);
	if (r)
		c->starting = false;
	return r;
}

/* --- starting --- */

static int go_start(struct container *c, done_fn *done, void *arg, struct err *e)
{
	struct start *st = start_new(c, done, arg);
	if (!st)
		return no_memory(c, e);
	pull_leave(c);
	mend_groups(c);
	uint64_t asking = c->pod->engine->asking;
	c->pod->engine->asking = 0;
	if (net_may_start(c->pod, NULL))
		net_bring_up(c->pod);
	c->pod->engine->asking = asking;
	bool in_turn = c->spec->start_pending || c->pod->net.busy;
	int r = in_turn ? start_in_turn(c, st, e) : start_plainly(c, st, e);
	if (r)
		free(st);
	return r;
}

/* --- fetching first --- */

static int wish_apply(struct op *o, struct err *e UNUSED)
{
	struct container_spec *cs = op_container(o)->spec;
	o->was_pending = cs->start_pending;
	cs->start_pending = o->pending;
	return 0;
}

static void wish_revert(struct op *o)
{
	struct container *c = op_container(o);
	c->spec->start_pending = o->was_pending;
	if (o->pending)
		c->starting = false;
}

/* Of a container that does not run, W_STOP means nothing. */
static int wish_message(struct op *o, struct wire_out *out, struct err *e UNUSED)
{
	struct container *c = op_container(o);
	wire_begin(out, o->stop ? W_STOP : W_RECORD, 0);
	if (!o->stop)
		return 0;
	wire_str(out, K_NAME, c->id);
	wire_u64(out, K_GRACE, c->pod->spec->grace);
	return 0;
}

static void wish_after(struct op *o)
{
	struct container *c = op_container(o);
	struct err e = { 0 };
	int r = 0;
	if (o->pending) {
		c->starting = false;
		r = pull_join(c, &e);
	} else if (o->stop && o->was_pending) {
		engine_event(o->pod->engine, o->pod, c, "stopped before its image was there");
		container_give_up(c, ECANCELED, "stopped before its image was there");
	}
	if (o->done)
		o->done(o->arg, r, &e);
}

static int change_wish(struct container *c, bool pending, bool stop, done_fn *done, void *arg, struct err *e)
{
	struct op *o = op_new(c->pod, c, done, arg);
	if (!o)
		return no_memory(c, e);
	o->pending = pending;
	o->stop = stop;
	o->apply = wish_apply;
	o->revert = wish_revert;
	o->message = wish_message;
	o->after = wish_after;
	return op_run(o, e);
}

/* What runs meanwhile is the run before: `starting` says so until the pull does. */
static int go_pull(struct container *c, done_fn *done, void *arg, struct err *e)
{
	if (c->spec->start_pending) {
		int r = pull_join(c, e);
		if (!r && done)
			done(arg, 0, &none);
		return r;
	}
	c->starting = true;
	int r = change_wish(c, true, false, done, arg, e);
	if (r)
		c->starting = false;
	return r;
}

static void asked_anew(struct container *c)
{
	free(take_ptr(c->refusal));
	c->last_error = 0;
	c->held = false;
	c->starts++;
}

int container_go(struct container *c, bool until_up, done_fn *done, void *arg, struct err *e)
{
	enum start_how how;
	int r = plan_check(c, true, &how, e);
	if (r)
		return r;
	asked_anew(c);
	c->refetched = false;
	if (how == START_PULLS)
		r = go_pull(c, done, arg, e);
	else
		r = go_start(c, until_up ? done : NULL, arg, e);
	if (r)
		c->starts--; /* the one before still answers */
	else if (how == START_NOW && !until_up && done)
		done(arg, 0, &none);
	container_show(c);
	return r;
}

/* With ENODEV the sandbox has gone meanwhile: the wish waits for the next one. */
static void could_not(struct container *c, const struct err *e)
{
	tell_failure(c, e);
	if (e->code != ENODEV)
		container_give_up(c, e->code, e->text);
}

void container_start(struct container *c)
{
	struct err e = { 0 };
	asked_anew(c);
	if (go_start(c, NULL, NULL, &e))
		could_not(c, &e);
}

void container_resume(struct container *c)
{
	struct err e = { 0 };
	if (!link_up(c->pod) || !c->spec->start_pending || c->pull || c->starting)
		return;
	if (container_go(c, false, NULL, NULL, &e))
		could_not(c, &e);
}

/* --- giving up --- */

int container_stop_waiting(struct container *c, done_fn *done, void *arg, struct err *e)
{
	return change_wish(c, false, true, done, arg, e);
}

void container_give_up(struct container *c, int code, const char *words)
{
	pull_leave(c);
	c->held = false;
	free(c->refusal);
	c->refusal = strdup(words);
	c->last_error = code;
	container_show(c);
	engine_changed(c->pod->engine, c->pod, CHANGE_STATE);
	if (c->spec->start_pending)
		change_wish(c, false, false, NULL, NULL, NULL);
}
