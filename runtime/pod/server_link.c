/* The connection to the server, and the socket at which the next one knocks.
 *
 * Owns both sockets and what could not be sent yet. Sending never waits: a server that does not read
 * is queued for, up to a bound, then let go; the next one is told everything by W_HELLO.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define QUEUE_MAX (256 * 1024)
#define ROUND_MAX 16 /* requests handled before the loop goes on */
#define DRAIN_MAX 64 /* rounds of them, of a server that is gone */

void link_close(struct pod *p)
{
	struct link *l = &p->link;
	loop_del(&p->loop, &l->watch);
	close_fd(&l->watch.fd);
	wire_queue_clear(&l->queue);
	l->number++;
	door_check(&p->door);
	/* Nobody has been told of the sandbox, so nobody would ever remove it. */
	if (!p->standing && !p->leaving)
		p->loop.stop = true;
}

/* A server that has died takes no answers any more, but what it had asked before holds and is still to be read: the end
 * comes behind it. One that lives and takes none is let go. */
static void link_broken(struct pod *p, int r)
{
	struct link *l = &p->link;
	if (r != -EPIPE && r != -ECONNRESET) {
		link_close(p);
		return;
	}
	l->mute = true;
	wire_queue_clear(&l->queue);
	loop_mod(&p->loop, &l->watch, EPOLLIN);
}

static void flush_queue(struct pod *p)
{
	int r = wire_queue_flush(&p->link.queue, p->link.watch.fd);
	if (!r)
		loop_mod(&p->loop, &p->link.watch, EPOLLIN);
	else if (r != -EAGAIN)
		link_broken(p, r);
}

/* The fields of a request lie in a mapping of its own: given back, so that no request ever
 * makes the process larger than it is while idle. */
static void receive(struct pod *p, char *mem)
{
	for (int i = 0; i < ROUND_MAX && p->link.watch.fd >= 0; i++) {
		struct wire_in in;
		int r = wire_recv(p->link.watch.fd, mem, WIRE_MAX, &in);
		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			link_close(p);
			return;
		}
		request_handle(p, &in);
		wire_in_close(&in);
	}
}

static void on_server(struct watch *w UNUSED, uint32_t events)
{
	struct pod *p = &pod_self;
	if (events & EPOLLOUT)
		flush_queue(p);
	if (!(events & ~(uint32_t)EPOLLOUT) || p->link.watch.fd < 0)
		return;
	char *mem = mmap(NULL, WIRE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		link_close(p);
		return;
	}
	p->link.mem = mem;
	receive(p, mem);
	p->link.mem = NULL;
	munmap(mem, WIRE_MAX);
	memory_trim_later(p);
}

int link_open(struct pod *p, int fd)
{
	struct link *l = &p->link;
	l->watch = (struct watch){ .fd = fd, .fn = on_server };
	l->mute = false;
	return loop_add(&p->loop, &l->watch, EPOLLIN);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

bool link_hung_up(const struct pod *p)
{
	struct pollfd server = { .fd = p->link.watch.fd };
	return poll(&server, 1, 0) > 0 && server.revents & POLLHUP;
}

static void on_listener(struct watch *w, uint32_t events UNUSED)
{
	struct pod *p = &pod_self;
	int fd = wire_accept(w->fd);
	if (fd < 0)
		return;
	/* The newest server is the server; but what the last one had said before it died holds. */
	for (int i = 0; i < DRAIN_MAX && p->link.watch.fd >= 0 && readable(p->link.watch.fd); i++)
		on_server(&p->link.watch, EPOLLIN);
	if (p->link.watch.fd >= 0)
		link_close(p);
	link_open(p, fd);
}

int link_listen(struct pod *p, struct err *e)
{
	p->door = DOOR_CLOSED;
	p->door.loop = &p->loop;
	p->door.run = p->run;
	snprintf(p->door.name, sizeof p->door.name, "%s.sock", p->uid);
	int r = door_open(&p->door, -1, on_listener);
	return r ? err_sys(e, -r, "socket %s/%s", p->run, p->door.name) : 0;
}

void link_send(struct pod *p, struct wire_out *o)
{
	struct link *l = &p->link;
	if (l->watch.fd >= 0 && !l->mute) {
		int r = wire_queue_send(&l->queue, l->watch.fd, o, QUEUE_MAX);
		if (r)
			link_broken(p, r);
		else if (l->queue.first)
			loop_mod(&p->loop, &l->watch, EPOLLIN | EPOLLOUT);
	}
	wire_free(o);
}

void link_flush(struct pod *p, int ms)
{
	uint64_t end = now_mono_ns() + (uint64_t)ms * 1000000u;
	while (p->link.queue.first && now_mono_ns() < end) {
		struct pollfd out = { .fd = p->link.watch.fd, .events = POLLOUT };
		poll(&out, 1, ms);
		flush_queue(p);
	}
}

struct asker link_asker(const struct pod *p, uint32_t seq)
{
	return (struct asker){ .link = p->link.number, .seq = seq };
}

/* Takes the request off a: nobody is answered twice. True: a server waits for it. */
static bool answer_begin(struct pod *p, struct asker *a, int result, const struct err *e, struct wire_out *o)
{
	struct asker was = *a;
	*a = (struct asker){ 0 };
	if (was.record && was.record == p->record)
		record_settle(p->dir_fd, result >= 0);
	bool waits = was.seq && was.link == p->link.number;
	asked_end(p, was.asked, result, e, waits);
	if (!waits)
		return false;
	wire_begin(o, W_REPLY, was.seq);
	wire_result(o, result);
	return true;
}

static void put_words(struct wire_out *o, int result, const struct err *e)
{
	if (result < 0)
		wire_str(o, K_ERROR, e && *e->text ? e->text : strerror(-result));
}

void link_reply(struct pod *p, struct asker *a, int result, const struct err *e)
{
	struct wire_out o = { 0 };
	if (!answer_begin(p, a, result, e, &o))
		return;
	put_words(&o, result, e);
	link_send(p, &o);
}

void link_reply_exit(struct pod *p, struct asker *a, int code, const struct err *e)
{
	struct wire_out o = { 0 };
	if (!answer_begin(p, a, -e->code, e, &o))
		return;
	put_words(&o, -e->code, e);
	wire_u64(&o, K_CODE, (uint64_t)code);
	link_send(p, &o);
}

void link_reply_fds(struct pod *p, struct asker *a, const int *fds, int n)
{
	struct wire_out o = { 0 };
	if (!answer_begin(p, a, 0, NULL, &o))
		return;
	for (int i = 0; i < n; i++)
		wire_fd(&o, fds[i]);
	link_send(p, &o);
}

void link_event(struct pod *p, enum wire_op op, const char *container, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	struct wire_out o = { 0 };
	wire_begin(&o, op, 0);
	wire_str(&o, K_NAME, container);
	wire_str(&o, K_TEXT, text);
	link_send(p, &o);
}
