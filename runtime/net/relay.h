/* Relays: what the host itself sends to a published port, brought to the pod.
 *
 * Packets from outside go by the nftables table and never come here. Connections of the host's own processes (127.0.0.1, ::1,
 * any address of the host) end at the socket that holds the port; they are accepted, and their bytes spliced to a connection
 * to the pod's address and back. UDP has a flow a client, forgotten after 60 s of quiet, as conntrack does. IPv4 goes to the
 * pod's IPv4 address, IPv6 to its IPv6 one. Runs in podfs-net, on its one loop; nothing blocks, and memory and descriptors
 * are bounded: over RELAY_CONNS connections a new one is reset, over RELAY_FLOWS flows the quietest goes.
 * SIGPIPE has to be ignored: splice(2) has no MSG_NOSIGNAL.
 */
#ifndef PODFS_NET_RELAY_H
#define PODFS_NET_RELAY_H

#include "runtime/base/loop.h"

#include <netinet/in.h>
#include <stddef.h>

#define RELAY_CONNS 8192 /* less where descriptors are few: a twelfth of them, as a connection takes up to six */
#define RELAY_FLOWS 4096
#define RELAY_FLOW_MS 60000
#define RELAY_PIPES 64 /* kept for the next connections that move bytes */

union net_sockaddr {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct conn;
struct flow;

struct pipe {
	int fd[2]; /* read, write; -1: none */
};

/* All relays of the process. */
struct relays {
	struct loop *loop;
	unsigned nconns, max_conns;
	int spare; /* given up to take a connection, and reset it, when there is no other descriptor */
	struct pipe idle[RELAY_PIPES];
	unsigned nidle;

	unsigned nflows, max_flows;
	struct flow **buckets;         /* RELAY_FLOWS of them */
	struct flow *newest, *oldest;  /* by the last datagram */
	uint64_t flow_ms;              /* RELAY_FLOW_MS */
	uint32_t seed;
	struct timer quiet;
	char *datagram;                /* room for the largest one */
};

/* One socket that holds a port. */
struct relay {
	struct relays *all;
	struct watch watch;
	int proto;
	union net_sockaddr to; /* the pod's address and port */
	struct conn *conns;
};

int relays_init(struct relays *all, struct loop *l);
void relays_free(struct relays *all); /* every relay has been stopped */

/* fd: bound (and for TCP listening), nonblocking; it belongs to r from now on, unless this fails. */
int relay_start(struct relays *all, struct relay *r, int fd, int proto, const union net_sockaddr *to);
/* New connections go to another port of the pod; those that stand, stay. */
void relay_retarget(struct relay *r, const union net_sockaddr *to);
/* Closes the socket; its connections are reset, its flows forgotten. */
void relay_stop(struct relay *r);

/* --- internal to relay*.c --- */

void tcp_accept(struct watch *w, uint32_t events);
void tcp_stop(struct relay *r);
int udp_prepare(struct relay *r);
void udp_receive(struct watch *w, uint32_t events);
void udp_stop(struct relay *r);
void udp_quiet(struct timer *t);
socklen_t net_sockaddr_len(const union net_sockaddr *a);

#endif
