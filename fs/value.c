/* Settings: files that are rows of spec_fields[], and image, command and pull of a pod.
 *
 * What one opening writes is one text (docs/design.md, "A write"): each write(2) hands the engine all of it, or, of one that
 * appends, the lines that are new. So a value holds or is refused inside the write that completes it. Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/job.h"
#include "fs/written.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What an opening has written. */
struct value {
	struct written w; /* all of it; of one that adds lines the last, as long as that is not finished */
	bool replaces;    /* opened with O_TRUNC, or cut to nothing */
	bool wrote;       /* or tried to */
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
	if (!handle_writes(h))
		return 0;
	struct value *v = h->data = calloc(1, sizeof *v);
	if (!v)
		return -ENOMEM;
	const struct spec_field *f = target_of(n).field;
	v->replaces = h->flags & O_TRUNC;
	v->w.one = f && f->form == SPEC_VALUE;
	return 0;
}

/* What a dead server's opening has written so far is what holds. */
static int value_adopt(struct node *n, struct handle *h, uint64_t off)
{
	int r = written_adopt(n, h);
	if (!r)
		r = value_open(n, h, NULL);
	struct value *v = r ? NULL : h->data;
	if (!v)
		return r;
	v->wrote = true;
	r = off && !(h->flags & O_APPEND) ? get_text(n, &v->w.text) : 0;
	v->w.held = v->w.text.len;
	if (r) {
		written_free(h, &v->w);
		free(v);
	}
	return r;
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

/* What such an opening writes comes behind the lines that hold, whoever wrote them. A value is always all there is. */
static bool adds(const struct handle *h, const struct value *v, const struct spec_field *f)
{
	return f && f->form == SPEC_LINES && h->flags & O_APPEND && !v->replaces;
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
	struct setting s = { .field = t.field, .text = buf_str(&j->text), .len = j->pos, .adds = j->adds, .again = j->again,
			     .by_root = !j->uid };
	if (n.row->arg == SHORTHAND && !t.c)
		return engine_define(t.pod, t.pod->spec->name, &s, job_done, j, e);
	return engine_set(t.pod, t.c, &s, job_done, j, e);
}

static void run_set(struct job *j)
{
	struct err e = { 0 };
	j->fs->en->asking = j->asked;
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

/* Who adds keeps the line that is not finished: the rest of it may come. */
static void keep_text(struct handle *h, struct job *j)
{
	struct value *v = h->data;
	size_t held = j->pos;
	if (j->adds) {
		size_t n = whole_lines(&j->text);
		buf_drop_front(&j->text, n);
		held -= n;
	}
	written_held(h, &v->w, &j->text, held);
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
	struct handle *h = handle_find(j->fs, j->fh);
	if (r < 0 && !node_get(j->fs, j->ino, &n))
		refused(&n, e);
	/* An answer that comes after its time finds the opening further on. */
	if (r < 0 && h && req)
		written_refused(h, &((struct value *)h->data)->w, -r, j->len, j->text.len ? j->text.data[j->text.len - 1] : '\n');
	else if (h && req)
		keep_text(h, j);
	if (req && r < 0)
		reply(req, r);
	else if (req)
		reply_written(req, j->len);
	return false;
}

/* A value ends with its line: what follows in the same opening is another one. Lines add up. */
static void begin_anew(struct value *v, const struct spec_field *f)
{
	const struct buf *text = &v->w.text;
	if (f->form == SPEC_LINES || written_carries(&v->w) || !text->len || text->data[text->len - 1] != '\n')
		return;
	buf_reset(&v->w.text);
	v->w.held = 0;
}

/* Moves what is carried into j, with data behind it. As long as nobody knows what becomes of that, neither does the rest of its
 * last line. */
static void take_text(struct job *j, struct written *w, const char *data, size_t size)
{
	j->again = w->held;
	buf_put(&j->text, w->text.data, w->text.len);
	buf_put(&j->text, data, size);
	w->text.len = w->held;
	w->refused = written_goes_on(size, data[size - 1]) ? ETIMEDOUT : 0;
	if (j->adds && j->again && j->again < j->text.len && j->text.data[j->again] == '\n') { /* it is whole, and holds */
		buf_drop_front(&j->text, j->again + 1);
		j->again = 0;
	}
	j->pos = j->cut ? whole_lines(&j->text) : j->text.len;
}

static void write_now(struct handle *h, struct node *n, struct fuse_req *req, const char *data, size_t size)
{
	struct value *v = h->data;
	struct target t = target_of(n);
	struct job *j = job_new(n, req, set_answer);
	if (!j)
		return;
	j->fh = h->fh;
	j->len = size;
	j->uid = req_caller(req).uid;
	j->deadline_ms = deadline_of(t.field);
	j->late_is_success = t.field && t.field->effect == SPEC_IMAGE;
	j->cut = written_cut(data, size);
	j->adds = adds(h, v, t.field);
	take_text(j, &v->w, data, size);
	if (buf_status(&j->text)) {
		struct err e = { .code = ENOMEM, .text = "out of memory" };
		job_started(j, -ENOMEM, &e, 0);
		return;
	}
	run_set(j);
}

static void value_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	struct value *v = h->data;
	int r = handle_node(h, &n);
	const struct spec_field *f = r ? NULL : target_of(&n).field;
	if (!r && (!v || !f))
		r = v ? -EIO : -EBADF;
	if (!r) {
		begin_anew(v, f);
		v->wrote = true;
		r = written_admit(h, &v->w, &n, data, size);
	}
	bool waits = !r && written_cut(data, size) && (f->form == SPEC_VALUE || !memchr(data, '\n', size));
	if (waits)
		r = written_carry(h, &v->w, data, size);
	if (r)
		reply(req, r);
	else if (waits)
		reply_written(req, size);
	else
		write_now(h, &n, req, data, size);
}

/* `> file` without a write sets the default; a line that was never finished is taken as it is. There is nobody left to
 * tell: what is refused now stands in `error` alone. */
static void value_release(struct handle *h)
{
	struct node n;
	struct value *v = h->data;
	if (!v)
		return;
	bool clear = v->replaces && !v->wrote, carries = written_carries(&v->w);
	struct job *j = (clear || carries) && !handle_node(h, &n) ? job_new(&n, NULL, set_answer) : NULL;
	if (j) {
		j->uid = h->uid;
		j->adds = adds(h, v, target_of(&n).field);
		j->again = v->w.held;
		j->text = v->w.text;
		v->w.text = (struct buf){ 0 };
		j->pos = j->text.len;
		run_set(j);
	}
	written_free(h, &v->w);
	free(v);
	h->data = NULL;
}

static void value_truncate(struct handle *h, uint64_t size)
{
	struct value *v = h->data;
	if (!v || size)
		return;
	struct buf nothing = { 0 };
	written_held(h, &v->w, &nothing, 0);
	v->replaces = true;
	v->wrote = false;
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
