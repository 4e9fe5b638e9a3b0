/* Changes, and wait/… and exit: see wait.h. */
#include "fs/wait.h"

#include "fs/ledger.h"
#include "fs/park.h"
#include "fs/pollers.h"
#include "fs/shell.h"
#include "fs/stream.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

struct waiter {
	struct park park;
	struct handle *h;
	size_t size;
	uint64_t off, request;
};

static unsigned bucket_of(uint64_t pod_serial)
{
	return (unsigned)(pod_serial % WAIT_BUCKETS);
}

/* --- what is waited for --- */

static int exit_text(const struct node *n, struct buf *out)
{
	if (n->ref.s->state != S_ENDED)
		return -EAGAIN;
	buf_printf(out, "%d\n", n->ref.s->exit_code);
	return buf_status(out);
}

/* The text into h. -EAGAIN: not yet; else why it never will be. */
static int ask(struct handle *h)
{
	struct node n;
	struct err e = { 0 };
	int r = handle_node(h, &n);
	if (r)
		return r;
	buf_reset(&h->text);
	if (h->row->kind == &kind_exit)
		return exit_text(&n, &h->text);
	r = engine_wait(n.ref.pod, n.ref.c, (enum wait_for)h->row->arg, &h->text, &e);
	if (!r && h->text.len && h->text.data[h->text.len - 1] != '\n')
		buf_putc(&h->text, '\n');
	return r ? r : buf_status(&h->text);
}

static void answer(struct handle *h, struct fuse_req *req, int r, size_t size, uint64_t off)
{
	if (r)
		reply(req, r);
	else
		handle_reply_text(h, req, size, off);
}

static void waiter_free(struct waiter *w)
{
	if (w->h->fs->ledger)
		ledger_waited(w->h->fs->ledger, w->request);
	free(w);
}

static void waiter_lapse(struct park *p, struct fuse_req *req, int why)
{
	reply(req, why);
	waiter_free(container_of(p, struct waiter, park));
}

/* Tries again. True: it was answered and is gone. */
static bool waiter_ask(struct waiter *w)
{
	int r = ask(w->h);
	if (r == -EAGAIN)
		return false;
	answer(w->h, park_take(&w->park), r, w->size, w->off);
	waiter_free(w);
	return true;
}

static void wait_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct node n;
	int r = h->text.len ? 0 : ask(h);
	if (r != -EAGAIN || h->flags & O_NONBLOCK) {
		answer(h, req, r, size, off);
		return;
	}
	struct waiter *w = calloc(1, sizeof *w);
	r = w ? handle_node(h, &n) : -ENOMEM;
	if (r) {
		free(w);
		reply(req, r);
		return;
	}
	*w = (struct waiter){ .h = h, .size = size, .off = off, .request = h->fs->request, .park.lapse = waiter_lapse };
	if (h->fs->ledger)
		ledger_waits(h->fs->ledger, w->request, h->fs->message, *(const uint32_t *)h->fs->message);
	park(h->fs, &w->park, &h->fs->waits[bucket_of(node_pod_serial(&n))], req, 0, 0);
}

static unsigned wait_ready(struct handle *h)
{
	return h->text.len || ask(h) != -EAGAIN ? EPOLLIN : 0;
}

/* Nobody knows how long the answer will be. */
static void wait_stat(const struct node *n, struct stat *st)
{
	st->st_size = 1;
}

const struct kind kind_wait = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH | OPEN_NOSEEK, .read = wait_read, .ready = wait_ready, .stat = wait_stat,
};
const struct kind kind_exit = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH | OPEN_NOSEEK, .read = wait_read, .ready = wait_ready, .stat = wait_stat,
};

/* --- changes --- */

static void settle(struct timer *t)
{
	struct fs *fs = container_of(t, struct fs, settle);
	for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
		if (!fs->changed[i])
			continue;
		fs->changed[i] = false;
		for (struct park *p = fs->waits[i], *next; p; p = next) {
			next = p->next;
			waiter_ask(container_of(p, struct waiter, park));
		}
	}
	stream_changed(fs);
	shell_changed(fs);
	poll_tell(fs);
}

void wait_poke(struct fs *fs)
{
	if (!fs->settle.at_ns)
		timer_arm(fs->loop, &fs->settle, 0);
}

void fs_changed(void *arg, struct pod *pod, enum change what UNUSED)
{
	struct fs *fs = arg;
	if (pod)
		fs->changed[bucket_of(pod->entity.serial)] = true;
	wait_poke(fs);
}

void wait_init(struct fs *fs)
{
	fs->settle.fn = settle;
	fs->en->on_change = fs_changed;
	fs->en->on_change_arg = fs;
}
