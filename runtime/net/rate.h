/* What a pod may send and receive, at most.
 *
 * Owns the shapers on the host's ends of the veth pairs and, for what a pod sends, an ifb each (net_ifb_name): nothing of it is
 * in the pod's own namespace, where a container could remove it.
 */
#ifndef PODFS_NET_RATE_H
#define PODFS_NET_RATE_H

#include "runtime/net/private.h"

/* Bits a second as the pod sees it, 0: no limit. Sets a's rates if it holds; a failure leaves what was before. */
int rate_set(struct net *n, struct attachment *a, uint64_t in, uint64_t out, struct err *e);
void rate_drop(struct net *n, struct attachment *a); /* what would outlive the veth pair */

#endif
