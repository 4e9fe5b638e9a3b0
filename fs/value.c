/* Settings: files that are rows of spec_fields[], and image, command and pull of a pod.
 *
 * What one opening writes is one text (docs/design.md, "A write"): each write(2) hands the engine all of it, so a value holds
 * or is refused inside the write that completes it. Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/job.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What an opening has written. */
struct value {
	struct buf text; /* of all writes that held, behind what stood there when it appends */
	bool replaces;   /* opened with O_TRUNC, or cut to nothing */
	bool wrote;      /* or tried to */
	bool rest;       /* text ends in an unfinished line that has not been applied */
};

/* Which setting, of what. c is NULL for a pod's own, and for a shorthand whose container is not there yet. */
struct target {
	const struct spec_field *field;
	struct pod *pod;
	struct container *c;
};

static struct target target_of(const struct node *n)
{
	bool shorthand = n->row->arg == SHORTHAND;
	struct target t = { .pod = n->ref.pod, .c = n->ref.c };
	if (shorthand)
		t.c = engine_container(t.pod, t.pod->spec->name);
	t.field = spec_field_find(n->row->name, n->ref.c || shorthand ? SPEC_CONTAINER : SPEC_POD);
	return t;
}

static int get_text(const struct node *n, struct buf *out)
{
	struct target t = target_of(n);
	if (!t.field)
		return -EIO;
	if (n->row->arg != SHORTHAND || t.c)
		t.field->get((struct spec_ref){ t.pod->spec, t.c ? t.c->spec : NULL }, out);
	return buf_status(out);
}

static int value_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	if (handle_writes(h)) {
		struct value *v = h->data = calloc(1, sizeof *v);
		if (!v)
			return -ENOMEM;
		v->replaces = h->flags & O_TRUNC;
		int r = h->flags & O_APPEND && !v->replaces ? get_text(n, &v->text) : 0;
		if (r) {
			buf_free(&v->text);
			free(v);
			return r;
		}
	}
	return 0;
}

/* What a dead server's opening has written so far is what holds. */
static int value_adopt(struct node *n, struct handle *h, uint64_t off)
{
	int r = value_open(n, h, NULL);
	struct value *v = r ? NULL : h->data;
	if (!v)
		return r;
	v->wrote = true;
	return off && !(h->flags & O_APPEND) ? get_text(n, &v->text) : 0;
}

/* Made anew at the start, so that who writes and reads on one descriptor sees what he has written. */
static void value_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	if (!off || !h->text.data) {
		buf_reset(&h->text);
		int r = handle_node(h, &n);
		if (!r)
			r = get_text(&n, &h->text);
		if (r) {
			reply(req, r);
			return;
		}
	}
	handle_reply_text(h, req, size, off);
}

/* --- writing --- */

/* Lines up to here are whole; 0: there is no whole one. */
static size_t whole_lines(const struct buf *text)
{
	size_t n = text->len;
	while (n && text->data[n - 1] != '\n')
		n--;
	return n;
}

static int start_set(struct job *j, struct err *e)
{
	struct node n;
	int r = node_get(j->fs, j->ino, &n);
	if (r)
		return err_set(e, -r, "it has been removed");
	struct target t = target_of(&n);
	if (!t.field)
		return err_set(e, EIO, "%s: no such setting", n.row->name);
	if (n.row->arg == SHORTHAND && !t.c) {
		j->pos = 1; /* the container first */
		j->fs->en->asking = 0;
		return engine_container_create(t.pod, t.pod->spec->name, job_done, j, e);
	}
	j->pos = 0;
	size_t len = j->cut ? whole_lines(&j->text) : j->text.len;
	j->fs->en->asking = j->asked;
	return engine_set(t.pod, t.c, t.field, j->text.data ? j->text.data : "", len, !j->uid, job_done, j, e);
}

static void run_set(struct job *j)
{
	struct err e = { 0 };
	int r = start_set(j, &e);
	j->fs->en->asking = 0;
	job_started(j, r, &e, j->deadline_ms);
}

/* What podfs-net does has an end of the engine's own: the plugins of a CNI network have half a minute, and what else is written
 * of that pod's network waits for its turn. These rows are fresh: nobody waits uninterruptibly. */
static unsigned deadline_of(const struct spec_field *f)
{
	switch (f ? f->effect : SPEC_INERT) {
	case SPEC_IMAGE:
		return JOB_START_MS;
	case SPEC_NETWORK:
	case SPEC_PORTS:
	case SPEC_RATE:
		return JOB_LONG_MS;
	default:
		return JOB_SHORT_MS;
	}
}

/* The opening's text is now what holds. */
static void keep_text(struct job *j)
{
	struct handle *h = handle_find(j->fs, j->fh);
	struct value *v = h ? h->data : NULL;
	if (!v)
		return;
	buf_free(&v->text);
	v->text = j->text;
	j->text = (struct buf){ 0 };
	v->rest = j->cut;
}

/* After a refusal nothing more comes of what was carried. */
static void drop_rest(struct handle *h)
{
	struct value *v = h ? h->data : NULL;
	if (!v || !v->rest)
		return;
	v->rest = false;
	buf_reset(&v->text);
}

/* A program's buffer may end inside a value: stdio writes whole blocks (bash 1024 to a terminal's size, others 4096). */
static bool may_be_cut(const struct job *j)
{
	return !j->cut && j->len && !(j->len % 1024) && j->text.len && j->text.data[j->text.len - 1] != '\n';
}

/* A shorthand's stands in both: where it was written, and where the setting is. */
static void refused(const struct node *n, const struct err *e)
{
	struct target t = target_of(n);
	node_refused(n, e);
	if (n->row->arg == SHORTHAND && t.c)
		engine_refused(n->fs->en, t.pod, t.c, n->row->name, e);
}

static bool set_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node n;
	int g = node_get(j->fs, j->ino, &n);
	if (!r && j->pos) {
		job_next(j, req);
		run_set(j);
		return true;
	}
	if (r == -EINVAL && req && may_be_cut(j)) {
		j->cut = true;
		if (whole_lines(&j->text)) {
			job_next(j, req);
			run_set(j);
			return true;
		}
		r = 0;
	}
	if (r < 0 && !g)
		refused(&n, e);
	if (r < 0)
		drop_rest(handle_find(j->fs, j->fh));
	if (!r && req)
		keep_text(j);
	if (req && r < 0)
		reply(req, r);
	else if (req)
		reply_written(req, j->len);
	return false;
}

/* A value ends with its line: what follows in the same opening is another one. Lines add up. */
static bool begins_anew(const struct value *v, const struct spec_field *f)
{
	return f->form == SPEC_VALUE && !v->rest && v->text.len && v->text.data[v->text.len - 1] == '\n';
}

static void value_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	struct value *v = h->data;
	int r = handle_node(h, &n);
	if (!r && !v)
		r = -EBADF;
	if (r) {
		reply(req, r);
		return;
	}
	struct target t = target_of(&n);
	bool anew = !t.field || begins_anew(v, t.field);
	v->wrote = true;
	if ((anew ? 0 : v->text.len) + size > SPEC_VALUE_MAX) {
		drop_rest(h);
		reply(req, node_refuse(&n, E2BIG, "more than %d bytes", SPEC_VALUE_MAX));
		return;
	}
	struct job *j = job_new(&n, req, set_answer);
	if (!j)
		return;
	j->fh = h->fh;
	j->len = size;
	j->uid = req_caller(req).uid;
	j->deadline_ms = deadline_of(t.field);
	j->late_is_success = t.field && t.field->effect == SPEC_IMAGE;
	if (!anew)
		buf_put(&j->text, v->text.data, v->text.len);
	buf_put(&j->text, data, size);
	if (buf_status(&j->text)) {
		struct err e = { .code = ENOMEM, .text = "out of memory" };
		job_started(j, -ENOMEM, &e, 0);
		return;
	}
	run_set(j);
}

/* `> file` without a write sets the default; a line that was never finished is taken as it is. There is nobody left to
 * tell: what is refused now stands in `error` alone. */
static void value_release(struct handle *h)
{
	struct node n;
	struct value *v = h->data;
	if (!v)
		return;
	bool clear = v->replaces && !v->wrote;
	if ((clear || v->rest) && !handle_node(h, &n)) {
		struct job *j = job_new(&n, NULL, set_answer);
		if (j) {
			j->uid = h->uid;
			if (v->rest)
				buf_put(&j->text, v->text.data, v->text.len);
			run_set(j);
		}
	}
	buf_free(&v->text);
	free(v);
	h->data = NULL;
}

static void value_truncate(struct handle *h, uint64_t size)
{
	struct value *v = h->data;
	if (!v || size)
		return;
	buf_reset(&v->text);
	v->replaces = true;
	v->wrote = v->rest = false;
}

static void value_stat(const struct node *n, struct stat *st)
{
	_cleanup_buf_ struct buf text = { 0 };
	if (!get_text(n, &text))
		st->st_size = (off_t)text.len;
}

const struct kind kind_setting = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = value_open, .adopt = value_adopt, .read = value_read, .write = value_write,
	.release = value_release, .truncate = value_truncate, .stat = value_stat,
};
