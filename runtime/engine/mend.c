/* What somebody else has changed beneath a pod, put right where it is clear what is right.
 *
 * Groups: an administrator's clean-up removes those that are empty, so a container that had ended could not start any more.
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <unistd.h>

static bool has_groups(struct container *c)
{
	struct strs dirs = { 0 };
	bool all = true;
	if (!cg_dirs(c->pod->engine->cg, c->pod->spec->uid, c->id, &dirs))
		for (size_t i = 0; i < dirs.n; i++)
			all &= !access(dirs.v[i], F_OK);
	strs_free(&dirs);
	return all;
}

void mend_groups(struct container *c)
{
	struct pod *p = c->pod;
	struct err e = { 0 };
	if (has_groups(c))
		return;
	uint64_t asking = p->engine->asking;
	p->engine->asking = 0; /* the start is what was asked for */
	int r = cg_create(p->engine->cg, p->spec->uid, NULL, &e);
	if (!r)
		r = cg_create(p->engine->cg, p->spec->uid, c->id, &e);
	if (!r)
		r = limits_apply(p, NULL, &e);
	if (!r)
		r = limits_apply(p, c, &e);
	p->engine->asking = asking;
	if (r)
		engine_event(p->engine, p, c, "its cgroup is gone and could not be made anew: %s", e.text);
	else
		engine_event(p->engine, p, c, "its cgroup had been removed by others, and is made anew");
}
