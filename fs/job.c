/* Engine calls and the requests that wait for them: see job.h. */
#include "fs/job.h"

#include "runtime/base/util.h"

#include <errno.h>

#define GRACE_MS 200 /* a stray signal does not cut short what is done in a moment */

static void job_lapse(struct park *p, struct fuse_req *req, int why)
{
	struct job *j = container_of(p, struct job, park);
	if (why == -ETIMEDOUT && j->late_is_success)
		reply_written(req, j->len);
	else
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
