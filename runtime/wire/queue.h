/* Messages that a socket did not take yet.
 *
 * Owns them and duplicates of their descriptors; the socket and its watch are the caller's, who asks for EPOLLOUT while
 * something waits. Never blocks. Linked into server, podfs-pod and podfs-net.
 */
#ifndef PODFS_WIRE_QUEUE_H
#define PODFS_WIRE_QUEUE_H

#include "runtime/wire/wire.h"

struct wire_queue {
	struct wire_queued *first, *last; /* NULL: nothing waits */
	size_t bytes;
};

/* Sends o, or keeps it behind what waits; its bytes are then the queue's. 0, -EAGAIN (more than max bytes would wait), -ENOMEM, -EMFILE, or
 * what wire_send says; on an error nothing of it was sent or kept. */
int wire_queue_send(struct wire_queue *q, int sock, struct wire_out *o, size_t max);
/* Sends what waits. 0: nothing waits any more, -EAGAIN: something does; any other: the connection is to be given up. */
int wire_queue_flush(struct wire_queue *q, int sock);
/* Forgets what waits. */
void wire_queue_clear(struct wire_queue *q);

#endif
