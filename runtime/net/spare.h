/* Network namespaces made ahead, with lo up: 380 µs that no mkdir waits for.
 *
 * Owns the spare ones. Enters namespaces and comes back before it returns: the process is at home whenever anybody else runs.
 */
#ifndef PODFS_NET_SPARE_H
#define PODFS_NET_SPARE_H

#include "runtime/net/link_nl.h"

struct net;

/* A namespace, and rtnetlink of it. */
struct netns {
	int fd;
	struct link_sock *links;
};

int spare_open(struct net *n, struct err *e); /* remembers where home is */
int spare_take(struct net *n, struct netns *out, struct err *e); /* makes one if there is none left */
void spare_refill_later(struct net *n);       /* a while after the last request */
void spare_drop_all(struct net *n);
/* rtnetlink of somebody's namespace, with its lo up; fd stays the caller's. -EINVAL: it is no network namespace. */
int netns_enter(int fd, struct netns *out, struct err *e);
void netns_close(struct netns *ns);

#endif
