/* Engine calls and the requests that wait for them: see job.h. */
#include "fs/job.h"

#include "runtime/base/util.h"

#include <errno.h>

#define GRACE_MS 200 /* a stray signal does not cut short what is done in a moment */

/* What was asked has been handed on and can't be called back, so more than this is not known. */
static void tell_late(const struct job *j)
{
	struct node n;
	unsigned seconds = j->deadline_ms / 1000;
	const char *then = j->late_is_undone ? "what was asked is taken back when it does" :
		"what was asked is under way, and holds or fails when it does: `events` says so then";
	if (node_get(j->fs, j->ino, &n))
		return;
	if (n.ref.pod)
		node_refuse(&n, ETIMEDOUT, "podfs-pod of %s has not answered for %u s; %s", n.ref.pod->spec->name, seconds, then);
	else
		node_refuse(&n, ETIMEDOUT, "not done after %u s; %s", seconds, then);
}

static void tell_after_all(const struct job *j, int r)
{
	struct node n;
	char name[300];
	if (node_get(j->fs, j->ino, &n))
		return;
	node_name(&n, name, sizeof name);
	engine_event(j->fs->en, n.ref.pod, n.ref.c, "%s: %s after all", name, r < 0 ? "refused" : "done");
}

static void job_lapse(struct park *p, struct fuse_req *req, int why)
{
	struct job *j = container_of(p, struct job, park);
	if (why == -ETIMEDOUT && j->late_is_success) {
		reply_written(req, j->len);
		return;
	}
	if (why == -ETIMEDOUT) {
		tell_late(j);
		j->told_late = !j->late_is_undone;
	}
	reply(req, why);
}

struct job *job_new(const struct node *n, struct fuse_req *req, job_fn *fn)
{
	struct job *j = calloc(1, sizeof *j);
	if (!j) {
		if (req)
			reply(req, -ENOMEM);
		return NULL;
	}
	*j = (struct job){ .fs = n->fs, .fn = fn, .ino = n->id, .asked = n->fs->en->asking,
			  .park.lapse = job_lapse };
	job_next(j, req);
	return j;
}

void job_next(struct job *j, struct fuse_req *req)
{
	j->req = req;
	j->in_call = true;
	j->done = false;
}

static void finish(struct job *j, int r, const struct err *e)
{
	struct fuse_req *req = j->park.req ? park_take(&j->park) : j->req;
	j->req = NULL;
	if (j->fn(j, req, r, e))
		return;
	if (j->told_late)
		tell_after_all(j, r);
	buf_free(&j->text);
	free(j);
}

void job_done(void *arg, int result, const struct err *e)
{
	struct job *j = arg;
	if (!j->in_call) {
		finish(j, result, e);
		return;
	}
	j->done = true;
	j->result = result;
	if (e)
		j->err = *e;
}

void job_started(struct job *j, int r, const struct err *e, unsigned deadline_ms)
{
	struct err copy = { 0 };
	j->in_call = false;
	j->deadline_ms = deadline_ms;
	if (r < 0 || j->done) {
		/* j->err is gone with j, should fn call the engine again. */
		copy = r < 0 ? *e : j->err;
		finish(j, r < 0 ? r : j->result, &copy);
		return;
	}
	struct fuse_req *req = j->req;
	j->req = NULL;
	if (req)
		park(j->fs, &j->park, NULL, req, deadline_ms, GRACE_MS);
}
