/* Streams of sessions: see stream.h. */
#include "fs/stream.h"

#include "fs/ledger.h"
#include "fs/park.h"
#include "fs/wait.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#define READ_MAX (256u * 1024)
/* What a command wrote to its terminal last is moved by a kernel worker and may come after the news of its end. */
#define TTY_DRAIN_MS 50

struct stream {
	struct fs *fs;
	struct stream *next;
	uint64_t session;
	enum stream_of which;
	unsigned refs;
	bool close_wanted;   /* before the command was started */
	/* A descriptor of our own, so that the session's can be closed while this is watched: podfs-pod has the pipe open too,
	 * and epoll forgets a descriptor only with the last of them. */
	struct watch watch;
	struct timer drain;
	bool drained;
	struct park *waiting;
};

struct transfer {
	struct park park;
	struct stream *st;
	char *data; /* a writer's */
	size_t size, done;
	uint64_t request; /* its number, for the ledger */
	stream_end_fn *end;
	void *arg;
};

static struct session *session_of(const struct stream *st)
{
	struct entity *e = engine_entity(st->fs->en, st->session);
	return e && e->kind == ENTITY_SESSION ? container_of(e, struct session, entity) : NULL;
}

static int *end_of(const struct stream *st, struct session *s)
{
	return st->which == STREAM_IN ? &s->in : st->which == STREAM_OUT ? &s->out : &s->err;
}

/* The descriptor; -EAGAIN: the command has not been started; -EPIPE: there is nothing more. */
static int descriptor(const struct stream *st)
{
	struct session *s = session_of(st);
	if (!s)
		return -ENODEV;
	if (st->which == STREAM_ERR && s->tty)
		return -EPIPE;
	if (s->state == S_NEW || (s->state == S_RUNNING && s->in < 0 && s->out < 0))
		return -EAGAIN;
	if (st->which == STREAM_IN && s->state == S_ENDED)
		return -EPIPE;
	int fd = *end_of(st, s);
	return fd < 0 ? -EPIPE : fd;
}

/* --- watching --- */

static void unwatch(struct stream *st)
{
	loop_del(st->fs->loop, &st->watch);
	close_fd(&st->watch.fd);
}

static void pump(struct stream *st);

static void on_event(struct watch *w, uint32_t events UNUSED)
{
	struct stream *st = container_of(w, struct stream, watch);
	unwatch(st);
	wait_poke(st->fs);
	pump(st);
}

static void watch(struct stream *st)
{
	int fd = descriptor(st);
	if (fd < 0 || st->watch.fd >= 0)
		return;
	st->watch.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (st->watch.fd < 0 || loop_add(st->fs->loop, &st->watch, st->which == STREAM_IN ? EPOLLOUT : EPOLLIN))
		close_fd(&st->watch.fd);
}

/* --- one step of a reader or writer --- */

static void on_drained(struct timer *t)
{
	struct stream *st = container_of(t, struct stream, drain);
	st->drained = true;
	wait_poke(st->fs);
	pump(st);
}

/* Nothing there: is that the end? */
static int empty(struct stream *st)
{
	const struct session *s = session_of(st);
	if (!s || s->state != S_ENDED)
		return -EAGAIN;
	if (!s->tty || st->drained)
		return 0;
	if (!st->drain.at_ns)
		timer_arm(st->fs->loop, &st->drain, TTY_DRAIN_MS);
	return -EAGAIN;
}

/* Pipes are read through the ledger. A terminal is none: what this server has read of one dies with it. */
static struct ledger *ledger_of(const struct stream *st)
{
	const struct session *s = session_of(st);
	return s && !s->tty ? st->fs->ledger : NULL;
}

static void *read_buffer(void)
{
	static void *mem;
	if (!mem)
		mem = malloc(READ_MAX);
	return mem;
}

static ssize_t plain_read(int fd, size_t size, const void **mem)
{
	void *to = read_buffer();
	*mem = to;
	ssize_t n = to ? read(fd, to, size) : -ENOMEM;
	return to && n < 0 ? -errno : n;
}

/* Bytes at *mem, 0 at the end, -errno. */
static ssize_t take(struct stream *st, uint64_t request, size_t size, const void **mem)
{
	struct ledger *l = ledger_of(st);
	int fd = descriptor(st);
	if (fd < 0)
		return fd == -EPIPE ? 0 : fd;
	ssize_t n = l ? ledger_take(l, request, fd, size, mem) : plain_read(fd, size, mem);
	if (n == -EIO)
		return 0; /* a terminal that nobody has open any more */
	return n == -EAGAIN || n == -EINTR ? empty(st) : n;
}

static void reply_taken(struct stream *st, uint64_t request, struct fuse_req *req, ssize_t n, const void *mem, size_t size,
			stream_end_fn *end, void *arg)
{
	if (n < 0) {
		reply(req, (int)n);
	} else if (!n && end) {
		st->fs->request = request; /* it may go on reading elsewhere */
		st->fs->again = false;
		end(arg, req, size);
	} else {
		reply_data(req, n ? mem : "", (size_t)n);
		if (st->fs->ledger)
			ledger_taken(st->fs->ledger);
	}
}

/* Bytes written, -errno. */
static ssize_t give(const struct stream *st, uint64_t request, size_t done, const char *data, size_t size)
{
	struct ledger *l = ledger_of(st);
	int fd = descriptor(st);
	if (fd < 0)
		return fd;
	ssize_t n = l ? ledger_give(l, request, done, fd, data, size) : -EINVAL;
	if (n == -EINVAL) { /* no ledger, or too many writers for it */
		n = write(fd, data, size);
		n = n < 0 ? -errno : n;
	}
	return n == -EINTR ? -EAGAIN : n;
}

/* As much as there is room for. 0: all, -EAGAIN: room has to come. */
static int give_all(const struct stream *st, uint64_t request, const char *data, size_t size, size_t *done)
{
	while (*done < size) {
		ssize_t n = give(st, request, *done, data + *done, size - *done);
		if (n < 0)
			return (int)n;
		*done += (size_t)n;
	}
	return 0;
}

/* What was written counts, also when the rest can't be: as write(2) on a pipe. */
static void reply_given(const struct stream *st, uint64_t request, struct fuse_req *req, size_t done, int r)
{
	if (r && !done)
		reply(req, r);
	else
		reply_written(req, done);
	if (st->fs->ledger)
		ledger_gave(st->fs->ledger, request);
}

/* --- waiting --- */

static void transfer_free(struct transfer *t)
{
	free(t->data);
	free(t);
}

static void transfer_lapse(struct park *p, struct fuse_req *req, int why)
{
	struct transfer *t = container_of(p, struct transfer, park);
	reply_given(t->st, t->request, req, t->done, why);
	transfer_free(t);
}

static bool step(struct transfer *t)
{
	if (t->st->which != STREAM_IN) {
		const void *mem = NULL;
		ssize_t n = take(t->st, t->request, t->size, &mem);
		if (n == -EAGAIN)
			return false;
		reply_taken(t->st, t->request, park_take(&t->park), n, mem, t->size, t->end, t->arg);
		transfer_free(t);
		return true;
	}
	int r = give_all(t->st, t->request, t->data, t->size, &t->done);
	if (r == -EAGAIN)
		return false;
	reply_given(t->st, t->request, park_take(&t->park), t->done, r);
	transfer_free(t);
	return true;
}

/* The first in the row until it has to wait. */
static void pump(struct stream *st)
{
	while (st->waiting && step(container_of(st->waiting, struct transfer, park)))
		;
	if (st->waiting)
		watch(st);
}

static void wait_for(struct stream *st, struct transfer *t, struct fuse_req *req)
{
	t->st = st;
	t->park.lapse = transfer_lapse;
	park(st->fs, &t->park, &st->waiting, req, 0, 0);
	watch(st);
}

void stream_read(struct stream *st, struct fuse_req *req, size_t size, bool nonblock, stream_end_fn *end, void *arg)
{
	const void *mem = NULL;
	uint64_t request = st->fs->request;
	if (size > READ_MAX)
		size = READ_MAX;
	ssize_t n = st->fs->again && st->fs->ledger ? (ssize_t)ledger_held(st->fs->ledger, request, &mem) : 0;
	if (!n)
		n = st->waiting ? -EAGAIN : take(st, request, size, &mem);
	struct transfer *t = n == -EAGAIN && !nonblock ? calloc(1, sizeof *t) : NULL;
	if (!t) {
		reply_taken(st, request, req, n == -EAGAIN && !nonblock ? -ENOMEM : n, mem, size, end, arg);
		return;
	}
	*t = (struct transfer){ .size = size, .end = end, .arg = arg, .request = request };
	wait_for(st, t, req);
}

void stream_write(struct stream *st, struct fuse_req *req, const char *data, size_t size, bool nonblock)
{
	uint64_t request = st->fs->request;
	size_t done = st->fs->again && st->fs->ledger ? ledger_given(st->fs->ledger, request) : 0;
	int r = done == size ? 0 : st->waiting ? -EAGAIN : give_all(st, request, data, size, &done);
	if (r != -EAGAIN || nonblock) {
		reply_given(st, request, req, done, r);
		return;
	}
	struct transfer *t = calloc(1, sizeof *t);
	char *copy = t ? malloc(size) : NULL;
	if (!copy) {
		free(t);
		reply_given(st, request, req, done, -ENOMEM);
		return;
	}
	memcpy(copy, data, size);
	*t = (struct transfer){ .data = copy, .size = size, .done = done, .request = request };
	wait_for(st, t, req);
}

unsigned stream_ready(struct stream *st)
{
	int fd = descriptor(st);
	if (fd < 0)
		return fd == -EAGAIN ? 0 : st->which == STREAM_IN ? EPOLLERR : EPOLLIN | EPOLLHUP;
	struct pollfd p = { .fd = fd, .events = st->which == STREAM_IN ? POLLOUT : POLLIN };
	unsigned events = poll(&p, 1, 0) > 0 ? (unsigned)p.revents : 0;
	if (!events && st->which != STREAM_IN && !empty(st))
		events = EPOLLIN | EPOLLHUP;
	if (!events)
		watch(st);
	return events;
}

/* --- life --- */

struct stream *stream_get(struct fs *fs, uint64_t session, enum stream_of which)
{
	struct stream *st = fs->streams;
	while (st && (st->session != session || st->which != which))
		st = st->next;
	if (!st) {
		st = calloc(1, sizeof *st);
		if (!st)
			return NULL;
		*st = (struct stream){ .fs = fs, .session = session, .which = which, .next = fs->streams,
				       .watch = { .fd = -1, .fn = on_event }, .drain.fn = on_drained };
		fs->streams = st;
	}
	st->refs++;
	return st;
}

/* It is freed by stream_changed: who is in the middle of answering may have let go of it. */
void stream_put(struct stream *st)
{
	if (--st->refs)
		return;
	unwatch(st);
	timer_stop(st->fs->loop, &st->drain);
	wait_poke(st->fs);
}

static void sweep(struct fs *fs)
{
	for (struct stream **p = &fs->streams; *p;) {
		struct stream *st = *p;
		if (st->refs) {
			p = &st->next;
			continue;
		}
		*p = st->next;
		free(st);
	}
}

void stream_close(struct stream *st)
{
	struct session *s = session_of(st);
	if (!s)
		return;
	if (descriptor(st) == -EAGAIN && s->state == S_RUNNING) {
		/* It is being started: then, in stream_changed. */
		if (!st->close_wanted)
			st->refs++;
		st->close_wanted = true;
		return;
	}
	unwatch(st);
	engine_session_close_in(s);
}

static void close_late(struct stream *st)
{
	struct session *s = session_of(st);
	if (!st->close_wanted || (s && s->state != S_NEW && descriptor(st) == -EAGAIN))
		return;
	st->close_wanted = false;
	if (s)
		engine_session_close_in(s);
	stream_put(st);
}

void stream_changed(struct fs *fs)
{
	for (struct stream *st = fs->streams; st; st = st->next) {
		if (st->waiting)
			pump(st);
		close_late(st);
	}
	sweep(fs);
}

/* --- exec/SESSION/in, out, err --- */

static int file_open_stream(struct node *n, struct handle *h, struct fuse_req *req)
{
	struct stream *st = stream_get(h->fs, node_serial(n), (enum stream_of)n->row->arg);
	if (!st)
		return -ENOMEM;
	struct session *s = session_of(st);
	int r = st->which == STREAM_IN && s ? engine_session_opened(s, h->fh, O_WRONLY) : 0;
	if (r)
		stream_put(st);
	else
		h->data = st;
	return r;
}

static int file_adopt_stream(struct node *n, struct handle *h, uint64_t off)
{
	return file_open_stream(n, h, NULL);
}

static void file_read_stream(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	stream_read(h->data, req, size, h->flags & O_NONBLOCK, NULL, NULL);
}

static void file_write_stream(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	stream_write(h->data, req, data, size, h->flags & O_NONBLOCK);
}

static void file_release_stream(struct handle *h)
{
	struct stream *st = h->data;
	struct session *s = session_of(st);
	if (st->which == STREAM_IN && s && !engine_session_closed(s, h->fh))
		stream_close(st);
	stream_put(st);
}

static unsigned file_ready_stream(struct handle *h)
{
	return stream_ready(h->data);
}

static void file_stat_stream(const struct node *n, struct stat *st)
{
	st->st_size = n->row->arg == STREAM_IN ? 0 : 1;
}

const struct kind kind_stream = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH | OPEN_STREAM, .open = file_open_stream, .adopt = file_adopt_stream,
	.read = file_read_stream,
	.write = file_write_stream, .release = file_release_stream, .ready = file_ready_stream,
	.stat = file_stat_stream,
};
