/* Networks of /etc/cni/net.d: chains of plugins, run with a deadline.
 *
 * Takes what the server asks, and answers the asker itself when the chain has ended; cni_chain.h owns the rest. The environment says
 * where things are: PODFS_CNI_CONF (/etc/cni/net.d), PODFS_CNI_PATH (/usr/lib/cni:/opt/cni/bin). Cached results are in STATE/cni: they
 * have to outlive a reboot, as the leases of host-local do.
 */
#ifndef PODFS_NET_CNI_H
#define PODFS_NET_CNI_H

#include "runtime/net/private.h"

/* in: the request, valid during the call only; its descriptor is taken (set to -1) if it is needed longer. */
void cni_add(struct net *n, const struct asker *a, struct wire_in *in);
void cni_del(struct net *n, const struct asker *a, struct wire_in *in);
/* Of N_SYNC: chains of uids that are not listed are deleted. */
void cni_sync(struct net *n, bool (*listed)(void *arg, const char *uid), void *arg);
void cni_stop(struct net *n); /* ends plugins that run; their attachments are found again in the cached results */
bool cni_busy(const struct net *n); /* something is still to be deleted or attached: the process stays */

#endif
