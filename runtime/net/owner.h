/* Who holds a port of the host.
 *
 * Owns nothing. Asks the kernel's sock_diag(7) for the sockets and /proc for the process that has one of them open. Runs
 * in podfs-net, once a refused write.
 */
#ifndef PODFS_NET_OWNER_H
#define PODFS_NET_OWNER_H

#include "runtime/parse/parse.h"

#define OWNER_TEXT 64

/* `nginx (pid 812)`; false: not to be found (it is gone again, or lives where /proc does not show it). p->family is one. */
bool owner_find(const struct port *p, char out[OWNER_TEXT]);

#endif
