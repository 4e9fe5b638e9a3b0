/* What others do to the bridge, to the pods' veth pairs (watch_veth.c) and to the table: the kernel tells it, and what is gone is made
 * again.
 *
 * Owns two netlink sockets that only listen. Messages are looked at, never believed: they only make us look.
 */
#include "runtime/net/bridge.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define TOLD_MAX 32768

static struct watch links = { .fd = -1 }, rules = { .fd = -1 };
static struct timer repair;
static const char *what; /* was lost */
static _Alignas(struct nlmsghdr) char told[TOLD_MAX];

static int listen_to(struct net *n, struct watch *w, int protocol, int group, void (*fn)(struct watch *, uint32_t))
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group))
		return -errno;
	/* A whole table made anew is told of in one go; what is lost counts as hurt. */
	const int room = 8 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	*w = (struct watch){ .fd = fd, .fn = fn };
	int r = loop_add(&n->loop, w, EPOLLIN);
	if (r)
		w->fd = -1;
	else
		take_fd(&fd);
	return r;
}

static void on_repair(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	struct err e = { 0 };
	if (!n->pods)
		return;
	int r = bridge_ensure(n, &e);
	if (!r)
		r = table_ensure(n, &e);
	watch_pass(n);
	if (r)
		server_event(n, N_EVENT, NULL, "%s was removed or changed by somebody and cannot be made again: %s", what, e.text);
	else
		server_event(n, N_EVENT, NULL, "%s was removed or changed by somebody: it was made again", what);
}

static void lost(struct net *n, const char *whose)
{
	what = whose;
	repair.fn = on_repair;
	if (!repair.at_ns)
		timer_arm(&n->loop, &repair, 0);
}

/* The next message of a datagram. */
static struct nlmsghdr *next(struct nlmsghdr *h, int *left)
{
	return NLMSG_NEXT(h, *left);
}

static bool address_hurt(const struct net *n, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *a = NLMSG_DATA(h);
	return h->nlmsg_type == RTM_DELADDR && h->nlmsg_len >= NLMSG_LENGTH(sizeof *a) && (int)a->ifa_index == n->bridge_index;
}

static bool bridge_hurt(struct net *n, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	if (address_hurt(n, h))
		return true;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof *i) || i->ifi_family != AF_UNSPEC)
		return false;
	if (i->ifi_index != n->bridge_index) {
		veth_told(n, h);
		return false;
	}
	return h->nlmsg_type == RTM_DELLINK || (h->nlmsg_type == RTM_NEWLINK && !(i->ifi_flags & IFF_UP));
}

/* Something was taken out of our table, or it was removed. All these messages have the table's name as attribute 1. */
static bool table_hurt(const struct net *n, const struct nlmsghdr *h)
{
	const struct nlattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	unsigned type = NFNL_MSG_TYPE(h->nlmsg_type);
	size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    (type != NFT_MSG_DELTABLE && type != NFT_MSG_DELCHAIN && type != NFT_MSG_DELRULE && type != NFT_MSG_DELSETELEM))
		return false;
	size_t len = strlen(n->table) + 1;
	return h->nlmsg_len >= head + sizeof *a + len && (a->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME &&
		a->nla_len >= sizeof *a + len && !memcmp(a + 1, n->table, len);
}

/* Reads all that was told. True: some of it hurts, or the kernel had to drop some. */
static bool read_told(struct net *n, const struct watch *w, bool (*hurt)(struct net *, const struct nlmsghdr *))
{
	bool bad = false;
	for (;;) {
		ssize_t len = recv(w->fd, told, sizeof told, MSG_DONTWAIT);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			bad = true;
			continue;
		}
		if (len <= 0)
			return bad;
		int left = (int)len;
		for (struct nlmsghdr *h = (void *)told; NLMSG_OK(h, (unsigned)left); h = next(h, &left))
			bad |= hurt(n, h);
	}
}

static bool bridge_intact(struct net *n)
{
	struct link_info l;
	return !link_find(n->links, n->bridge, &l) && l.index == n->bridge_index && l.up;
}

static int same(void *arg, const struct net_addr *a)
{
	return addr_same(arg, a) && ((const struct net_addr *)arg)->prefix == a->prefix;
}

static bool has_gateways(struct net *n)
{
	bool all = true;
	for (int i = 0; i < 2; i++)
		if (addr_is(&n->gateway[i]))
			all &= link_each_addr(n->links, n->gateway[i].family, n->bridge_index, same, &n->gateway[i], NULL) == 1;
	return all;
}

static void look(struct net *n)
{
	if (!read_told(n, &links, bridge_hurt) || !n->bridge_index)
		return;
	if (!bridge_intact(n)) {
		bridge_lost(n);
		lost(n, "the bridge");
	} else if (n->bridge_whole && !has_gateways(n)) {
		n->bridge_whole = false; /* but the link itself is ours still */
		lost(n, "an address of the bridge");
	}
}

static void on_links(struct watch *w UNUSED, uint32_t events UNUSED)
{
	look(&net_self);
}

/* Of the attributes behind ifinfomsg the one of that type: its offset, or 0. */
#define FIND_ATTR(type) \
	BPF_STMT(BPF_LD | BPF_IMM, sizeof(struct nlmsghdr) + sizeof(struct ifinfomsg)), BPF_STMT(BPF_LDX | BPF_IMM, type), \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)SKF_AD_OFF + SKF_AD_NLATTR)
#define LOAD_ATTR BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct rtattr))

/* The kernel tells of every link and address of the host, several times for each pod. The filter lets through what is of the bridge
 * (links and addresses have its index at the same place), and of links of our group those that are deleted, down, or not in the
 * bridge. It reads numbers in network order. */
void watch_bridge(struct net *n)
{
	const unsigned head = sizeof(struct nlmsghdr), bridge = htonl((uint32_t)n->bridge_index);
	_Static_assert(offsetof(struct ifinfomsg, ifi_index) == offsetof(struct ifaddrmsg, ifa_index), "one load serves both");
	enum { DROP = 21, PASS = 22 };
#define TO(target, here) ((target) - (here) - 1)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, head + offsetof(struct ifinfomsg, ifi_index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bridge, TO(PASS, 1), 0),
		FIND_ATTR(IFLA_GROUP), /* 2 3 4 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, TO(DROP, 5), 0),
		LOAD_ATTR, /* 6 7 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(net_group(n)), 0, TO(DROP, 8)),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), TO(PASS, 10), 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWLINK), 0, TO(DROP, 11)),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, head + offsetof(struct ifinfomsg, ifi_flags)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(IFF_UP), 0, TO(PASS, 13)),
		FIND_ATTR(IFLA_MASTER), /* 14 15 16 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, TO(PASS, 17), 0),
		LOAD_ATTR, /* 18 19 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bridge, TO(DROP, 20), TO(PASS, 20)),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, ~0u),
	};
	struct sock_fprog filter = { .len = ARRAY_LEN(code), .filter = code };
	setsockopt(links.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

/* A transaction's changes are told, and behind them who made it: by the name, as a number would be another PID namespace's. */
static bool by_us(const struct nlmsghdr *h)
{
	static const char me[] = "podfs-net";
	const char *at = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg)), *end = (const char *)h + h->nlmsg_len;
	struct nlattr a;
	for (; end - at >= (ptrdiff_t)sizeof a; at += NLMSG_ALIGN(a.nla_len)) {
		memcpy(&a, at, sizeof a);
		if (a.nla_len < sizeof a || end - at < a.nla_len)
			return false;
		if ((a.nla_type & NLA_TYPE_MASK) == NFTA_GEN_PROC_NAME)
			return a.nla_len >= sizeof a + sizeof me && !memcmp(at + sizeof a, me, sizeof me);
	}
	return false;
}

static bool changed; /* the transaction that is being told of has hurt the table */

static bool transaction_hurt(struct net *n, const struct nlmsghdr *h)
{
	changed |= table_hurt(n, h);
	if (h->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN))
		return false;
	bool bad = changed && !by_us(h);
	changed = false;
	return bad;
}

static void on_rules(struct watch *w, uint32_t events UNUSED)
{
	struct net *n = &net_self;
	if (!read_told(n, w, transaction_hurt) || !n->bridge_whole)
		return;
	nft_lost(n->nft);
	lost(n, "the nftables table");
}

void watch_pass(struct net *n)
{
	if (links.fd >= 0)
		look(n);
}

int watch_open(struct net *n, struct err *e)
{
	static const int addresses[] = { RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR };
	int r = listen_to(n, &links, NETLINK_ROUTE, RTNLGRP_LINK, on_links);
	for (size_t i = 0; !r && i < ARRAY_LEN(addresses); i++)
		r = setsockopt(links.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &addresses[i], sizeof addresses[i]) ? -errno : 0;
	int told_rules = r ? r : listen_to(n, &rules, NETLINK_NETFILTER, NFNLGRP_NFTABLES, on_rules);
	if (told_rules != -EPROTONOSUPPORT) /* a kernel without nftables */
		r = told_rules;
	return r ? err_sys(e, -r, "netlink") : 0;
}
