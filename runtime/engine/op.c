/* Changes of a pod's record, one behind another.
 *
 * An operation changes the spec in memory, hands podfs-pod the record that follows from it together with what is to be
 * done, and either holds or is taken back. Only one is under way for a pod, so records have one history
 * and a refusal never takes back another's change. Where something must be had from elsewhere first (`before`), that is had in turn
 * too, but in a row of its own: the spec stays as it was meanwhile, and other changes do not wait for it.
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

static void append(struct op_row *row, struct op_place *at)
{
	at->next = NULL;
	*row->tail = at;
	row->tail = &at->next;
}

static void drop_first(struct op_row *row)
{
	row->first = row->first->next;
	if (!row->first)
		row->tail = &row->first;
}

/* o is the first wherever it stands. */
static void unqueue(struct op *o)
{
	struct pod_link *l = o->pod->link;
	if (l->ops.first == &o->op)
		drop_first(&l->ops);
	if (l->turns.first == &o->turn)
		drop_first(&l->turns);
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
	if (r == -EMSGSIZE)
		return err_set(e, E2BIG, "pod %s: its settings are too long together", o->pod->spec->name);
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
	uint64_t asking = o->pod->engine->asking;
	o->pod->engine->asking = o->asked;
	if (!r)
		r = o->send ? hand_over(o, &out, e) : hand_and_wait(o, &out, e);
	o->pod->engine->asking = asking;
	wire_free(&out);
	if (r < 0)
		take_back(o);
	return r;
}

/* > 0: it can be carried out; 0: not yet. */
static int take_turn(struct op *o, struct err *e)
{
	o->waiting = true;
	int r = check_target(o, e);
	if (!r && !link_up(o->pod))
		r = no_sandbox(o, e);
	return r ? r : o->before(o, e);
}

static void is_ready(struct op *o)
{
	o->ready = true;
	append(&o->pod->link->ops, &o->op);
}

static bool begin_at_once(const struct pod_link *l, const struct op_row *row)
{
	return !row->first && !l->revival;
}

int op_run(struct op *o, struct err *e)
{
	struct pod_link *l = o->pod->link;
	struct err mine = { 0 };
	int r = 1;
	if (o->before) {
		bool now = begin_at_once(l, &l->turns);
		append(&l->turns, &o->turn);
		r = now ? take_turn(o, &mine) : 0;
	}
	if (r > 0) {
		bool now = begin_at_once(l, &l->ops);
		is_ready(o);
		r = now ? carry_out(o, &mine) : 0;
	}
	if (!r)
		return 0;
	if (e)
		*e = mine;
	unqueue(o);
	op_free(o);
	return r == OVER ? 0 : r;
}

static void end(struct op *o, int result, const struct err *e)
{
	unqueue(o);
	if (result < 0 && o->done)
		o->done(o->arg, result, e);
	op_free(o);
}

/* The one whose turn it is. True: it is over. */
static bool next_turn(struct pod_link *l)
{
	struct op *o = l->turns.first ? container_of(l->turns.first, struct op, turn) : NULL;
	struct err e = { 0 };
	if (!o || o->waiting)
		return false;
	int r = take_turn(o, &e);
	if (r > 0)
		is_ready(o);
	else if (r)
		end(o, r, &e);
	return r < 0;
}

/* True: it is over. */
static bool next_op(struct pod_link *l)
{
	struct op *o = l->ops.first ? container_of(l->ops.first, struct op, op) : NULL;
	struct err e = { 0 };
	if (!o || o->sent)
		return false;
	int r = carry_out(o, &e);
	if (r)
		end(o, r, &e);
	return r;
}

static void start_next(struct pod *p)
{
	while (p->link && !p->link->revival && (next_turn(p->link) || next_op(p->link)))
		;
}

void op_go(struct op *o, int result, const struct err *e)
{
	struct pod *p = o->pod;
	if (result < 0)
		end(o, result, e);
	else
		is_ready(o);
	start_next(p);
}

void op_resume(struct pod *p)
{
	start_next(p);
}

void op_cancel(struct pod *p)
{
	struct op_place *first = p->link->turns.first;
	struct op *o = first ? container_of(first, struct op, turn) : NULL;
	struct err e;
	err_set(&e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	if (o && o->waiting && !o->ready)
		op_go(o, -ENODEV, &e);
}
