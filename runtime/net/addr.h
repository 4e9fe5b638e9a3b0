/* Addresses and subnets of both families: text, arithmetic, comparison.
 *
 * Owns nothing. Knows neither sockets nor netlink.
 */
#ifndef PODFS_NET_ADDR_H
#define PODFS_NET_ADDR_H

#include "runtime/base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An address, or a subnet: then the bits behind the prefix are 0. */
struct net_addr {
	sa_family_t family;   /* AF_INET, AF_INET6; AF_UNSPEC: none */
	uint8_t prefix;
	uint8_t bytes[16];    /* network order; AF_INET has the first four */
};

#define NET_ADDR_TEXT (INET6_ADDRSTRLEN + 4)

static inline bool addr_is(const struct net_addr *a) { return a->family != AF_UNSPEC; }
static inline unsigned addr_len(const struct net_addr *a) { return a->family == AF_INET ? 4 : 16; }

/* An address without a prefix: its prefix is the whole length. -EINVAL. */
int addr_parse(const char *text, sa_family_t family, struct net_addr *out);
/* `10.213.0.0/20`, `fd00::/64`; `none`: AF_UNSPEC. A subnet has room for two hosts at least and no bits behind its prefix. */
int addr_subnet(const char *text, sa_family_t family, struct net_addr *out, struct err *e);
/* Host number n of the subnet, with its prefix. AF_UNSPEC if the subnet is; -ERANGE: not a host's number there (0, IPv4's last). */
int addr_host(const struct net_addr *subnet, uint64_t n, struct net_addr *out);
struct net_addr addr_network(const struct net_addr *a); /* the subnet that an address with its prefix is of */
bool addr_same(const struct net_addr *a, const struct net_addr *b); /* without the prefix */
bool addr_within(const struct net_addr *a, const struct net_addr *subnet);
bool addr_overlap(const struct net_addr *a, const struct net_addr *b); /* as subnets */
const char *addr_text(const struct net_addr *a, char out[NET_ADDR_TEXT]);      /* without the prefix; returns out */
const char *addr_text_prefix(const struct net_addr *a, char out[NET_ADDR_TEXT]); /* ADDRESS/PREFIX */

#endif
