/* Messages that a socket did not take yet: see queue.h. */
#include "runtime/wire/queue.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>

struct wire_queued {
	struct wire_queued *next;
	struct wire_out out; /* its descriptors are owned here */
};

static void queued_free(struct wire_queued *m)
{
	for (int i = 0; i < m->out.nfds; i++)
		close_fd(&m->out.fds[i]);
	wire_free(&m->out);
	free(m);
}

static void drop_first(struct wire_queue *q)
{
	struct wire_queued *m = q->first;
	q->first = m->next;
	if (!q->first)
		q->last = NULL;
	q->bytes -= m->out.b.len;
	queued_free(m);
}

void wire_queue_clear(struct wire_queue *q)
{
	while (q->first)
		drop_first(q);
}

/* The caller closes his when he likes. */
static struct wire_queued *keep(const struct wire_out *o, int *r)
{
	struct wire_queued *m = calloc(1, sizeof *m);
	*r = m ? 0 : -ENOMEM;
	for (int i = 0; m && !*r && i < o->nfds; i++) {
		int fd = fcntl(o->fds[i], F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			*r = -errno;
		else
			wire_fd(&m->out, fd);
	}
	if (m && *r) {
		queued_free(m);
		m = NULL;
	}
	return m;
}

static int enqueue(struct wire_queue *q, struct wire_out *o, size_t max)
{
	int r = wire_check(o);
	if (r)
		return r;
	if (q->bytes + o->b.len > max)
		return -EAGAIN;
	struct wire_queued *m = keep(o, &r);
	if (!m)
		return r;
	m->out.b = o->b;
	o->b = (struct buf){ 0 };
	if (q->last)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
	q->bytes += m->out.b.len;
	return 0;
}

int wire_queue_send(struct wire_queue *q, int sock, struct wire_out *o, size_t max)
{
	int r = q->first ? -EAGAIN : wire_send(sock, o);
	return r == -EAGAIN ? enqueue(q, o, max) : r;
}

int wire_queue_flush(struct wire_queue *q, int sock)
{
	while (q->first) {
		int r = wire_send(sock, &q->first->out);
		if (r)
			return r;
		drop_first(q);
	}
	return 0;
}
