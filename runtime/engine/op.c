/* Changes of a pod's record, one behind another.
 *
 * An operation changes the spec in memory, hands podfs-pod the record that follows from it together with what is to be
 * done, and either holds or is taken back. Only one is under way for a pod, so records have one history
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
		*o = (struct op){ .pod = p, .container = c ? c->entity.serial : 0, .done = done, .arg = arg,
				  .asked = p->engine->asking };
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
		o->revert(o);
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

static int hand_and_wait(struct op *o, struct wire_out *out, struct err *e)
{
	int r = link_request(o->pod, out, on_reply, o);
	o->sent = !r;
	if (r == -ENODEV)
		return err_set(e, ENODEV, "pod %s: its sandbox is gone (echo start > ctl makes it anew)", o->pod->spec->name);
	return r ? err_sys(e, -r, "pod %s", o->pod->spec->name) : 0;
}

/* 0: under way; OVER; or -errno. */
static int begin(struct op *o, struct err *e)
{
	int r = check_target(o, e);
	if (r)
		return r;
	r = o->apply(o, e);
	if (r)
		return r;
	struct wire_out out = { 0 };
	r = o->message(o, &out, e);
	if (!r)
		r = put_record(o, &out, e);
	uint64_t asking = o->pod->engine->asking;
	o->pod->engine->asking = o->asked;
	if (!r)
		r = o->send ? hand_over(o, &out, e) : hand_and_wait(o, &out, e);
	o->pod->engine->asking = asking;
	wire_free(&out);
	if (r < 0)
		o->revert(o);
	return r;
}

int op_run(struct op *o, struct err *e)
{
	struct pod_link *l = o->pod->link;
	bool idle = !l->ops;
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
	while (p->link && p->link->ops && !p->link->ops->sent) {
		struct op *o = p->link->ops;
		struct err e = { 0 };
		int r = begin(o, &e);
		if (!r)
			return;
		unqueue(o);
		if (r < 0 && o->done)
			o->done(o->arg, r, &e);
		op_free(o);
	}
}
