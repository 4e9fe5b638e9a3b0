/* .node/images/REF as a file: an archive is written into it, its description read out of it.
 *
 * The bytes go through a pipe to podfs-image as they come; the verdict is the errno of close(2) (fuse-wise: FLUSH), or of
 * write(2) when podfs-image has refused them before. Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/image_name.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/ledger.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct upload {
	struct handle *h;
	struct import *import; /* NULL: not begun, or over */
	uint64_t at;           /* bytes taken */
	bool begun, finishing, over;
	int verdict;           /* once it is over */
	struct watch watch;    /* a duplicate of the pipe: the engine closes its own when podfs-image ends */
	struct park *writers;  /* at most one: the kernel sends them one by one */
	struct park *closers;  /* who waits for the verdict */
};

/* A write that waits for room. */
struct writing {
	struct park park;
	struct upload *up;
	char *data;
	size_t size, done, hole;
};

static void pump(struct upload *up);

static void unwatch(struct upload *up)
{
	loop_del(up->h->fs->loop, &up->watch);
	close_fd(&up->watch.fd);
}

static void on_room(struct watch *w, uint32_t events UNUSED)
{
	struct upload *up = container_of(w, struct upload, watch);
	unwatch(up);
	pump(up);
}

static void watch(struct upload *up)
{
	if (up->watch.fd >= 0 || !up->import)
		return;
	up->watch.fd = fcntl(import_fd(up->import), F_DUPFD_CLOEXEC, 3);
	if (up->watch.fd < 0 || loop_add(up->h->fs->loop, &up->watch, EPOLLOUT))
		close_fd(&up->watch.fd);
}

/* --- the verdict --- */

static void closer_lapse(struct park *p, struct fuse_req *req, int why)
{
	reply(req, why);
	free(p);
}

static void writing_free(struct writing *w)
{
	free(w->data);
	free(w);
}

static void writing_lapse(struct park *p, struct fuse_req *req, int why)
{
	reply(req, why);
	writing_free(container_of(p, struct writing, park));
}

static void tell_verdict(struct upload *up)
{
	while (up->closers) {
		struct park *p = up->closers;
		reply(park_take(p), up->verdict);
		free(p);
	}
	while (up->writers) {
		struct writing *w = container_of(up->writers, struct writing, park);
		reply(park_take(&w->park), up->verdict ? up->verdict : -EPIPE);
		writing_free(w);
	}
}

static bool judged(struct job *j, struct fuse_req *req UNUSED, int r, const struct err *e)
{
	struct handle *h = handle_find(j->fs, j->fh);
	struct node n;
	if (r < 0 && !node_get(j->fs, j->ino, &n))
		node_refused(&n, e);
	if (!h)
		return false;
	struct upload *up = h->data;
	up->over = true;
	up->verdict = r;
	tell_verdict(up);
	return false;
}

/* The archive is complete, or podfs-image has said no already. */
static void finish(struct upload *up)
{
	struct node n = { .fs = up->h->fs, .id = up->h->ino };
	struct job *j = up->import ? job_new(&n, NULL, judged) : NULL;
	if (!j)
		return;
	struct err none = { 0 };
	unwatch(up);
	j->fh = up->h->fh;
	up->finishing = true;
	import_finish(take_ptr(up->import), job_done, j);
	job_started(j, 0, &none, 0);
}

static void wait_verdict(struct upload *up, struct fuse_req *req)
{
	struct park *p = calloc(1, sizeof *p);
	if (!p) {
		reply(req, -ENOMEM);
		return;
	}
	p->lapse = closer_lapse;
	park(up->h->fs, p, &up->closers, req, 0, 0);
}

/* --- writing --- */

/* Bytes into the pipe until it is full: 0: all are in, -EAGAIN, -EPIPE: podfs-image takes no more. */
static int push(struct upload *up, const char *data, size_t size, size_t *done)
{
	while (*done < size) {
		int fd = import_fd(up->import);
		ssize_t n = fd < 0 ? -1 : write(fd, data + *done, size - *done);
		if (n < 0 && fd >= 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fd >= 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
		*done += (size_t)n;
	}
	return 0;
}

/* What a sparse copy skipped are zeros. */
static int push_hole(struct upload *up, size_t *hole)
{
	static const char zeros[65536];
	while (*hole) {
		size_t done = 0, part = *hole < sizeof zeros ? *hole : sizeof zeros;
		int r = push(up, zeros, part, &done);
		*hole -= done;
		if (r)
			return r;
	}
	return 0;
}

static int push_writing(struct upload *up, struct writing *w)
{
	int r = push_hole(up, &w->hole);
	return r ? r : push(up, w->data, w->size, &w->done);
}

static void pump(struct upload *up)
{
	struct writing *w = up->writers ? container_of(up->writers, struct writing, park) : NULL;
	int r = w && up->import ? push_writing(up, w) : 0;
	if (!w || !up->import)
		return;
	if (r == -EAGAIN) {
		watch(up);
	} else if (r) {
		finish(up);
	} else {
		up->at += w->size;
		reply_written(park_take(&w->park), w->size);
		writing_free(w);
	}
}

static int begin(struct upload *up)
{
	struct node n;
	struct err e = { 0 };
	char reference[IMAGE_PATH_MAX];
	int r = handle_node(up->h, &n);
	if (r || up->begun)
		return r;
	image_reference_of(n.ref.path, reference);
	r = engine_import_begin(up->h->fs->en, reference, &up->import, &e);
	if (r)
		return node_refused(&n, &e);
	up->begun = true;
	if (up->h->fs->ledger)
		ledger_writing(up->h->fs->ledger, up->h->fh, true);
	return 0;
}

static int may_write(struct upload *up, uint64_t off)
{
	if (up->over)
		return up->verdict ? up->verdict : -EPIPE;
	if (up->finishing || up->writers)
		return -EBUSY;
	if (off < up->at)
		return -ESPIPE; /* an archive is written from its start to its end */
	return begin(up);
}

static void upload_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct upload *up = h->data;
	int r = up ? may_write(up, off) : -EBADF;
	struct writing *w = r ? NULL : calloc(1, sizeof *w);
	if (w)
		w->data = malloc(size);
	if (r || !w || !w->data) {
		free(w);
		reply(req, r ? r : -ENOMEM);
		return;
	}
	memcpy(w->data, data, size);
	w->up = up;
	w->size = size;
	w->hole = (size_t)(off - up->at);
	up->at = off;
	w->park.lapse = writing_lapse;
	park(h->fs, &w->park, &up->writers, req, 0, 0);
	pump(up);
}

/* --- the file --- */

static int upload_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	if (!handle_writes(h))
		return show_image(&n->ref, &h->text);
	struct upload *up = h->data = calloc(1, sizeof *up);
	if (!up)
		return -ENOMEM;
	*up = (struct upload){ .h = h, .watch = { .fd = -1, .fn = on_room } };
	return 0;
}

static void upload_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	handle_reply_text(h, req, size, off);
}

/* The first one comes before any data: the shell's dup2 and close. One beside a write is another's descriptor. */
static void upload_flush(struct handle *h, struct fuse_req *req)
{
	struct upload *up = h->data;
	if (!up || !up->begun || up->writers) {
		reply(req, 0);
		return;
	}
	if (up->over) {
		reply(req, up->verdict);
		return;
	}
	if (!up->finishing)
		finish(up);
	if (up->over)
		reply(req, up->verdict);
	else
		wait_verdict(up, req);
}

static void upload_release(struct handle *h)
{
	struct upload *up = h->data;
	if (!up)
		return;
	unwatch(up);
	if (up->import)
		import_abort(up->import);
	if (up->begun && h->fs->ledger)
		ledger_writing(h->fs->ledger, h->fh, false);
	free(up);
}

/* For `ls -l`: the image's bytes and when it was last used. Who reads gets a text, of its own size (op_getattr). */
static void upload_stat(const struct node *n, struct stat *st)
{
	const struct image *im = image_at(n->fs->en, n->ref.path);
	const struct pull *p = im ? NULL : image_pull_at(n->fs->en, n->ref.path);
	uint64_t at_ns = im ? im->used_ns ? im->used_ns : im->imported_ns : p ? p->started_ns : 0;
	if (!im && !p)
		return;
	st->st_size = (off_t)(im ? im->size : p->bytes);
	st->st_atim = st->st_mtim = st->st_ctim = (struct timespec){
		.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u),
	};
}

const struct kind kind_image = {
	.open_flags = OPEN_DIRECT | OPEN_OWNSIZE, .open = upload_open, .read = upload_read, .write = upload_write, .flush = upload_flush,
	.release = upload_release, .stat = upload_stat,
};
