/* The subnets of the pods: those that the config names, or, for `auto`, ones that this host does not use.
 *
 * Owns STATE/net.ini, where the chosen ones are kept, so that addresses outlive a reboot. Knows the choices and their order, not
 * the host's routes: bridge.c looks at these and says whether a choice will do.
 */
#ifndef PODFS_NET_SUBNET_H
#define PODFS_NET_SUBNET_H

#include "runtime/net/private.h"

/* As on the command line. Fills n->subnet, n->gateway, n->choice. */
int subnet_args(struct net *n, const char *text4, const char *text6, struct err *e);
/* What is `auto` becomes what STATE/net.ini has, or the first choice. Once in a process; then nothing. */
int subnet_load(struct net *n, struct err *e);
/* The next choice instead of n->subnet[i]. False: it is not `auto`, or all were tried. */
bool subnet_next(struct net *n, int i);
/* The bridge is there from before: pods have addresses of what it has, so that is what the subnets are until it goes, whatever the
 * config has come to say. */
int subnet_adopt(struct net *n, struct err *e);
void subnet_reset(struct net *n); /* it has gone */
/* Writes STATE/net.ini if it does not say this yet. */
int subnet_keep(struct net *n, struct err *e);

#endif
