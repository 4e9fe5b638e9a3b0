/* Relays of TCP: bytes spliced between a client of the host and the pod.
 *
 * Owns the connections. Each direction is one pipe, lent from a few while bytes are in it, so a quiet connection costs its two
 * sockets. A direction reads only when its pipe is empty: who reads slowly is waited for by the one who writes, through TCP's own
 * window. The end of one direction is passed on by itself (half close), a reset ends both.
 */
#include "runtime/net/relay.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define PIPE_SIZE 65536 /* what a pipe has; larger ones move no more (measured), and hold more of who reads slowly */
#define ACCEPT_AT_ONCE 64
#define LAST_ROUNDS 64 /* pipes of what a reset peer still said */

/* One side of a connection. `pipe` and `held` belong to the direction that begins here. */
struct end {
	struct watch watch;
	uint32_t events;  /* that are watched for */
	bool watched;
	bool connecting;
	bool eof;         /* it has said all */
	bool shut;        /* it was told that the other one has said all */
	struct pipe pipe; /* lent while held is not 0 */
	size_t held;      /* bytes read from here that the other side has not taken */
};

struct conn {
	struct relay *relay;
	struct conn *prev, *next; /* of the relay's list */
	struct end client, pod;
};

/* --- pipes --- */

static bool borrow_pipe(struct relays *all, struct pipe *p)
{
	if (p->fd[0] >= 0)
		return true;
	if (all->nidle) {
		*p = all->idle[--all->nidle];
		return true;
	}
	if (pipe2(p->fd, O_CLOEXEC | O_NONBLOCK)) {
		*p = (struct pipe){ { -1, -1 } };
		return false;
	}
	return true;
}

/* An empty one may be lent again, another holds what nobody will read. */
static void return_pipe(struct relays *all, struct pipe *p, bool empty)
{
	if (p->fd[0] < 0)
		return;
	if (empty && all->nidle < RELAY_PIPES) {
		all->idle[all->nidle++] = *p;
	} else {
		close(p->fd[0]);
		close(p->fd[1]);
	}
	*p = (struct pipe){ { -1, -1 } };
}

/* --- moving bytes --- */

/* Bytes, 0 (nothing to be had now), or -errno. */
static ssize_t fill(struct relays *all, struct end *from)
{
	if (!borrow_pipe(all, &from->pipe))
		return -EMFILE;
	ssize_t n = splice(from->watch.fd, NULL, from->pipe.fd[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0)
		from->held = (size_t)n;
	from->eof = n == 0;
	return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static int flush(struct end *from, struct end *to)
{
	while (from->held) {
		ssize_t n = splice(from->pipe.fd[0], NULL, to->watch.fd, NULL, from->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		from->held -= (size_t)n;
	}
	return 0;
}

/* One pipe full from one side to the other. Bytes read, 0, or -errno. */
static ssize_t move(struct relays *all, struct end *from, struct end *to)
{
	ssize_t n = from->held || from->eof ? 0 : fill(all, from);
	int r = n < 0 ? (int)n : flush(from, to);
	if (!from->held)
		return_pipe(all, &from->pipe, true);
	if (!r && from->eof && !from->held && !to->shut) {
		to->shut = true;
		shutdown(to->watch.fd, SHUT_WR);
	}
	return r ? r : n;
}

/* --- the connection --- */

static void end_free(struct relays *all, struct end *x, bool reset)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	loop_del(all->loop, &x->watch);
	if (reset && x->watch.fd >= 0)
		setsockopt(x->watch.fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close_fd(&x->watch.fd);
	return_pipe(all, &x->pipe, !x->held);
}

static void conn_free(struct conn *c, bool reset)
{
	struct relays *all = c->relay->all;
	end_free(all, &c->client, reset);
	end_free(all, &c->pod, reset);
	if (c->next)
		c->next->prev = c->prev;
	*(c->prev ? &c->prev->next : &c->relay->conns) = c->next;
	all->nconns--;
	free(c);
}

/* x was reset: what it had said before that is passed on, then the reset. */
static void conn_broken(struct conn *c, struct end *x, struct end *y)
{
	struct relays *all = c->relay->all;
	for (int i = 0; !x->connecting && !y->connecting && i < LAST_ROUNDS; i++)
		if (move(all, x, y) <= 0)
			break;
	conn_free(c, true);
}

static bool finished(const struct end *x)
{
	return x->eof && x->shut && !x->held;
}

static int set_events(struct loop *l, struct end *x, uint32_t events)
{
	if (x->watched && x->events == events)
		return 0;
	int r = 0;
	if (x->watched)
		r = loop_mod(l, &x->watch, events);
	else if (events)
		r = loop_add(l, &x->watch, events);
	x->watched = x->watched || events;
	x->events = events;
	return r;
}

static void unwatch(struct loop *l, struct end *x)
{
	loop_del(l, &x->watch);
	x->watched = false;
	x->events = 0;
}

/* What has to happen at x next. Nothing: it stays watched for a reset. */
static uint32_t next_events(const struct end *x, const struct end *y)
{
	if (x->connecting)
		return EPOLLOUT;
	bool read = !x->eof && !x->held && !y->connecting;
	return (read ? EPOLLIN : 0u) | (y->held ? EPOLLOUT : 0u);
}

static int watch_next(struct conn *c)
{
	struct loop *l = c->relay->all->loop;
	int r = set_events(l, &c->client, next_events(&c->client, &c->pod));
	return r ? r : set_events(l, &c->pod, next_events(&c->pod, &c->client));
}

static int connected(struct end *x)
{
	int e = 0;
	socklen_t n = sizeof e;
	if (getsockopt(x->watch.fd, SOL_SOCKET, SO_ERROR, &e, &n))
		return -errno;
	x->connecting = false;
	return -e;
}

static void on_event(struct conn *c, struct end *x, struct end *y, uint32_t events)
{
	struct relays *all = c->relay->all;
	if (x->connecting) {
		if (connected(x))
			conn_free(c, true);
		else if (watch_next(c))
			conn_free(c, true);
		return;
	}
	if (events & EPOLLERR) {
		conn_broken(c, x, y);
		return;
	}
	/* Both directions are closed, and what it said last has to wait: epoll would say so again and again. */
	if ((events & EPOLLHUP) && !x->events)
		unwatch(all->loop, x);
	if ((events & (EPOLLIN | EPOLLHUP)) && !y->connecting && move(all, x, y) < 0) {
		conn_broken(c, y, x);
		return;
	}
	if ((events & EPOLLOUT) && move(all, y, x) < 0) {
		conn_broken(c, x, y);
		return;
	}
	if (finished(&c->client) && finished(&c->pod))
		conn_free(c, false);
	else if (watch_next(c))
		conn_free(c, true);
}

static void on_client(struct watch *w, uint32_t events)
{
	struct conn *c = container_of(w, struct conn, client.watch);
	on_event(c, &c->client, &c->pod, events);
}

static void on_pod(struct watch *w, uint32_t events)
{
	struct conn *c = container_of(w, struct conn, pod.watch);
	on_event(c, &c->pod, &c->client, events);
}

/* A peer that is gone without a word is found by keepalive; one that never answers the first packet after some 15 s. */
static void tune(int fd)
{
	int on = 1, tries = 3;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &tries, sizeof tries);
}

static int connect_pod(struct conn *c)
{
	const union net_sockaddr *to = &c->relay->to;
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	c->pod.watch.fd = fd;
	c->pod.connecting = true;
	tune(fd);
	return connect(fd, &to->any, net_sockaddr_len(to)) && errno != EINPROGRESS ? -errno : 0;
}

static void conn_start(struct relay *r, int fd)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c) {
		close(fd);
		return;
	}
	static const struct pipe none = { { -1, -1 } };
	*c = (struct conn){
		.relay = r,
		.next = r->conns,
		.client = { .watch = { .fd = fd, .fn = on_client }, .pipe = none },
		.pod = { .watch = { .fd = -1, .fn = on_pod }, .pipe = none },
	};
	if (r->conns)
		r->conns->prev = c;
	r->conns = c;
	r->all->nconns++;
	tune(fd);
	if (connect_pod(c) || watch_next(c))
		conn_free(c, true);
}

static void refuse(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
}

/* Without a descriptor left the connection would stay in the queue and the listener ready for ever. */
static void refuse_with_spare(struct relay *r)
{
	struct relays *all = r->all;
	close_fd(&all->spare);
	int fd = accept4(r->watch.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		refuse(fd);
	all->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void tcp_accept(struct watch *w, uint32_t events)
{
	struct relay *r = container_of(w, struct relay, watch);
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			refuse_with_spare(r);
		if (fd < 0)
			return;
		if (r->all->nconns < r->all->max_conns)
			conn_start(r, fd);
		else
			refuse(fd);
	}
}

void tcp_stop(struct relay *r)
{
	while (r->conns)
		conn_free(r->conns, true);
}
