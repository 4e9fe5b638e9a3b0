/* Opened files: the operations that a kind does, and what holds for all of them before it does.
 *
 * Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/ledger.h"
#include "fs/op.h"
#include "fs/pollers.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

static void kind_release(struct handle *h)
{
	poll_forget(h);
	if (h->row->kind->release)
		h->row->kind->release(h);
	handle_free(h);
}

void file_opened(struct handle *h, struct fuse_req *req)
{
	/* Not a leak of the opener's: the kernel sends no release for an open whose caller was killed meanwhile. */
	if (!reply_open(req, h->fh, h->open_flags))
		kind_release(h);
}

void file_not_opened(struct handle *h, struct fuse_req *req, int r)
{
	handle_free(h);
	if (req)
		reply(req, r);
}

/* root passes every mode bit, so what the mode says is asked again here. */
static int check_open(struct node *n, struct fuse_req *req, int flags)
{
	int how = flags & O_ACCMODE;
	if (!S_ISREG(n->row->mode))
		return S_ISDIR(n->row->mode) ? -EISDIR : -ELOOP;
	if (how != O_RDONLY && !(n->row->mode & 0200))
		return node_refuse(n, EACCES, "it can only be read");
	if (how != O_WRONLY && !(n->row->mode & 0400))
		return -EACCES;
	if (how != O_RDONLY && !node_may_write(n, req))
		return node_refuse(n, EPERM, "only the owner and root may write it");
	return 0;
}

void op_open(struct fs *fs, struct fuse_req *req, uint64_t ino, int flags)
{
	struct node n;
	int r = node_get(fs, ino, &n);
	if (!r)
		r = check_open(&n, req, flags);
	if (r) {
		reply(req, r);
		return;
	}
	struct handle *h = handle_new(fs, &n, flags, req_caller(req).uid);
	if (!h) {
		reply(req, -ENOMEM);
		return;
	}
	r = n.row->kind->open ? n.row->kind->open(&n, h, req) : 0;
	if (r < 0)
		file_not_opened(h, req, r);
	else if (r != PARKED)
		file_opened(h, req);
}

/* A name where nothing can be made; in images/ an archive begins. */
void op_create(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name, int flags)
{
	struct node dir, n;
	int r = node_get(fs, parent, &dir);
	if (!r && row_number(dir.row) != R_IMAGES && row_number(dir.row) != R_IMAGE_DIR) {
		op_refused(fs, req, parent, name);
		return;
	}
	if (!r)
		r = image_create(&dir, name, &n);
	struct handle *h = r ? NULL : handle_new(fs, &n, flags, req_caller(req).uid);
	if (!r && !h)
		r = -ENOMEM;
	if (!r && n.row->kind->open)
		r = n.row->kind->open(&n, h, req);
	if (r) {
		if (h)
			handle_free(h);
		reply(req, r);
		return;
	}
	struct stat st;
	node_stat(&n, &st);
	if (!reply_create(req, n.id, &st, h->fh, h->open_flags))
		kind_release(h);
}

/* --- handles of a server that is gone --- */

static int adopt(struct node *n, struct handle *h, struct fuse_req *req, uint64_t off)
{
	const struct kind *k = n->row->kind;
	if (k->adopt)
		return k->adopt(n, h, off);
	if (handle_writes(h))
		return node_refuse(n, EIO, "the server was started again while this was being written; write it anew");
	return k->open ? k->open(n, h, req) : 0;
}

static int handle_anew(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, uint64_t off,
		       struct handle **out)
{
	struct node n;
	int r = node_get(fs, ino, &n);
	if (!r && !n.row->kind)
		r = -EIO;
	if (r)
		return r;
	struct handle *h = handle_adopt(fs, &n, fh, flags, req_caller(req).uid);
	if (!h)
		return -ENOMEM;
	r = adopt(&n, h, req, off);
	if (r) {
		handle_free(h);
		return r < 0 ? r : -EIO;
	}
	*out = h;
	return 0;
}

/* NULL: req is answered. */
static struct handle *handle_of(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, uint64_t off)
{
	struct handle *h = handle_find(fs, fh);
	int r = h ? 0 : handle_anew(fs, req, ino, fh, flags, off, &h);
	if (r)
		reply(req, r);
	else
		h->flags = (h->flags & ~O_NONBLOCK) | (flags & O_NONBLOCK);
	return r ? NULL : h;
}

static bool recalled(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node n;
	if (r < 0 && !node_get(j->fs, j->ino, &n))
		node_refused(&n, e);
	if (req && r < 0)
		reply(req, r);
	else if (req)
		reply_written(req, j->len);
	return false;
}

/* A write that podfs-pod has been given already: true, and it is answered with what became of it. */
static bool recall(struct fs *fs, struct fuse_req *req, uint64_t ino, size_t size)
{
	struct node n;
	struct err none = { 0 };
	if (!fs->again || node_get(fs, ino, &n) || !n.ref.pod || !engine_knows(n.ref.pod, fs->request))
		return false;
	struct job *j = job_new(&n, req, recalled);
	if (!j)
		return true;
	j->len = size;
	j->late_is_success = true;
	engine_recall(n.ref.pod, fs->request, job_done, j);
	job_started(j, 0, &none, JOB_START_MS);
	return true;
}

/* --- reading and writing --- */

/* sendfile(2) and splice(2) go through the page cache though a file bypasses it, and take its size for the end, of which
 * there may be more or less. Refused, their callers read instead: busybox' cat, Python's shutil. (Of size 0 they would
 * not ask at all, but see an empty file: so what cannot know its size says 1.) */
void op_read(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, bool cached, size_t size,
	     uint64_t off)
{
	struct handle *h = handle_of(fs, req, ino, fh, flags, off);
	if (!h)
		return;
	if (cached && !(h->open_flags & OPEN_CACHED))
		reply(req, -EINVAL);
	else
		h->row->kind->read(h, req, size, off);
}

void op_write(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, const char *data, size_t size,
	      uint64_t off)
{
	if (recall(fs, req, ino, size))
		return;
	struct handle *h = handle_of(fs, req, ino, fh, flags, off);
	fs->en->asking = fs->request;
	if (h && h->row->kind->write)
		h->row->kind->write(h, req, data, size, off);
	else if (h)
		reply(req, -EACCES);
	fs->en->asking = 0;
}

/* Of a document that was being written to a server that is gone, close(2) must not say that all is well. */
static int lost_document(struct fs *fs, uint64_t fh)
{
	struct err e = { 0 };
	if (!fs->ledger || !ledger_was_writing(fs->ledger, fh))
		return 0;
	int r = err_set(&e, EIO, "images: the server was started again while an archive was being written; write it anew");
	engine_refused(fs->en, NULL, NULL, "images", &e);
	return r;
}

void op_flush(struct fs *fs, struct fuse_req *req, uint64_t ino UNUSED, uint64_t fh)
{
	struct handle *h = handle_find(fs, fh);
	int r = h ? 0 : lost_document(fs, fh);
	if (r)
		reply(req, r);
	else if (h && h->row->kind->flush)
		h->row->kind->flush(h, req);
	else
		reply(req, 0);
}

void op_release(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags)
{
	struct handle *h = handle_find(fs, fh);
	if (h || !handle_anew(fs, req, ino, fh, flags, 0, &h))
		kind_release(h);
	reply(req, 0);
}

unsigned file_ready(struct handle *h)
{
	return h->row->kind->ready ? h->row->kind->ready(h) : EPOLLIN | EPOLLOUT;
}

void op_poll(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, struct fuse_pollhandle *ph)
{
	struct handle *h = handle_find(fs, fh);
	/* Here the kernel does not say how it was opened: only where that makes no difference. */
	const struct row *row = &rows[ino & 0xff];
	if (!h && (!(row->mode & 0222) || (row->kind && row->kind->open_flags & OPEN_STREAM)))
		handle_anew(fs, req, ino, fh, O_RDONLY, 0, &h);
	unsigned events = h ? file_ready(h) : EPOLLERR;
	if (ph)
		poll_watch(h, ph, events);
	reply_poll(req, events);
}
