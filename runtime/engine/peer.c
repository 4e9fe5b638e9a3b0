/* A connection to another process of podfs: see peer.h. */
#include "runtime/engine/peer.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

#define QUEUE_MAX (4 * WIRE_MAX)

struct peer_request {
	uint32_t seq;
	reply_fn *fn;
	void *arg;
	struct peer_request *next;
};

static void on_socket(struct watch *w, uint32_t events);

void peer_init(struct peer *p, struct loop *loop, void *mem)
{
	*p = (struct peer){ .watch = { .fd = -1, .fn = on_socket }, .loop = loop, .mem = mem };
	p->requests_tail = &p->requests;
}

int peer_attach(struct peer *p, int sock)
{
	p->watch.fd = sock;
	int r = loop_add(p->loop, &p->watch, EPOLLIN);
	if (r)
		close_fd(&p->watch.fd);
	return r;
}

void peer_drop(struct peer *p, const struct err *e)
{
	loop_del(p->loop, &p->watch);
	close_fd(&p->watch.fd);
	wire_queue_clear(&p->queue);
	struct peer_request *all = take_ptr(p->requests);
	p->requests_tail = &p->requests;
	while (all) {
		struct peer_request *q = all;
		all = q->next;
		if (q->fn)
			q->fn(q->arg, -e->code, NULL, e);
		free(q);
	}
}

static int send_or_queue(struct peer *p, struct wire_out *o)
{
	if (!peer_connected(p))
		return -ENODEV;
	int r = wire_queue_send(&p->queue, p->watch.fd, o, QUEUE_MAX);
	return !r && p->queue.first ? loop_mod(p->loop, &p->watch, EPOLLIN | EPOLLOUT) : r;
}

int peer_request(struct peer *p, struct wire_out *o, reply_fn *fn, void *arg)
{
	struct peer_request *q = calloc(1, sizeof *q);
	if (!q || buf_status(&o->b)) {
		free(q);
		return -ENOMEM;
	}
	if (!++p->seq)
		p->seq = 1;
	*q = (struct peer_request){ .seq = p->seq, .fn = fn, .arg = arg };
	((struct wire_head *)(void *)o->b.data)->seq = p->seq;
	int r = send_or_queue(p, o);
	if (r) {
		free(q);
		return r;
	}
	*p->requests_tail = q;
	p->requests_tail = &q->next;
	return 0;
}

static struct peer_request *take_request(struct peer *p, uint32_t seq)
{
	for (struct peer_request **at = &p->requests; *at; at = &(*at)->next) {
		struct peer_request *q = *at;
		if (q->seq != seq)
			continue;
		*at = q->next;
		if (!q->next)
			p->requests_tail = at;
		return q;
	}
	return NULL;
}

static void on_reply(struct peer *p, struct wire_in *in)
{
	struct peer_request *q = take_request(p, in->head.seq);
	struct err e = { 0 };
	if (!q)
		return;
	if (in->head.result < 0) {
		const char *words = wire_get_str(in, K_ERROR);
		if (words)
			err_set(&e, -in->head.result, "%s", words);
		else
			err_sys(&e, -in->head.result, "%s", p->what);
	}
	if (q->fn)
		q->fn(q->arg, in->head.result, in, &e);
	free(q);
}

static void receive(struct peer *p)
{
	struct wire_in in;
	int r = wire_recv(p->watch.fd, p->mem, PEER_MEM, &in);
	if (r == -EAGAIN)
		return;
	if (r <= 0)
		p->on_closed(p);
	else if (in.head.op == W_REPLY)
		on_reply(p, &in);
	else
		p->on_message(p, &in);
	wire_in_close(&in);
}

/* One message a round: whoever it is for may free p, or connect it anew. */
static void on_socket(struct watch *w, uint32_t events)
{
	struct peer *p = container_of(w, struct peer, watch);
	int r = events & EPOLLOUT ? wire_queue_flush(&p->queue, p->watch.fd) : -EAGAIN;
	if (!r)
		loop_mod(p->loop, &p->watch, EPOLLIN);
	if (r && r != -EAGAIN)
		p->on_closed(p);
	else if (events & ~(uint32_t)EPOLLOUT)
		receive(p);
}
