/* Published ports: sockets that hold them, relays for the host's own connections, elements of the nftables table.
 *
 * Owns the sockets and the relayed connections; one socket a port, address and family. A held port is nobody else's:
 * whoever comes second, a pod or a program of the host, gets EADDRINUSE. Runs in podfs-net.
 */
#ifndef PODFS_NET_PORTS_H
#define PODFS_NET_PORTS_H

#include "runtime/net/private.h"
#include "runtime/parse/parse.h"

#define PORTS_MAX 1024 /* of a pod, each port of a range counted */

/* These lines (as parse_port reads them) instead of those the pod had, all or none; nlines 0: none. What was published
 * before and still is stays open. -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL, -E2BIG …; e says which line and by whom. */
int ports_publish(struct net *n, const char *uid, const struct net_addr addr[2], const char *const *lines, size_t nlines, struct err *e);
/* Closes everything of that pod; unknown: nothing. */
void ports_drop(struct net *n, const char *uid);
/* Closes everything, but leaves the table's elements: for the end of the process. */
void ports_close(struct net *n);

#endif
