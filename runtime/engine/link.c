/* The connection to one podfs-pod: requests, replies, what could not be sent yet.
 *
 * Owns the socket. Never blocks: what the socket does not take is queued, bounded; a
 * podfs-pod that does not read (stopped, in D) delays nobody but its own pod.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

#define QUEUE_MAX (4 * WIRE_MAX)
#define ROUND_MAX 32 /* messages taken in one round of the loop */

struct out_msg {
	struct out_msg *next;
	struct wire_out out;
};

static void on_socket(struct watch *w, uint32_t events);

int link_new(struct pod *p)
{
	struct pod_link *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->pod = p;
	l->watch = (struct watch){ .fd = -1, .fn = on_socket };
	l->queue_tail = &l->queue;
	l->ops_tail = &l->ops;
	p->link = l;
	return 0;
}

int link_attach(struct pod *p, int sock)
{
	struct pod_link *l = p->link;
	l->watch.fd = sock;
	int r = loop_add(p->engine->loop, &l->watch, EPOLLIN);
	if (r)
		close_fd(&l->watch.fd);
	return r;
}

static void drop_queue(struct pod_link *l)
{
	while (l->queue) {
		struct out_msg *m = l->queue;
		l->queue = m->next;
		wire_free(&m->out);
		free(m);
	}
	l->queue_tail = &l->queue;
	l->queued = 0;
}

void link_drop(struct pod *p)
{
	struct pod_link *l = p->link;
	loop_del(p->engine->loop, &l->watch);
	close_fd(&l->watch.fd);
	drop_queue(l);
	free(take_ptr(l->record));
	recall_drop(p);
	struct err e;
	err_set(&e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	struct request *all = take_ptr(l->requests);
	while (all) {
		struct request *q = all;
		all = q->next;
		if (q->fn)
			q->fn(q->arg, -ENODEV, NULL, &e);
		free(q);
	}
}

void link_free(struct pod *p)
{
	if (!p->link)
		return;
	link_drop(p);
	timer_stop(p->engine->loop, &p->link->timer);
	timer_stop(p->engine->loop, &p->link->revive);
	free(p->link);
	p->link = NULL;
}

static int enqueue(struct pod_link *l, struct wire_out *o)
{
	if (l->queued + o->b.len > QUEUE_MAX)
		return -EAGAIN;
	struct out_msg *m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	m->out = *o;
	o->b = (struct buf){ 0 };
	*l->queue_tail = m;
	l->queue_tail = &m->next;
	l->queued += m->out.b.len;
	return loop_mod(l->pod->engine->loop, &l->watch, EPOLLIN | EPOLLOUT);
}

static int send_or_queue(struct pod_link *l, struct wire_out *o)
{
	if (l->watch.fd < 0)
		return -ENODEV;
	if (l->queue)
		return enqueue(l, o);
	int r = wire_send(l->watch.fd, o);
	return r == -EAGAIN ? enqueue(l, o) : r;
}

int link_request(struct pod *p, struct wire_out *o, reply_fn *fn, void *arg)
{
	struct pod_link *l = p->link;
	struct request *q = calloc(1, sizeof *q);
	if (!q || buf_status(&o->b)) {
		free(q);
		return -ENOMEM;
	}
	if (!++l->seq)
		l->seq = 1;
	*q = (struct request){ .seq = l->seq, .fn = fn, .arg = arg };
	if (p->engine->asking)
		wire_u64(o, K_ASKED, p->engine->asking);
	((struct wire_head *)(void *)o->b.data)->seq = l->seq;
	int r = send_or_queue(l, o);
	if (r) {
		free(q);
		return r;
	}
	q->next = l->requests;
	l->requests = q;
	return 0;
}

static void on_reply(struct pod_link *l, struct wire_in *in)
{
	for (struct request **at = &l->requests; *at; at = &(*at)->next) {
		struct request *q = *at;
		if (q->seq != in->head.seq)
			continue;
		*at = q->next;
		struct err e = { 0 };
		if (in->head.result < 0) {
			const char *words = wire_get_str(in, K_ERROR);
			if (words)
				err_set(&e, -in->head.result, "%s", words);
			else
				err_sys(&e, -in->head.result, "pod %s", l->pod->spec->name);
		}
		if (q->fn)
			q->fn(q->arg, in->head.result, in, &e);
		free(q);
		return;
	}
}

static void flush_queue(struct pod_link *l)
{
	while (l->queue) {
		struct out_msg *m = l->queue;
		if (wire_send(l->watch.fd, &m->out) == -EAGAIN)
			return;
		l->queued -= m->out.b.len;
		l->queue = m->next;
		if (!l->queue)
			l->queue_tail = &l->queue;
		wire_free(&m->out);
		free(m);
	}
	loop_mod(l->pod->engine->loop, &l->watch, EPOLLIN);
}

/* A callback may end the pod, and with it l: so what is needed afterwards is looked up again by serial. */
static void on_socket(struct watch *w, uint32_t events)
{
	struct pod_link *l = container_of(w, struct pod_link, watch);
	struct engine *en = l->pod->engine;
	uint64_t serial = l->pod->entity.serial;
	if (events & EPOLLOUT)
		flush_queue(l);
	for (int i = 0; i < ROUND_MAX; i++) {
		struct wire_in in;
		int r = wire_recv(w->fd, en->priv->wire_mem, WIRE_MAX + 64, &in);
		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			pod_on_disconnect(l->pod);
			return;
		}
		if (in.head.op == W_REPLY)
			on_reply(l, &in);
		else
			pod_on_message(l->pod, &in);
		wire_in_close(&in);
		struct entity *e = engine_entity(en, serial);
		if (!e || container_of(e, struct pod, entity)->link != l || l->watch.fd < 0)
			return;
	}
}
