/* Files whose text is made when they are opened: status, describe, memory.current …
 *
 * One opening sees one text, whatever changes meanwhile; a reader that comes back to offset 0 sees a new one. Runs in
 * podfs-server.
 */
#include "fs/handle.h"

#include <errno.h>

static int make(const struct node *n, struct buf *out)
{
	int r = n->row->show ? n->row->show(&n->ref, out) : show_use(&n->ref, n->row->name, out);
	return r < 0 ? r : buf_status(out);
}

static int text_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	return make(n, &h->text);
}

static void text_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	/* data is where the last read ended: what is read twice from the start is made twice (lseek, rewind). */
	if (!off && h->data) {
		buf_reset(&h->text);
		int r = handle_node(h, &n);
		if (!r)
			r = make(&n, &h->text);
		if (r) {
			reply(req, r);
			return;
		}
	}
	h->data = h;
	handle_reply_text(h, req, size, off);
}

const struct kind kind_text = { .open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = text_open, .read = text_read };
