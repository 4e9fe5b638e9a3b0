/* Which network namespace a descriptor is of.
 *
 * Owns nothing. Enters the namespace and comes back before it returns. Runs in podfs-net.
 */
#ifndef PODFS_NET_CNI_NETNS_H
#define PODFS_NET_CNI_NETNS_H

#include "runtime/base/err.h"

#define NETNS_ID 80

/* BOOT COOKIE: no other namespace ever has the same, while inode numbers are given again at once. -EINVAL: it is none. */
int netns_identify(int netns, char out[NETNS_ID], struct err *e);

#endif
