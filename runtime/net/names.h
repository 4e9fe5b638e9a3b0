/* The pods' names: a file each in RUN/names, and dnsmasq on the bridge, which reads them.
 *
 * Owns that folder and the dnsmasq process: it sees the folder as all of its /mnt, and ends with podfs-net. dnsmasq follows the
 * folder itself (inotify), so a name costs a file.
 */
#ifndef PODFS_NET_NAMES_H
#define PODFS_NET_NAMES_H

#include "runtime/net/private.h"

int names_put(struct net *n, const struct attachment *a, struct err *e);
/* Forgets a's name, unless another pod of the same name has come meanwhile. */
void names_drop(struct net *n, const struct attachment *a);
void names_sync(struct net *n); /* files of nobody go */
void names_anew(void);          /* RUN is another folder now */

bool names_served(void); /* dnsmasq is installed */
void names_choose_port(struct net *n); /* n->dns_port: free at the gateways, which are there; while dnsmasq runs it stays */
void names_start_later(struct net *n); /* dnsmasq, when the requests at hand are answered; running already: nothing */
void names_end(struct net *n);         /* dnsmasq is told to end; names_stop waits for it */
void names_stop(struct net *n);        /* dnsmasq, the files and the folder */
bool dnsmasq_stop(struct net *n);      /* dnsmasq alone (dnsmasq.c); false: it did not run */

#endif
