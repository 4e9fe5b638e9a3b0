/* The nftables table of the pods.
 *
 * Owns the table named on podfs-net's command line and what is published in its maps. Its chains never change; a published port
 * is an element of a map. Never names another table in a command that changes something.
 */
#ifndef PODFS_NET_NFT_H
#define PODFS_NET_NFT_H

#include "runtime/base/buf.h"
#include "runtime/net/addr.h"

#include <stdbool.h>
#include <stddef.h>

/* A packet for (at, proto, port) goes to (pod, pod_port). */
struct nft_port {
	struct net_addr at;  /* an address of the host; all bytes 0: any of that family. The family is pod's */
	uint8_t proto;       /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t port, pod_port;
	struct net_addr pod;
};

struct nft;

/* e in all of them: nft's own words. A kernel without nftables, or without a part that the table needs: nft_missing, and only
 * nft_set_ports fails then (-EOPNOTSUPP). */
int nft_open(struct nft **out, const char *table, struct err *e); /* talks to nobody yet */
void nft_close(struct nft **t);                                   /* leaves the table as it is */

/* What the table is for. */
struct nft_net {
	const char *bridge;
	const struct net_addr *subnet, *gateway; /* two each: IPv4, IPv6; AF_UNSPEC: without */
	uint16_t dns_port; /* what is sent to port 53 of the gateways comes here; 0: no such rules */
};

/* The table as it has to be, in one transaction; costs nothing
 * when it was made before and nft_lost was not called since. Elements that a process before this one left stay until their
 * pods' ports are set, or nft_forget_strangers. */
int nft_ensure(struct nft *t, const struct nft_net *net, struct err *e);
bool nft_ready(const struct nft *t); /* nft_ensure has nothing to do */
void nft_lost(struct nft *t); /* somebody may have removed or changed it: the next nft_ensure makes it anew, with all elements */
int nft_remove(struct nft *t, struct err *e); /* with all elements; not there: 0 */

/* These instead of what this pod had, in one transaction: all or none. n 0: none. */
int nft_set_ports(struct nft *t, const char *uid, const struct nft_port *p, size_t n, struct err *e);
/* Removes elements that were found in the table and that no nft_set_ports since has named. */
int nft_forget_strangers(struct nft *t, struct err *e);

bool nft_missing(const struct nft *t); /* as the last nft_ensure found; looked at again after nft_lost and nft_remove */
/* Of commands that make a table anew: what they want is a part that the kernel does not have. */
bool nft_is_lack(int r);
/* Commands of others: all or none. */
int nft_run(struct nft *t, const struct buf *commands, struct err *e);
/* What nft prints for a command; valid until the next one. */
const char *nft_list(struct nft *t, const struct buf *command);

#endif
