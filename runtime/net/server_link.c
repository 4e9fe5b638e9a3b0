/* The connection to the server, and the socket at which the next one knocks.
 *
 * Owns both sockets and what could not be sent yet. Sending never waits: a server that does not read is queued for, up to a bound,
 * then let go; the next one asks for everything anew.
 */
#include "runtime/net/private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define QUEUE_MAX (4 * WIRE_MAX)
#define ROUND_MAX 16 /* requests handled before the loop goes on */

static char message[WIRE_MAX];

void server_close(struct net *n)
{
	struct server *s = &n->server;
	loop_del(&n->loop, &s->watch);
	close_fd(&s->watch.fd);
	wire_queue_clear(&s->queue);
	s->number++;
}

static void flush(struct net *n)
{
	int r = wire_queue_flush(&n->server.queue, n->server.watch.fd);
	if (!r)
		loop_mod(&n->loop, &n->server.watch, EPOLLIN);
	else if (r != -EAGAIN)
		server_gone(n);
}

static void receive(struct net *n)
{
	for (int i = 0; i < ROUND_MAX && n->server.watch.fd >= 0; i++) {
		struct wire_in in;
		int r = wire_recv(n->server.watch.fd, message, sizeof message, &in);
		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			server_gone(n);
			return;
		}
		request_handle(n, &in);
		wire_in_close(&in);
	}
}

static void on_server(struct watch *w, uint32_t events)
{
	struct net *n = &net_self;
	if (events & EPOLLOUT)
		flush(n);
	if ((events & ~(uint32_t)EPOLLOUT) && w->fd >= 0)
		receive(n);
}

/* The newest server is the server. */
void server_open(struct net *n, int fd)
{
	struct server *s = &n->server;
	if (s->watch.fd >= 0)
		server_close(n);
	s->watch = (struct watch){ .fd = fd, .fn = on_server };
	if (loop_add(&n->loop, &s->watch, EPOLLIN)) {
		server_close(n);
		return;
	}
	info_forget(n);
	info_tell(n);
}

void server_send(struct net *n, struct wire_out *o)
{
	struct server *s = &n->server;
	if (s->watch.fd >= 0) {
		if (wire_queue_send(&s->queue, s->watch.fd, o, QUEUE_MAX))
			server_gone(n);
		else if (s->queue.first)
			loop_mod(&n->loop, &s->watch, EPOLLIN | EPOLLOUT);
	}
	wire_free(o);
}

struct asker server_asker(const struct net *n, uint32_t seq)
{
	return (struct asker){ .server = n->server.number, .seq = seq };
}

bool server_reply_begin(struct net *n, const struct asker *a, struct wire_out *o)
{
	if (!a->seq || a->server != n->server.number || n->server.watch.fd < 0)
		return false;
	wire_begin(o, W_REPLY, a->seq);
	wire_result(o, 0);
	return true;
}

void server_reply(struct net *n, const struct asker *a, int result, const struct err *e)
{
	struct wire_out o = { 0 };
	if (!server_reply_begin(n, a, &o))
		return;
	wire_result(&o, result);
	if (result < 0)
		wire_str(&o, K_ERROR, e && *e->text ? e->text : strerror(-result));
	server_send(n, &o);
}

void server_event(struct net *n, enum net_op op, const char *uid, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	struct wire_out o = { 0 };
	wire_begin(&o, (enum wire_op)op, 0);
	wire_str(&o, (enum wire_key)K_UID, uid);
	wire_str(&o, K_TEXT, text);
	server_send(n, &o);
}
