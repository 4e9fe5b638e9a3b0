/* logs/…: what a container wrote, in its views.
 *
 * Regular files of true size that bypass the page cache: what is read once comes twice as fast. As long as nothing has been
 * dropped from the front they may be mapped (privately) too. The offsets are the log's business (runtime/log/log.h). Runs in
 * podfs-server.
 */
#include "fs/handle.h"
#include "runtime/base/util.h"

#include <errno.h>

#define READ_MAX (1u << 20)

/* The log is there once the container has run: until then an opening reads as empty, and tail -f waits in it. */
static struct log_cursor *cursor_of(struct handle *h)
{
	struct node n;
	if (!h->data && !handle_node(h, &n) && n.ref.c->log) {
		struct log_cursor *c = NULL;
		if (!log_cursor_open(n.ref.c->log, (enum log_view)h->row->arg, &c))
			h->data = c;
	}
	return h->data;
}

static int logfile_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	cursor_of(h);
	/* Nothing has been dropped, so an offset means the same in the page cache. */
	if (n->ref.c->log && !log_oldest(n->ref.c->log, (enum log_view)h->row->arg))
		h->open_flags |= OPEN_CACHED;
	return 0;
}

/* One buffer for all: a reply has left it when it is used again. */
static void *read_buffer(void)
{
	static void *mem;
	if (!mem)
		mem = malloc(READ_MAX);
	return mem;
}

static void logfile_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	int r = handle_node(h, &n);
	struct log_cursor *c = r ? NULL : cursor_of(h);
	void *mem = c ? read_buffer() : NULL;
	if (r || (c && !mem)) {
		reply(req, r ? r : -ENOMEM);
		return;
	}
	ssize_t got = c ? log_cursor_read(c, off, mem, size < READ_MAX ? size : READ_MAX) : 0;
	if (got < 0)
		reply(req, (int)got);
	else
		reply_data(req, mem, (size_t)got);
}

static void logfile_release(struct handle *h)
{
	if (h->data)
		log_cursor_free(h->data);
}

static void logfile_stat(const struct node *n, struct stat *st)
{
	struct log_reader *log = n->ref.c->log;
	st->st_blksize = READ_MAX; /* what cat and cp then ask at once */
	if (!log)
		return;
	st->st_size = (off_t)log_size(log, (enum log_view)n->row->arg);
	uint64_t t = log_mtime_ns(log);
	if (t)
		st->st_mtim = st->st_ctim = (struct timespec){ .tv_sec = (time_t)(t / 1000000000u), .tv_nsec = (long)(t % 1000000000u) };
}

const struct kind kind_log = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH, .open = logfile_open, .read = logfile_read, .release = logfile_release,
	.stat = logfile_stat,
};
