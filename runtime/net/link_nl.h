/* Links, addresses, routes and queueing disciplines, through rtnetlink.
 *
 * Owns the netlink sockets. link_nl.c is the only file that includes libnl. Several changes travel in one send: the kernel
 * does them in order. Decides nothing: which links there are to be is attach.c's and bridge.c's.
 */
#ifndef PODFS_NET_LINK_NL_H
#define PODFS_NET_LINK_NL_H

#include "runtime/net/addr.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define LINK_ALIAS 256

/* A socket speaks of the network namespace in which it was opened. */
struct link_sock;
int link_sock_open(struct link_sock **out, struct err *e);
void link_sock_close(struct link_sock **s);

struct link_info {
	int index, master;
	bool up;
	char name[IFNAMSIZ], kind[16], alias[LINK_ALIAS];
};

int link_find(struct link_sock *s, const char *name, struct link_info *out); /* -ENODEV */
int link_index(struct link_sock *s, const char *name);                      /* or -errno; the cheap way */
/* Every link; fn's non-zero ends it and is returned. */
int link_each(struct link_sock *s, int (*fn)(void *arg, const struct link_info *l), void *arg, struct err *e);

/* A veth pair: one end named name here, in the bridge, up; its peer eth0 in the namespace peer_ns, down: the kernel opens no end
 * before it has both. */
struct veth {
	const char *name, *alias;
	int master, peer_ns;
	unsigned group;              /* of the end here */
	unsigned char mac[6];        /* of eth0: the bridge takes frames from no other, and has it nowhere else */
	unsigned char host_mac[6];   /* of the end here: the bridge's own will do, and is no address more to know */
	const struct net_addr *addr; /* two, of eth0: the master learns its neighbour */
};
int link_add_veth(struct link_sock *s, const struct veth *v, struct err *e); /* -EEXIST; -ENODEV: there is no such master */
/* A link of that kind, up: bridge (without STP), ifb. mac NULL: the kernel's choice. -EEXIST. */
int link_add(struct link_sock *s, const char *kind, const char *name, const char *alias, const unsigned char *mac, struct err *e);
int link_set_up(struct link_sock *s, int index, struct err *e);
int link_rename(struct link_sock *s, int index, const char *name, struct err *e); /* it is down for a moment */
/* Puts the end of a pair that is there into its bridge, with all that link_add_veth gives it. */
int link_set_master(struct link_sock *s, const struct veth *v, struct err *e);
int link_delete(struct link_sock *s, const char *name, struct err *e); /* not there: 0 */

/* Sets the link up and adds what of this it does not have: the count of it in *added. A gateway is a default route; family AF_UNSPEC: passed over. */
struct link_addrs {
	int index;
	const struct net_addr *addr, *gateway; /* each two; gateway NULL: no routes */
	const struct net_addr *local;          /* its only link-local address, instead of one of the kernel's choice; NULL: that */
	unsigned char gateway_mac[6];
};
int link_add_addrs(struct link_sock *s, const struct link_addrs *a, int *added, struct err *e);

/* Tells the link which MAC these two addresses have, for good, or that it should forget it: so neither side asks, and nobody
 * else hears the question. */
int link_neighbours(struct link_sock *s, int index, const struct net_addr addr[2], const unsigned char mac[6], bool add, struct err *e);

/* Every unicast or local route of that family, with the index of its link; and those that lead nowhere: unreachable, blackhole,
 * prohibit. */
struct link_route {
	struct net_addr dst;
	int link;
	bool nowhere;
};
int link_each_route(struct link_sock *s, sa_family_t family, int (*fn)(void *arg, const struct link_route *r), void *arg,
		    struct err *e);

/* Every address of that family that the link has and that is not link-local, with its prefix. */
int link_each_addr(struct link_sock *s, sa_family_t family, int index, int (*fn)(void *arg, const struct net_addr *a), void *arg,
		   struct err *e);

/* What the link sends, at most: rate in bytes a second, burst and the queue before it in bytes. Instead of another shaper. */
int link_shape(struct link_sock *s, int index, uint64_t rate, uint32_t burst, uint32_t queue, struct err *e);
int link_unshape(struct link_sock *s, int index, struct err *e); /* is not shaped: 0 */
/* All that the link receives is sent by link `to` instead, which hands it back when it has sent it (ifb). */
int link_divert(struct link_sock *s, int index, int to, struct err *e);
int link_undivert(struct link_sock *s, int index, struct err *e); /* is not diverted: 0 */

#endif
