/* The connection to one podfs-pod. */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

static void on_message(struct peer *peer, struct wire_in *in)
{
	pod_on_message(container_of(peer, struct pod_link, peer)->pod, in);
}

static void on_closed(struct peer *peer)
{
	pod_on_disconnect(container_of(peer, struct pod_link, peer)->pod);
}

int link_new(struct pod *p)
{
	struct pod_link *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	peer_init(&l->peer, p->engine->loop, p->engine->priv->wire_mem);
	snprintf(l->peer.what, sizeof l->peer.what, "pod %s", p->spec->name);
	l->peer.on_message = on_message;
	l->peer.on_closed = on_closed;
	l->pod = p;
	l->ops.tail = &l->ops.first;
	l->turns.tail = &l->turns.first;
	p->link = l;
	return 0;
}

int link_attach(struct pod *p, int sock)
{
	return peer_attach(&p->link->peer, sock);
}

bool link_up(const struct pod *p)
{
	return peer_connected(&p->link->peer);
}

void link_drop(struct pod *p)
{
	struct err e;
	err_set(&e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	free(take_ptr(p->link->record));
	peer_drop(&p->link->peer, &e);
	recall_drop(p);
}

void link_free(struct pod *p)
{
	if (!p->link)
		return;
	link_drop(p);
	timer_stop(p->engine->loop, &p->link->timer);
	timer_stop(p->engine->loop, &p->link->revive);
	timer_stop(p->engine->loop, &p->link->reach);
	timer_stop(p->engine->loop, &p->link->net_timer);
	free(p->link->revive_error);
	free(p->link);
	p->link = NULL;
}

int link_request(struct pod *p, struct wire_out *o, reply_fn *fn, void *arg)
{
	if (p->engine->asking)
		wire_u64(o, K_ASKED, p->engine->asking);
	return peer_request(&p->link->peer, o, fn, arg);
}
