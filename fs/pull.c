/* .node/pull: references that are written are fetched; read are the pulls under way.
 *
 * A write is taken as a whole: each line of it names an image that can be asked for, or none is. What a program's buffer cut
 * off inside a line (value.c) waits for the next write or for close(2). Runs in podfs-server.
 */
#include "fs/handle.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

typedef int line_fn(struct engine *en, const char *reference, bool by_root, struct err *e);

/* Calls fn for each line that is not blank, until one fails. How many there were, or -errno. */
static int each_line(struct engine *en, const char *text, size_t len, bool by_root, line_fn *fn, struct err *e)
{
	_cleanup_free_ char *copy = strndup(text, len);
	char *save = NULL;
	int n = 0;
	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	for (char *line = strtok_r(copy, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		line += strspn(line, " \t");
		for (size_t end = strlen(line); end && strchr(" \t", line[end - 1]);)
			line[--end] = 0;
		int r = *line ? fn(en, line, by_root, e) : 0;
		if (r)
			return r;
		n += *line != 0;
	}
	return n;
}

static int check(struct engine *en UNUSED, const char *reference, bool by_root, struct err *e)
{
	struct image_ref ref = { 0 };
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (!r && ref.local && !by_root)
		r = err_set(e, EPERM, "%s: what is on the host is for root only", reference);
	image_ref_free(&ref);
	return r;
}

static int ask(const struct node *n, const char *text, size_t len, bool by_root)
{
	struct err e = { 0 };
	struct engine *en = n->fs->en;
	int r = memchr(text, 0, len) ? err_set(&e, EINVAL, "a NUL byte is no part of an image reference") :
		each_line(en, text, len, by_root, check, &e);
	if (!r)
		r = err_set(&e, EINVAL, "no image reference was written");
	if (r > 0)
		r = each_line(en, text, len, by_root, engine_pull, &e);
	return r < 0 ? node_refused(n, &e) : 0;
}

/* --- the file --- */

static void pull_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	int r = 0;
	if (!off) {
		buf_reset(&h->text);
		r = handle_node(h, &n);
		if (!r)
			r = show_pull(&n.ref, &h->text);
	}
	if (r)
		reply(req, r);
	else
		handle_reply_text(h, req, size, off);
}

/* h->data of who may write: a struct buf of what was written and not yet asked for. */
static int pull_open(struct node *n UNUSED, struct handle *h, struct fuse_req *req UNUSED)
{
	h->data = handle_writes(h) ? calloc(1, sizeof(struct buf)) : NULL;
	return h->data || !handle_writes(h) ? 0 : -ENOMEM;
}

/* Bytes of text that can be taken: the last line waits if it may have been cut off. */
static size_t whole(const struct buf *text, size_t written)
{
	size_t n = text->len;
	while (!(written % 1024) && n && text->data[n - 1] != '\n')
		n--;
	return n;
}

static int take(struct handle *h, struct buf *text, size_t len, bool by_root)
{
	struct node n;
	int r = handle_node(h, &n);
	if (!r)
		r = buf_status(text);
	if (!r && text->len > SPEC_VALUE_MAX)
		r = node_refuse(&n, E2BIG, "more than %d bytes", SPEC_VALUE_MAX);
	if (!r && len)
		r = ask(&n, text->data, len, by_root);
	if (r)
		buf_reset(text);
	else
		buf_drop_front(text, len);
	return r;
}

static void pull_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off UNUSED)
{
	struct buf *text = h->data;
	if (!text) {
		reply(req, -EBADF);
		return;
	}
	buf_put(text, data, size);
	int r = take(h, text, whole(text, size), !req_caller(req).uid);
	if (r)
		reply(req, r);
	else
		reply_written(req, size);
}

static void pull_flush(struct handle *h, struct fuse_req *req)
{
	struct buf *text = h->data;
	reply(req, text && text->len ? take(h, text, text->len, !h->uid) : 0);
}

static void pull_release(struct handle *h)
{
	if (h->data)
		buf_free(h->data);
	free(h->data);
}

static void pull_stat(const struct node *n, struct stat *st)
{
	_cleanup_buf_ struct buf text = { 0 };
	if (!show_pull(&n->ref, &text))
		st->st_size = (off_t)text.len;
}

const struct kind kind_pull = {
	.open_flags = OPEN_DIRECT, .open = pull_open, .read = pull_read, .write = pull_write, .flush = pull_flush,
	.release = pull_release, .stat = pull_stat,
};
