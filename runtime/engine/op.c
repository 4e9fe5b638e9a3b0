/* Changes of a pod's record, one behind another.
 *
 * An operation changes the spec in memory, hands podfs-pod the record that follows from it together with what is to be
 * done, and either holds or is taken back. Where something must be had from elsewhere first (`before`), the spec stays as it was
 * until that is there. Only one is under way for a pod, so records have one history
 * and a refusal never takes back another's change.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

#define OVER 1

static void start_next(struct pod *p);

struct op *op_new(struct pod *p, struct container *c, done_fn *done, void *arg)
{
	struct op *o = calloc(1, sizeof *o);
	if (o)
		*o = (struct op){ .pod = p, .container = c ? c->entity.serial : 0, .done = done, .arg = arg };
	return o;
}

struct container *op_container(const struct op *o)
{
	struct entity *e = o->container ? engine_entity(o->pod->engine, o->container) : NULL;
	return e ? container_of(e, struct container, entity) : NULL;
}

static void op_free(struct op *o)
{
	if (o->free)
		o->free(o);
	free(o->text);
	free(o->old);
	free(o->record);
	free(o);
}

static void unqueue(struct op *o)
{
	struct pod_link *l = o->pod->link;
	l->ops = o->next;
	if (!l->ops)
		l->ops_tail = &l->ops;
}

static void take_back(struct op *o)
{
	o->revert(o);
	if (o->undo)
		o->undo(o);
}

static void on_reply(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct op *o = arg;
	struct pod *p = o->pod;
	unqueue(o);
	if (result >= 0 && o->record) {
		free(p->link->record);
		p->link->record = take_ptr(o->record);
	}
	if (result < 0) {
		take_back(o);
		if (o->done)
			o->done(o->arg, result, e);
	} else if (o->after) {
		o->after(o);
	} else if (o->done) {
		o->done(o->arg, 0, e);
	}
	op_free(o);
	start_next(p);
}

static int check_target(struct op *o, struct err *e)
{
	struct container *c = op_container(o);
	if (o->container && (!c || c->leaving))
		return err_set(e, ENODEV, "the container has been removed");
	if (o->pod->leaving)
		return err_set(e, ENODEV, "pod %s has been removed", o->pod->spec->name);
	return 0;
}

/* The record goes along unless the one on disk is the same already: writing `image` again only restarts. */
static int put_record(struct op *o, struct wire_out *out, struct err *e)
{
	_cleanup_buf_ struct buf record = { 0 };
	const char *on_disk = o->pod->link->record;
	int r = record_write(o->pod->spec, &record, e);
	if (r || (on_disk && !strcmp(on_disk, buf_str(&record))))
		return r;
	wire_put(out, K_RECORD, record.data, record.len);
	o->record = take_ptr(record.data);
	return 0;
}

/* podfs-pod has it, in order; should it fail to keep the record, it says so where the answer goes. */
static int hand_over(struct op *o, struct wire_out *out, struct err *e)
{
	int r = o->send(o, out, e);
	if (!r)
		free(take_ptr(o->pod->link->record));
	return r ? r : OVER;
}

static int no_sandbox(const struct op *o, struct err *e)
{
	return err_set(e, ENODEV, "pod %s: its sandbox is gone (echo start > ctl makes it anew)", o->pod->spec->name);
}

static int hand_and_wait(struct op *o, struct wire_out *out, struct err *e)
{
	int r = link_request(o->pod, out, on_reply, o);
	o->sent = !r;
	if (r == -ENODEV)
		return no_sandbox(o, e);
	return r ? err_sys(e, -r, "pod %s", o->pod->spec->name) : 0;
}

/* 0: under way; OVER; or -errno. */
static int carry_out(struct op *o, struct err *e)
{
	int r = check_target(o, e);
	if (!r)
		r = o->apply(o, e);
	if (r) {
		if (o->undo)
			o->undo(o);
		return r;
	}
	struct wire_out out = { 0 };
	r = o->message(o, &out, e);
	if (!r)
		r = put_record(o, &out, e);
	if (!r)
		r = o->send ? hand_over(o, &out, e) : hand_and_wait(o, &out, e);
	wire_free(&out);
	if (r < 0)
		take_back(o);
	return r;
}

static int begin(struct op *o, struct err *e)
{
	int r = check_target(o, e);
	if (r || !o->before)
		return r ? r : carry_out(o, e);
	if (!link_up(o->pod))
		return no_sandbox(o, e);
	o->waiting = true;
	r = o->before(o, e);
	if (!r)
		return 0;
	o->waiting = false;
	return r > 0 ? carry_out(o, e) : r;
}

static void end(struct op *o, int result, const struct err *e)
{
	unqueue(o);
	if (result < 0 && o->done)
		o->done(o->arg, result, e);
	op_free(o);
}

void op_go(struct op *o, int result, const struct err *e)
{
	struct pod *p = o->pod;
	struct err mine = { 0 };
	o->waiting = false;
	int r = result < 0 ? result : carry_out(o, &mine);
	if (!r)
		return;
	end(o, r, result < 0 ? e : &mine);
	start_next(p);
}

int op_run(struct op *o, struct err *e)
{
	struct pod_link *l = o->pod->link;
	bool idle = !l->ops && !l->revival;
	o->next = NULL;
	*l->ops_tail = o;
	l->ops_tail = &o->next;
	if (!idle)
		return 0;
	struct err mine = { 0 };
	int r = begin(o, &mine);
	if (!r)
		return 0;
	if (e)
		*e = mine;
	unqueue(o);
	op_free(o);
	return r == OVER ? 0 : r;
}

static void start_next(struct pod *p)
{
	while (p->link && p->link->ops && !p->link->revival && !p->link->ops->sent && !p->link->ops->waiting) {
		struct op *o = p->link->ops;
		struct err e = { 0 };
		int r = begin(o, &e);
		if (!r)
			return;
		end(o, r, &e);
	}
}

void op_resume(struct pod *p)
{
	start_next(p);
}

void op_cancel(struct pod *p)
{
	struct err e;
	err_set(&e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	if (p->link->ops && p->link->ops->waiting)
		op_go(p->link->ops, -ENODEV, &e);
}
