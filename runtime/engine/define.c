/* A container that comes to be with its first setting: what a shorthand of the pod writes.
 *
 * Container and value are one change of the record, so that a value which does not hold leaves no empty container. Runs in
 * podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>

/* Whether it says anything where there is no container. It is tried on one of nobody's. */
static int try_alone(const struct setting *s, bool *says, struct err *e)
{
	struct pod_spec *draft = pod_spec_new();
	struct spec_ref r = { .pod = draft, .container = draft ? pod_spec_add(draft, "") : NULL };
	int result = r.container ? spec_set(s->field, r, s->text, s->len, e) : err_set(e, ENOMEM, "%s: out of memory", s->field->name);
	*says = !result && s->field->is_set(r);
	pod_spec_free(draft);
	return result;
}

/* Another may have been faster: then it is a setting like any other. */
static int define_apply(struct op *o, struct err *e)
{
	struct container *c = engine_container(o->pod, o->name);
	o->defines = !c;
	int r = o->defines ? create_apply(o, e) : 0;
	if (r)
		return r;
	o->container = (c ? c : (struct container *)o->keep)->entity.serial;
	r = set_apply(o, e);
	if (r && o->defines)
		create_revert(o);
	return r;
}

static void define_revert(struct op *o)
{
	if (o->defines)
		create_revert(o);
	else
		set_revert(o);
}

static int define_message(struct op *o, struct wire_out *out, struct err *e)
{
	return o->defines ? create_message(o, out, e) : set_message(o, out, e);
}

static void define_after(struct op *o)
{
	struct pod *p = o->pod;
	set_after(o);
	engine_changed(p->engine, p, CHANGE_TREE);
}

int engine_define(struct pod *p, const char *name, const struct setting *s, done_fn *done, void *arg, struct err *e)
{
	static const struct err none;
	bool says;
	int r = container_may_come(p, name, e);
	if (!r)
		r = try_alone(s, &says, e);
	if (r)
		return r;
	if (!says) {
		done(arg, 0, &none);
		return 0;
	}
	struct op *o = set_op(p, NULL, s, done, arg);
	if (!o)
		return err_set(e, ENOMEM, "%s: out of memory", s->field->name);
	snprintf(o->name, sizeof o->name, "%s", name);
	o->apply = define_apply;
	o->revert = define_revert;
	o->message = define_message;
	o->after = define_after;
	return op_run(o, e);
}
