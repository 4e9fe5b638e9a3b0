/* What one opening has written: see written.h. */
#include "fs/written.h"

#include "fs/ledger.h"
#include "runtime/base/util.h"

#include <errno.h>

size_t whole_lines(const struct buf *text)
{
	size_t n = text->len;
	while (n && text->data[n - 1] != '\n')
		n--;
	return n;
}

static void note(struct handle *h, struct written *w)
{
	bool carries = written_carries(w);
	if (h->fs->ledger && carries != w->noted)
		ledger_writing(h->fs->ledger, h->fh, carries);
	w->noted = carries;
}

int written_admit(struct handle *h, struct written *w, const struct node *n, const char *data, size_t size)
{
	int r = -w->refused;
	if (!r && w->text.len + size > SPEC_VALUE_MAX)
		r = node_refuse(n, E2BIG, "more than %d bytes", SPEC_VALUE_MAX);
	if (r)
		written_refused(h, w, -r, size, data[size - 1]);
	return r;
}

int written_carry(struct handle *h, struct written *w, const char *data, size_t size)
{
	buf_put(&w->text, data, size);
	int r = buf_status(&w->text);
	w->text.failed = false;
	if (r)
		written_refused(h, w, -r, size, data[size - 1]);
	note(h, w);
	return r;
}

void written_held(struct handle *h, struct written *w, struct buf *text, size_t held)
{
	buf_free(&w->text);
	w->text = *text;
	*text = (struct buf){ 0 };
	w->held = held;
	w->refused = 0;
	note(h, w);
}

void written_refused(struct handle *h, struct written *w, int code, size_t size, char last)
{
	bool is_none = w->one && (code == EINVAL || code == E2BIG);
	w->text.len = w->held;
	w->refused = is_none || written_goes_on(size, last) ? code : 0;
	note(h, w);
}

void written_free(struct handle *h, struct written *w)
{
	w->text.len = w->held;
	note(h, w);
	buf_free(&w->text);
}

int written_adopt(const struct node *n, const struct handle *h)
{
	if (!handle_writes(h) || !h->fs->ledger || !ledger_was_writing(h->fs->ledger, h->fh))
		return 0;
	return node_refuse(n, EIO, "the server was started again while a line was being written; write it anew");
}
