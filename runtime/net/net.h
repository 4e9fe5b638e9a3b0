/* What the server and podfs-net say to each other.
 *
 * podfs-net is the one process of a node that touches the host's network: the bridge, veth pairs, the nftables table, the
 * sockets that hold published ports, dnsmasq, CNI plugins. It keeps nothing that it could not find again: what is wanted comes
 * from the server (the pods' records), what is comes from the kernel. It outlives the server, as podfs-pod does, because local
 * connections to published ports pass through it; it ends when no server is connected and nothing is attached.
 *
 * Messages are those of wire.h (same header, fields, descriptors), with these ops and keys. One server at a time: a new connection
 * replaces the old one.
 *
 *   podfs-net RUN STATE BRIDGE SUBNET4 SUBNET6 TABLE LISTEN-FD
 * RUN: its folder (names/, dnsmasq's files); STATE: what outlives a reboot (net.ini: the subnets that were chosen; cni/; alive);
 * BRIDGE: name of the link; SUBNET4 10.213.0.0/20, SUBNET6 fd…/64, either `none`, or `auto`: one that overlaps with no route of the
 * host, chosen when the bridge is first made and kept in STATE; another one is chosen, and N_EVENT says so, only if the host has come to use it;
 * TABLE: name of the nftables table (family inet); LISTEN-FD: a listening SOCK_SEQPACKET socket (RUN/net.sock).
 * Environment: PODFS_CNI_CONF (/etc/cni/net.d), PODFS_CNI_PATH (/usr/lib/cni:/opt/cni/bin).
 */
#ifndef PODFS_NET_H
#define PODFS_NET_H

#include "runtime/wire/wire.h"

#include <net/if.h>
#include <netinet/in.h>

enum net_op {
	/* requests, answered by W_REPLY */
	N_ATTACH = 128, /* K_UID K_POD K_HOST [K_RATE_IN K_RATE_OUT] K_PORT* [fd: a network namespace]. Without fd it makes one, and the reply
	                   carries it. The pod gets host number K_HOST of both subnets on its eth0; the bridge, table and
	                   dnsmasq are made first if they are not there. Attached already (after a crash of either side): what
	                   is missing is repaired, the rest left alone. The reply: K_ADDR* K_DNS*. Ports that cannot be had do not keep a
	                   pod from its network: N_EVENT. -EADDRINUSE: another pod has that number; -ERANGE: the subnets have no such;
	                   -EADDRNOTAVAIL: the host uses the subnet, or all that `auto` may choose; -EOPNOTSUPP: this kernel has no bridges
	                   or no veth pairs */
	N_LEAVE,        /* K_UID: its name and its published ports are free for others at once; the rest works on until N_DETACH. A CNI pod: nothing */
	N_DETACH,       /* K_UID: ports, names, elements, the veth pair; not there: 0. A while after the last one bridge and table go */
	N_PORTS,        /* K_UID K_PORT*: instead of those it had, all or none: -EADDRINUSE, -EADDRNOTAVAIL, and K_ERROR says by whom */
	N_RATE,         /* K_UID K_RATE_IN K_RATE_OUT */
	N_SYNC,         /* K_UID*: these are all; whatever else carries our names is removed */
	N_CNI_ADD,      /* K_UID K_POD K_CNI [K_RATE_IN K_RATE_OUT] K_PORT* [fd]: runs the chain in that namespace, or in one that it makes and
	                   that the reply carries; the reply: K_ADDR* K_DNS*. Its time is limited
	                   (CNI_DEADLINE_S), then it is taken back. Attached already to the same namespace: nothing is run */
	N_CNI_DEL,      /* K_UID [fd: its namespace, for a podfs-net that did not make the attachment]: of the chain that was run (from its
	                   cached result); the reply says how the first try went; tried again until it holds, an N_LEAK meanwhile */

	N_SETUP,        /* K_TEXT: RUN STATE BRIDGE SUBNET4 SUBNET6 TABLE as above and the two of the environment (empty: not set), one a line,
	                   as the server would start it now. -ESTALE: they are others than its own, and it ends, as after kill -9: the next
	                   one finds all and takes it over */

	/* events */
	N_LEAK = 160,   /* K_UID? K_TEXT: could not be freed, is tried again */
	N_FREED,        /* K_UID: what was told as a leak is gone */
	N_EVENT,        /* K_UID? K_TEXT: something was repaired, or can't be */
	N_INFO,         /* K_TEXT: lines `key value` for people: bridge, subnets, gateways, table, DNS; sent to a new server, and when it changes */
	N_LOST,         /* K_UID: somebody deleted the pod's veth pair: N_ATTACH with the pod's namespace makes it anew */
};

enum net_key {
	K_UID = 128,
	K_POD,      /* its name */
	K_HOST,     /* u64: host number within both subnets; 1 is the bridge's own */
	K_PORT,     /* one published port as parse_port reads it */
	K_RATE_IN, K_RATE_OUT, /* u64 bits a second, 0: no limit; as the pod sees it */
	K_CNI,      /* name of a network of /etc/cni/net.d */
	K_ADDR,     /* ADDRESS/PREFIX */
	K_DNS,      /* address of a server that knows the pods' names; none: there is no dnsmasq */
};

#define CNI_DEADLINE_S 30
/* Name of the host's end of a pod's veth: from its uid, so that a stranger finds whose it is. */
void net_veth_name(const char *uid, char out[IFNAMSIZ]); /* pf + 12 hex digits of uid */

#endif
