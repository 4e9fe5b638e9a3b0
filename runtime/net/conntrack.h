/* Flows that the kernel still tracks to where a port was published before.
 *
 * A translation is chosen once, with the first packet: who goes on sending UDP to a port that another pod has got would reach the
 * first one for as long as it sends. (TCP ends its connections itself.) Asks ctnetlink, which a kernel may lack; then they stay until
 * they have been silent for 30 s, or 2 min where both sides had spoken. Owns a child: the kernel looks at all that it tracks, which
 * takes it 30 ms at least, and podfs-net has others to serve.
 */
#ifndef PODFS_NET_CONNTRACK_H
#define PODFS_NET_CONNTRACK_H

#include "runtime/base/loop.h"
#include "runtime/net/addr.h"

#include <stddef.h>

/* A UDP port of the host. */
struct conntrack_port {
	sa_family_t family;
	uint16_t port;
};

/* Forgets, soon, the flows to one of these that were brought into one of the two subnets. Without memory or child for it: none. */
void conntrack_forget(struct loop *l, const struct net_addr subnet[2], const struct conntrack_port *p, size_t n);

#endif
