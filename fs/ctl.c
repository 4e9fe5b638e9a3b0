/* ctl: verbs, a line each; all of a write are verbs, or none is done. Each in its order until one fails.
 *
 * Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/job.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

/* The next line that is not blank; false: no more. */
static bool next_line(struct job *j, const char **line, size_t *len)
{
	while (j->pos < j->text.len) {
		*line = j->text.data + j->pos;
		const char *nl = memchr(*line, '\n', j->text.len - j->pos);
		*len = nl ? (size_t)(nl - *line) : j->text.len - j->pos;
		j->pos += *len + 1;
		if (strspn(*line, " \t\r") < *len)
			return true;
	}
	return false;
}

/* True: a verb is under way (and j may be gone); false: there was none left. */
static bool ctl_step(struct job *j, struct fuse_req *req)
{
	struct node n;
	struct ctl ctl;
	struct err e = { 0 };
	const char *line;
	size_t len;
	if (!next_line(j, &line, &len))
		return false;
	job_next(j, req);
	int r = node_get(j->fs, j->ino, &n);
	if (r)
		err_set(&e, -r, "it has been removed");
	if (!r)
		r = parse_ctl(line, len, &ctl, &e);
	j->fs->en->asking = j->pos < j->text.len ? 0 : j->asked;
	if (!r)
		r = engine_ctl(n.ref.pod, n.ref.c, &ctl, job_done, j, &e);
	j->fs->en->asking = 0;
	job_started(j, r, &e, JOB_SHORT_MS);
	return true;
}

static bool ctl_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node n;
	if (r < 0 && !node_get(j->fs, j->ino, &n))
		node_refused(&n, e);
	if (r < 0) {
		if (req)
			reply(req, r);
		return false;
	}
	if (ctl_step(j, req))
		return true;
	if (req)
		reply_written(req, j->len);
	return false;
}

static int check_verbs(struct job *j, struct err *e)
{
	struct ctl ctl;
	const char *line;
	size_t len;
	int r = 0;
	while (!r && next_line(j, &line, &len))
		r = parse_ctl(line, len, &ctl, e);
	j->pos = 0;
	return r;
}

static void ctl_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	int r = handle_node(h, &n);
	if (!r && size > 4096)
		r = node_refuse(&n, E2BIG, "at most 4096 bytes of verbs at once");
	if (r) {
		reply(req, r);
		return;
	}
	struct job *j = job_new(&n, req, ctl_answer);
	if (!j)
		return;
	buf_put(&j->text, data, size);
	j->len = size;
	struct err e = { 0 };
	r = buf_status(&j->text) ? err_set(&e, ENOMEM, "ctl: out of memory") : check_verbs(j, &e);
	/* As if a verb before the first one had been done. */
	j->done = true;
	job_started(j, r, &e, JOB_SHORT_MS);
}

static void ctl_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	reply(req, -EACCES);
}

static int ctl_adopt(struct node *n, struct handle *h, uint64_t off)
{
	return 0;
}

const struct kind kind_ctl = { .open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .adopt = ctl_adopt, .read = ctl_read, .write = ctl_write };
