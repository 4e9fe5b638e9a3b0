/* A connection to another process of podfs: requests and their replies, what could not be sent yet.
 *
 * Owns the socket. Never blocks: what the socket does not take is queued, bounded; a process that does not read (stopped, in D)
 * delays nobody but those who asked it. Used for podfs-pod (link.c) and podfs-net (net_link.c). Runs in podfs-server.
 */
#ifndef PODFS_PEER_H
#define PODFS_PEER_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/wire/queue.h"

/* Descriptors that are wanted are taken out of in. in is NULL, and e says why, when the connection has ended before the reply. */
typedef void reply_fn(void *arg, int result, struct wire_in *in, const struct err *e);

struct peer {
	struct watch watch;  /* the socket; fd -1: not connected */
	struct loop *loop;
	void *mem;           /* PEER_MEM bytes to receive into; may be shared */
	char what[80];       /* for words: who it is */
	uint32_t seq;
	struct peer_request *requests, **requests_tail; /* in the order sent */
	struct wire_queue queue;
	void (*on_message)(struct peer *p, struct wire_in *in); /* an event */
	void (*on_closed)(struct peer *p); /* the other side has closed; it is to call peer_drop */
};

#define PEER_MEM (WIRE_MAX + 64)

void peer_init(struct peer *p, struct loop *loop, void *mem);
int peer_attach(struct peer *p, int sock); /* takes over sock */
static inline bool peer_connected(const struct peer *p) { return p->watch.fd >= 0; }
/* Closes, and answers every request with -e->code. */
void peer_drop(struct peer *p, const struct err *e);
/* Sends o (seq is filled in); fn is called once; NULL: nobody waits for the reply. -errno: nothing was sent and fn is not called. */
int peer_request(struct peer *p, struct wire_out *o, reply_fn *fn, void *arg);

#endif
