/* Files whose text is made when they are opened: status, describe, memory.current …
 *
 * One opening sees one text, whatever changes meanwhile; a reader that comes back to offset 0 sees a new one. Runs in
 * podfs-server.
 */
#include "fs/handle.h"
#include "runtime/base/util.h"

#include <errno.h>

/* Without a request there is nobody to judge: then what everybody may see. */
static bool caller_sees(const struct ref *r, const struct pod *p)
{
	return r->req ? pod_may_read(p, r->req) : p->spec->mode & S_IROTH;
}

static int make(const struct node *n, struct buf *out)
{
	struct ref ref = n->ref;
	ref.sees = caller_sees;
	ref.req = n->fs->req;
	int r = n->row->show ? n->row->show(&ref, out) : show_use(&ref, n->row->name, out);
	return r < 0 ? r : buf_status(out);
}

/* A path is looked up before it is opened, and its size is that of a text: the opening takes that one if it follows at
 * once, by the same thread: what is shown depends on who asks. */
static struct made {
	uint64_t ino, at_ns;
	struct caller who;
	struct buf text;
} last;
#define FRESH_NS 5000000u

static bool is_last(const struct node *n, struct fuse_req *req)
{
	struct caller who = req_caller(req);
	return last.ino == n->id && last.who.pid && last.who.pid == who.pid && last.who.uid == who.uid &&
	       last.who.gid == who.gid && now_mono_ns() - last.at_ns <= FRESH_NS;
}

static void text_stat(const struct node *n, struct stat *st)
{
	buf_reset(&last.text);
	last.ino = make(n, &last.text) ? 0 : n->id;
	last.who = n->fs->req ? req_caller(n->fs->req) : (struct caller){ 0 };
	last.at_ns = now_mono_ns();
	st->st_size = last.ino ? (off_t)last.text.len : 1;
}

static int text_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	if (!is_last(n, req))
		return make(n, &h->text);
	h->text = last.text;
	last = (struct made){ 0 };
	return 0;
}

static void text_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	/* data: it has been read. Who comes back to the start (rewind, lseek) sees what holds now, with the rights that it was
	 * opened with. */
	if (!off && h->data && req_caller(req).uid == h->uid) {
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
