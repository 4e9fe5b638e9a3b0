/* Settings: a file of the tree is written.
 *
 * Each effect (spec.h, enum spec_effect) has one way to tell podfs-pod; the rest is the same for all
 * and lives in op.c. Also chown and chmod of a pod, which are settings without a file.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

static struct spec_ref ref_of(const struct op *o)
{
	struct container *c = op_container(o);
	return (struct spec_ref){ .pod = o->pod->spec, .container = c ? c->spec : NULL };
}

static int keep_old(struct op *o)
{
	_cleanup_buf_ struct buf old = { 0 };
	o->was_set = o->field->is_set(ref_of(o));
	if (o->was_set)
		o->field->get(ref_of(o), &old);
	o->old = strdup(buf_str(&old));
	return o->old && !buf_status(&old) ? 0 : -ENOMEM;
}

/* `image` has no default that could be written: having had none is put back by hand. */
static void image_revert(struct op *o)
{
	struct container *c = op_container(o);
	c->spec->start_pending = o->was_pending;
	if (o->was_set)
		o->field->set(ref_of(o), o->old, strlen(o->old), NULL);
	else
		free(take_ptr(c->spec->image));
}

void set_revert(struct op *o)
{
	if (o->field->effect != SPEC_IMAGE) {
		o->field->set(ref_of(o), o->old, strlen(o->old), NULL);
		return;
	}
	image_revert(o);
	container_resume(op_container(o)); /* what it waited for may have come meanwhile */
}

/* The wish to start is part of the same record. */
static int image_apply(struct op *o, struct err *e)
{
	struct container *c = op_container(o);
	enum start_how how;
	int r = plan_check(c, o->by_root, &how, e);
	if (r)
		image_revert(o);
	else
		c->spec->start_pending = how == START_PULLS;
	return r;
}

/* Whether the last line is still the one that is to become longer. */
static bool ends_with(const struct buf *lines, const char *line, size_t n)
{
	size_t at = lines->len - n - 1;
	return n && lines->len > n && !memcmp(lines->data + at, line, n) && lines->data[lines->len - 1] == '\n' &&
	       (!at || lines->data[at - 1] == '\n');
}

int set_settle(struct op *o, struct spec_ref r, struct err *e)
{
	_cleanup_buf_ struct buf all = { 0 };
	if (!o->adds)
		return 0;
	o->field->get(r, &all);
	if (ends_with(&all, o->text, o->again))
		all.len -= o->again + 1;
	buf_put(&all, o->text, o->len);
	if (buf_status(&all))
		return err_set(e, ENOMEM, "%s: out of memory", o->field->name);
	free(o->text);
	o->len = all.len;
	o->text = take_ptr(all.data);
	o->adds = false;
	return 0;
}

int set_apply(struct op *o, struct err *e)
{
	struct container *c = op_container(o);
	if (keep_old(o))
		return err_set(e, ENOMEM, "%s: out of memory", o->field->name);
	o->was_pending = c && c->spec->start_pending;
	int r = set_settle(o, ref_of(o), e);
	if (!r)
		r = spec_set(o->field, ref_of(o), o->text, o->len, e);
	return r || o->field->effect != SPEC_IMAGE ? r : image_apply(o, e);
}

static int put_limit(struct engine *en, struct spec_ref ref, const char *file, struct wire_out *out, struct err *e)
{
	struct cg_writes w = { 0 };
	int r = cg_limit(en->cg, ref, file, &w, e);
	if (r)
		return r;
	for (size_t i = 0; i < w.n; i++) {
		wire_str(out, K_PATH, w.v[i].path);
		wire_str(out, K_VALUE, w.v[i].value);
	}
	cg_writes_free(&w);
	return 0;
}

static void on_limits(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	if (result < 0 && result != -ENODEV)
		engine_event(((struct pod *)arg)->engine, arg, NULL, "limits: %s", e->text);
}

int limits_apply(struct pod *p, struct container *c, struct err *e)
{
	struct spec_ref ref = { .pod = p->spec, .container = c ? c->spec : NULL };
	unsigned scope = c ? SPEC_CONTAINER : SPEC_POD;
	struct wire_out o = { 0 };
	int r = 0;
	bool any = false;
	wire_begin(&o, W_LIMIT, 0);
	for (const struct spec_field *f = spec_fields; !r && f->name; f++) {
		if (f->effect != SPEC_LIMIT || !(f->scope & scope) || !f->is_set(ref))
			continue;
		r = put_limit(p->engine, ref, f->name, &o, e);
		any = true;
	}
	if (!r && any)
		r = link_request(p, &o, on_limits, p);
	wire_free(&o);
	return r;
}

int set_message(struct op *o, struct wire_out *out, struct err *e)
{
	const struct pod_spec *s = o->pod->spec;
	switch (o->field->effect) {
	case SPEC_LIMIT:
		astray_mend(o->pod, op_container(o));
		wire_begin(out, W_LIMIT, 0);
		return put_limit(o->pod->engine, ref_of(o), o->field->name, out, e);
	case SPEC_HOSTNAME:
		wire_begin(out, W_HOSTNAME, 0);
		wire_str(out, K_HOSTNAME, s->hostname);
		net_put_etc(o->pod, out);
		return 0;
	case SPEC_ETC:
		wire_begin(out, W_ETC, 0);
		net_put_etc(o->pod, out);
		return 0;
	case SPEC_POLICY:
		wire_begin(out, W_POLICY, 0);
		plan_policy(o->pod, out);
		return 0;
	case SPEC_SHARE:
		wire_begin(out, W_SHARE, 0);
		wire_str(out, K_SHARE, s->share_pid ? "ipc net uts pid" : "ipc net uts");
		return 0;
	case SPEC_AT_START:
	case SPEC_NETWORK:
	case SPEC_PORTS:
	case SPEC_RATE:
	case SPEC_IMAGE:
	case SPEC_INERT:
		break;
	}
	wire_begin(out, W_RECORD, 0);
	return 0;
}

void set_after(struct op *o)
{
	struct container *c = op_container(o);
	struct err e = { 0 };
	int r = 0;
	if (o->field->effect == SPEC_IMAGE) {
		o->pod->engine->asking = o->asked_after;
		r = container_go(c, true, o->done, o->arg, &e);
		o->pod->engine->asking = 0;
		if (!r)
			return;
	}
	if (o->done)
		o->done(o->arg, r, &e);
}

struct op *set_op(struct pod *p, struct container *c, const struct setting *s, done_fn *done, void *arg)
{
	struct op *o = op_new(p, c, done, arg);
	if (o)
		o->text = malloc(s->len + 1);
	if (!o || !o->text) {
		free(o);
		return NULL;
	}
	memcpy(o->text, s->text, s->len);
	o->text[s->len] = 0;
	o->len = s->len;
	o->field = s->field;
	o->adds = s->adds;
	o->again = s->again;
	o->by_root = s->by_root;
	if (s->field->effect == SPEC_IMAGE) /* the start completes it */
		o->asked_after = o->asked, o->asked = 0;
	o->apply = set_apply;
	o->revert = set_revert;
	o->message = set_message;
	o->after = set_after;
	if (!net_sets(s->field) || !net_set_prepare(o))
		return o;
	free(o->text);
	free(o);
	return NULL;
}

int engine_set(struct pod *p, struct container *c, const struct setting *s, done_fn *done, void *arg, struct err *e)
{
	struct op *o = set_op(p, c, s, done, arg);
	if (!o)
		return err_set(e, ENOMEM, "%s: out of memory", s->field->name);
	return op_run(o, e);
}

/* --- chown, chmod --- */

static void owner_swap(struct op *o)
{
	struct pod_spec *s = o->pod->spec;
	uid_t uid = s->owner;
	gid_t gid = s->group;
	mode_t mode = s->mode;
	s->owner = o->uid;
	s->group = o->gid;
	s->mode = o->mode;
	o->uid = uid;
	o->gid = gid;
	o->mode = mode;
}

static int owner_apply(struct op *o, struct err *e UNUSED)
{
	const struct pod_spec *s = o->pod->spec;
	if (o->uid == (uid_t)-1)
		o->uid = s->owner;
	if (o->gid == (gid_t)-1)
		o->gid = s->group;
	if (o->mode == (mode_t)-1)
		o->mode = s->mode;
	owner_swap(o);
	return 0;
}

static int owner_message(struct op *o UNUSED, struct wire_out *out, struct err *e UNUSED)
{
	wire_begin(out, W_RECORD, 0);
	return 0;
}

int engine_pod_chown(struct pod *p, uid_t uid, gid_t gid, mode_t mode, done_fn *done, void *arg, struct err *e)
{
	struct op *o = op_new(p, NULL, done, arg);
	if (!o)
		return err_set(e, ENOMEM, "pod %s: out of memory", p->spec->name);
	o->uid = uid;
	o->gid = gid;
	o->mode = mode == (mode_t)-1 ? mode : mode & 0777;
	o->apply = owner_apply;
	o->revert = owner_swap;
	o->message = owner_message;
	return op_run(o, e);
}
