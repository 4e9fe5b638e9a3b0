/* What the link_*.c files share: libnl, and a conversation with the kernel.
 *
 * The only file that includes libnl and libnl-route. They build the messages; sent and answered these are in link_nl.c, because
 * libnl waits for the answer to each before it sends the next.
 */
#ifndef PODFS_NET_LINK_LIB_H
#define PODFS_NET_LINK_LIB_H

#include "runtime/base/util.h"
#include "runtime/net/link_nl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>

struct link_sock;

static inline void put_link(struct rtnl_link **l) { if (*l) rtnl_link_put(*l); }
static inline void put_rtaddr(struct rtnl_addr **a) { if (*a) rtnl_addr_put(*a); }
static inline void put_addr(struct nl_addr **a) { if (*a) nl_addr_put(*a); }
static inline void put_route(struct rtnl_route **r) { if (*r) rtnl_route_put(*r); }
static inline void put_neigh(struct rtnl_neigh **n) { if (*n) rtnl_neigh_put(*n); }
static inline void put_msg(struct nl_msg **m) { nlmsg_free(*m); }
#define _link_ __attribute__((cleanup(put_link)))
#define _rtaddr_ __attribute__((cleanup(put_rtaddr)))
#define _addr_ __attribute__((cleanup(put_addr)))
#define _route_ __attribute__((cleanup(put_route)))
#define _neigh_ __attribute__((cleanup(put_neigh)))
#define _msg_ __attribute__((cleanup(put_msg)))

/* A message of that type that begins with head; NULL: no memory. */
struct nl_msg *link_message(int type, const void *head, size_t len);
/* Puts a message behind those that link_commit will send. passed: an errno that is no failure of this step, or 0. built: what libnl
 * said when it built it, 0 or negative. Takes msg, which may be NULL (then the commit fails with ENOMEM); what stays the caller's and
 * is what an error calls the step. */
void link_plan(struct link_sock *s, const char *what, int passed, int built, struct nl_msg *msg);
/* Does what was planned, in order. The first failure is the result; the steps behind it are done all the same. *done counts those
 * that held. */
int link_commit(struct link_sock *s, int *done, struct err *e);

#endif
