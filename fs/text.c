/* Files whose text is made when they are opened: status, describe, memory.current …
 *
 * One opening sees one text, whatever changes meanwhile; a reader that comes back to offset 0 sees a new one. Runs in
 * podfs-server.
 */
#include "fs/handle.h"
#include "runtime/base/util.h"

#include <errno.h>

static int make(const struct node *n, struct buf *out)
{
	int r = n->row->show ? n->row->show(&n->ref, out) : show_use(&n->ref, n->row->name, out);
	return r < 0 ? r : buf_status(out);
}

/* A path is looked up before it is opened, and its size is that of a text: the opening takes that one if it follows at
 * once. */
static struct made {
	uint64_t ino, at_ns;
	struct buf text;
} last;
#define FRESH_NS 5000000u

static void text_stat(const struct node *n, struct stat *st)
{
	buf_reset(&last.text);
	last.ino = make(n, &last.text) ? 0 : n->id;
	last.at_ns = now_mono_ns();
	st->st_size = last.ino ? (off_t)last.text.len : 1;
}

static int text_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	if (last.ino != n->id || now_mono_ns() - last.at_ns > FRESH_NS)
		return make(n, &h->text);
	h->text = last.text;
	last = (struct made){ 0 };
	return 0;
}

static void text_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	/* data: it has been read. Who comes back to the start (rewind, lseek) sees what holds now. */
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

const struct kind kind_text = { .open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = text_open, .read = text_read,
			       .stat = text_stat };
