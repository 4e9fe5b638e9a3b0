/* Published ports: sockets that hold them, relays for the host's own connections, elements of the nftables table.
 *
 * Owns the sockets and the relayed connections.
 */
#ifndef PODFS_NET_PORTS_H
#define PODFS_NET_PORTS_H

#include "runtime/net/private.h"

/* These lines (as parse_port reads them) instead of those the pod had, all or none; nlines 0: none.
 * -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL; e says which line and by whom. */
int ports_set(struct net *n, const char *uid, const struct net_addr addr[2], const char *const *lines, size_t nlines, struct err *e);
/* Closes everything of that pod; unknown: nothing. */
void ports_drop(struct net *n, const char *uid);

#endif
