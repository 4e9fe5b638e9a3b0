/* What somebody else has changed beneath a pod, put right where it is clear what is right.
 *
 * Groups: an administrator's clean-up removes those that are empty, so a container that had ended could not start any more.
 * Records: as long as a server and podfs-pod live they have between them what stood there; the next server would not know it.
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

/* --- records --- */

static bool has_record(const struct pod *p)
{
	char path[64];
	snprintf(path, sizeof path, "pods/%s/pod.ini", p->spec->uid);
	return !faccessat(p->engine->state_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) || errno != ENOENT;
}

static void on_record(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct pod *p = arg;
	if (result >= 0) {
		p->trouble[0] = 0;
		engine_event(p->engine, p, NULL, "its record pod.ini had been removed by others, and is written again");
	} else if (result != -ENODEV) {
		snprintf(p->trouble, sizeof p->trouble, "its record pods/%s/pod.ini is gone and can't be written again (%.160s): the next server "
			 "would not know it", p->spec->uid, e->text);
	}
	engine_changed(p->engine, p, CHANGE_STATE);
}

/* With the record comes all that podfs-pod needs for its folder, should that be gone too (runtime/pod/sandbox.c). */
static int write_record(struct pod *p, struct err *e)
{
	_cleanup_buf_ struct buf record = { 0 };
	struct wire_out o = { 0 };
	int r = record_write(p->spec, &record, e);
	if (r)
		return r;
	wire_begin(&o, W_HOSTNAME, 0);
	wire_str(&o, K_HOSTNAME, p->spec->hostname);
	net_put_etc(p, &o);
	wire_put(&o, K_RECORD, record.data, record.len);
	r = link_request(p, &o, on_record, p);
	wire_free(&o);
	return r ? err_sys(e, -r, "pod %s", p->spec->name) : 0;
}

/* Not while a change is under way: it brings a record along, or ends soon. */
static bool can_be_mended(const struct pod *p)
{
	const struct pod_link *l = p->link;
	return link_up(p) && !l->hello && !l->revival && !l->remove_done && !l->ops.first;
}

void mend_records(struct engine *en)
{
	for (size_t i = 0; i < en->npods; i++) {
		struct pod *p = en->pods[i];
		struct err e = { 0 };
		if (can_be_mended(p) && !has_record(p) && write_record(p, &e))
			on_record(p, -e.code, NULL, &e);
	}
}
