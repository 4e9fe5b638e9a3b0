/* events, error, leaks: texts that only grow, of true size, so that tail -f follows them.
 *
 * What is older than the ring is gone. A reader below its oldest byte goes on at that one, and is led on from there: its
 * next read continues where the last one ended in the ring, though its offset is smaller (interface.md: Logs). Runs in
 * podfs-server.
 */
#include "fs/handle.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Where the last read ended, as the reader counts and in the ring. */
struct position {
	uint64_t theirs, ring;
	bool told_end; /* that read has said: nothing more for now */
};

static struct ring *ring_of(const struct node *n)
{
	struct engine *en = n->fs->en;
	if (n->row->arg == RING_LEAKS)
		return &en->leaks;
	if (n->row->arg == RING_EVENTS)
		return n->ref.pod ? &n->ref.pod->events : &en->events;
	return n->ref.c ? &n->ref.c->error : n->ref.pod ? &n->ref.pod->error : &en->error;
}

static int ringfile_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	h->data = calloc(1, sizeof(struct position));
	return h->data ? 0 : -ENOMEM;
}

static void ringfile_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	struct position *pos = h->data;
	int r = handle_node(h, &n);
	if (r) {
		reply(req, r);
		return;
	}
	const struct ring *ring = ring_of(&n);
	const char *p = "";
	uint64_t at = off && off == pos->theirs ? pos->ring : off;
	if (at < ring->oldest)
		at = ring->oldest;
	size_t len = ring_at(ring, at, &p);
	if (len > size)
		len = size;
	*pos = (struct position){ off + len, at + len, !len };
	reply_data(req, p, len);
}

/* leaks: `retry` looks for what belongs to nobody at once. */
static void ringfile_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct node n;
	int r = handle_node(h, &n);
	size_t len = size && data[size - 1] == '\n' ? size - 1 : size;
	if (!r && (n.row->arg != RING_LEAKS || len != 5 || memcmp(data, "retry", 5)))
		r = node_refuse(&n, EINVAL, "%.*s: not retry", (int)(len < 40 ? len : 40), data);
	if (r) {
		reply(req, r);
		return;
	}
	engine_sweep(n.fs->en);
	reply_written(req, size);
}

static int ringfile_adopt(struct node *n, struct handle *h, uint64_t off)
{
	return ringfile_open(n, h, NULL);
}

static void ringfile_release(struct handle *h)
{
	free(h->data);
}

/* For who polls there is something to read until a read has met the end: so a program can follow without asking once a
 * second, and one that polls before each read (busybox sh's `read`) comes to that end. */
static unsigned ringfile_ready(struct handle *h)
{
	struct node n;
	const struct position *pos = h->data;
	if (handle_node(h, &n))
		return EPOLLERR | EPOLLIN;
	return !pos->told_end || pos->ring < ring_size(ring_of(&n)) ? EPOLLIN : 0;
}

static void ringfile_stat(const struct node *n, struct stat *st)
{
	const struct ring *ring = ring_of(n);
	st->st_size = (off_t)ring_size(ring);
	st->st_mtim = st->st_ctim = (struct timespec){
		.tv_sec = (time_t)(ring->mtime_ns / 1000000000u), .tv_nsec = (long)(ring->mtime_ns % 1000000000u),
	};
}

const struct kind kind_ring = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = ringfile_open, .adopt = ringfile_adopt, .read = ringfile_read,
	.write = ringfile_write, .release = ringfile_release,
	.ready = ringfile_ready, .stat = ringfile_stat,
};
