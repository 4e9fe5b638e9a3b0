/* Networks of /etc/cni/net.d: chains of plugins, run with a deadline.
 *
 * Owns the plugin processes and the cached results. Answers the asker itself, when the chain has ended.
 */
#ifndef PODFS_NET_CNI_H
#define PODFS_NET_CNI_H

#include "runtime/net/private.h"

/* in: the request, valid during the call only; its descriptor is taken (set to -1) if it is needed longer. */
void cni_add(struct net *n, const struct asker *a, struct wire_in *in);
void cni_del(struct net *n, const struct asker *a, struct wire_in *in);
/* Of N_SYNC: chains of uids that are not listed are deleted. */
void cni_sync(struct net *n, bool (*listed)(void *arg, const char *uid), void *arg);
bool cni_busy(const struct net *n); /* something is still to be deleted or attached: the process stays */

#endif
