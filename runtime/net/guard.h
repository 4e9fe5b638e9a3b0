/* What a pod may send on the bridge: its own addresses, nothing that speaks for the network.
 *
 * Owns the nftables table of family bridge that has the name of the pods' table. The kernel's bridge sees to the MACs (link_set.c): a
 * port takes no other than its pod's. That MAC and the addresses follow from the host number, so the sets of what goes together are
 * filled ahead, in blocks of host numbers, and a pod costs no transaction of its own. An element says nothing of who lives: one that
 * stays when its pod has gone does no harm.
 */
#ifndef PODFS_NET_GUARD_H
#define PODFS_NET_GUARD_H

#include "runtime/net/private.h"

/* The table, with the blocks of all pods that are attached; costs nothing when it is there. A kernel that cannot have it: one N_EVENT,
 * and 0. */
int guard_ensure(struct net *n, struct err *e);
/* Before this pod sends something; nothing without the table. The next block is filled later, if it comes near. */
int guard_cover(struct net *n, uint64_t host, struct err *e);
bool guard_stands(void);
void guard_lost(void); /* somebody may have removed it */
int guard_remove(struct net *n, struct err *e);

#endif
