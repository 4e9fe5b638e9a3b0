/* The bridge, and what the host needs to route for it.
 *
 * Owns the link named on the command line with the gateways' addresses, and begins and ends with it the table and dnsmasq. Of the
 * host's own settings it changes two, forwarding of IPv4 and of IPv6, and those only to on.
 */
#ifndef PODFS_NET_BRIDGE_H
#define PODFS_NET_BRIDGE_H

#include "runtime/net/link_nl.h"
#include "runtime/net/private.h"

/* Everything that a pod's veth is to be put into: n->bridge_index. Costs nothing when it was made or looked at before. A subnet that
 * overlaps with what the host has: -EADDRNOTAVAIL. */
int bridge_ensure(struct net *n, struct err *e);
/* Somebody may have changed it: the next bridge_ensure looks at all of it, and puts the pods' veths back into it. */
void bridge_lost(struct net *n);
bool bridge_is_former(const struct net *n, const struct link_info *l); /* ours, when the config had another name for it */
/* With table, dnsmasq and files; left alone while it has ports that no attachment of ours accounts for. */
int bridge_remove(struct net *n, struct err *e);

/* --- attach.c --- */
/* The pod's pair, for link_nl.h; alias is its memory. */
void pod_veth(const struct net *n, const struct attachment *a, char alias[LINK_ALIAS], struct veth *out);

/* --- table.c --- */
int table_ensure(struct net *n, struct err *e); /* costs nothing when it was made, or this kernel cannot have it */
void table_later(struct net *n);                /* once the requests at hand are answered */

/* --- forward.c --- */
int forward_on(struct net *n, struct err *e); /* both families as far as there are subnets */
bool forward_has_ipv6(void);                  /* this kernel speaks it */

/* --- foreign.c --- */
void foreign_look_later(struct net *n); /* rules of others that would drop the pods' packets: one N_EVENT */

#endif
