/* Files of an exec session that are written before and while its command runs: container, tty, winsize, cmd.
 *
 * Its streams are in stream.c, its exit in wait.c. Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/job.h"
#include "fs/wait.h"
#include "fs/written.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

static void put_container(const struct session *s, struct buf *out)
{
	const char *name = *s->container ? s->container : s->pod->ncontainers ? s->pod->containers[0]->spec->name : "";
	if (*name)
		buf_printf(out, "%s\n", name);
}

static int session_show(const struct node *n, struct buf *out)
{
	const struct session *s = n->ref.s;
	if (n->row->kind == &kind_cmd)
		buf_puts(out, s->cmd ? s->cmd : "");
	else if (n->row->arg == OPTION_CONTAINER)
		put_container(s, out);
	else if (n->row->arg == OPTION_TTY)
		buf_printf(out, "%d\n", s->tty);
	else if (s->rows || s->cols)
		buf_printf(out, "%u %u\n", s->rows, s->cols);
	return buf_status(out);
}

static int session_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	return handle_reads(h) ? session_show(n, &h->text) : 0;
}

static int session_adopt(struct node *n, struct handle *h, uint64_t off)
{
	return session_open(n, h, NULL);
}

static void session_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	handle_reply_text(h, req, size, off);
}

static void session_stat(const struct node *n, struct stat *st)
{
	_cleanup_buf_ struct buf text = { 0 };
	if (!session_show(n, &text))
		st->st_size = (off_t)text.len;
}

/* --- container, tty, winsize --- */

static int set_container(struct session *s, const char *name, struct err *e)
{
	if (!engine_container(s->pod, name))
		return err_set(e, ENOENT, "container: pod %s has no container %s", s->pod->spec->name, name);
	snprintf(s->container, sizeof s->container, "%s", name);
	return 0;
}

static int set_tty(struct session *s, const char *text, struct err *e)
{
	if (strcmp(text, "0") && strcmp(text, "1"))
		return err_set(e, EINVAL, "tty: %s: not 0 or 1", text);
	s->tty = *text == '1';
	return 0;
}

static int set_winsize(struct session *s, const char *text, struct err *e)
{
	unsigned lines, columns;
	int r = parse_winsize(text, strlen(text), &lines, &columns, e);
	return r ? r : engine_session_winsize(s, lines, columns, e);
}

static int set_option(const struct node *n, const char *text, struct err *e)
{
	struct session *s = n->ref.s;
	if (n->row->arg == OPTION_WINSIZE)
		return set_winsize(s, text, e);
	if (s->state != S_NEW)
		return err_set(e, EBUSY, "%s: the command of session %s has been started", n->row->name, s->name);
	return n->row->arg == OPTION_TTY ? set_tty(s, text, e) : set_container(s, text, e);
}

/* Without blanks around it. */
static int trimmed(const char *data, size_t size, char *out, size_t cap)
{
	while (size && strchr(" \t\n", *data))
		data++, size--;
	while (size && strchr(" \t\n", data[size - 1]))
		size--;
	if (size >= cap || memchr(data, 0, size))
		return -EINVAL;
	memcpy(out, data, size);
	out[size] = 0;
	return 0;
}

static void option_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	struct err e = { 0 };
	char text[SPEC_NAME_MAX + 1];
	int r = handle_node(h, &n);
	if (!r) {
		r = trimmed(data, size, text, sizeof text);
		r = r ? err_set(&e, EINVAL, "%s: value is too long", n.row->name) : set_option(&n, text, &e);
		if (!r)
			engine_session_note(n.ref.s);
		if (r)
			r = node_refused(&n, &e);
	}
	if (r)
		reply(req, r);
	else
		reply_written(req, size);
}

/* --- cmd --- */

static int may_have_command(const struct session *s, struct err *e)
{
	if (s->state != S_NEW || s->cmd)
		return err_set(e, EBUSY, "cmd: session %s has a command; each is for one", s->name);
	return 0;
}

static int cmd_start(const struct node *n, const struct buf *text, struct job *j, struct err *e)
{
	struct session *s = n->ref.s;
	struct strs words = { 0 };
	int r = may_have_command(s, e);
	if (!r)
		r = parse_words(buf_str(text), text->len, &words, e);
	if (r)
		return r;
	s->cmd = strdup(buf_str(text));
	if (s->cmd)
		engine_session_note(s);
	r = s->cmd ? engine_session_run(s, &words, false, job_done, j, e) : err_set(e, ENOMEM, "cmd: out of memory");
	strs_free(&words);
	if (r && s->state == S_NEW) {
		free(s->cmd);
		s->cmd = NULL;
	}
	return r;
}

static bool cmd_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node n;
	struct handle *h = handle_find(j->fs, j->fh);
	int g = node_get(j->fs, j->ino, &n);
	if (r < 0 && !g)
		node_refused(&n, e);
	if (h)
		written_refused(h, h->data, -r, j->len, '\n');
	/* The streams are open now: whoever waits for them is asked again. */
	wait_poke(j->fs);
	if (req && r < 0)
		reply(req, r);
	else if (req)
		reply_written(req, j->len);
	return false;
}

/* What was carried, with data behind it, is the command. */
static void cmd_run(struct handle *h, const struct node *n, struct fuse_req *req, const char *data, size_t size)
{
	struct written *w = h->data;
	struct err e = { 0 };
	struct job *j = job_new(n, req, cmd_answer);
	if (!j)
		return;
	j->fh = req ? h->fh : 0;
	j->len = size;
	buf_put(&w->text, data, size);
	int r = buf_status(&w->text) ? err_set(&e, ENOMEM, "cmd: out of memory") : cmd_start(n, &w->text, j, &e);
	buf_reset(&w->text);
	job_started(j, r, &e, JOB_START_MS);
}

static void cmd_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	struct err e = { 0 };
	struct written *w = h->data;
	int r = handle_node(h, &n);
	if (!r && !w)
		r = -EBADF;
	if (!r && !w->refused && may_have_command(n.ref.s, &e))
		r = node_refused(&n, &e);
	if (!r)
		r = written_admit(h, w, &n, data, size);
	if (!r && !written_cut(data, size)) {
		cmd_run(h, &n, req, data, size);
		return;
	}
	if (!r)
		r = written_carry(h, w, data, size);
	if (r)
		reply(req, r);
	else
		reply_written(req, size);
}

static int cmd_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	int r = session_open(n, h, req);
	if (r || !handle_writes(h))
		return r;
	struct written *w = h->data = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->one = true;
	return 0;
}

static int cmd_adopt(struct node *n, struct handle *h, uint64_t off)
{
	int r = written_adopt(n, h);
	return r ? r : cmd_open(n, h, NULL);
}

/* A command that was never finished is taken as it is; what is refused now stands in `error` alone. */
static void cmd_release(struct handle *h)
{
	struct node n;
	struct written *w = h->data;
	if (!w)
		return;
	if (written_carries(w) && !handle_node(h, &n))
		cmd_run(h, &n, NULL, "", 0);
	written_free(h, w);
	free(w);
}

const struct kind kind_option = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = session_open, .adopt = session_adopt, .read = session_read,
	.write = option_write,
	.stat = session_stat,
};
const struct kind kind_cmd = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = cmd_open, .adopt = cmd_adopt, .read = session_read, .write = cmd_write,
	.release = cmd_release,
	.stat = session_stat,
};
