/* Changes of links, addresses and routes: see link_nl.h. */
#include "runtime/net/link_lib.h"

enum link_role { LINK_BRIDGE, LINK_PORT, LINK_IFB };

static struct rtnl_link *link_object(const char *kind, const char *name, const char *alias)
{
	struct rtnl_link *l = rtnl_link_alloc();
	if (l && kind && rtnl_link_set_type(l, kind)) {
		rtnl_link_put(l);
		return NULL;
	}
	if (l && name)
		rtnl_link_set_name(l, name);
	if (l && alias)
		rtnl_link_set_ifalias(l, alias);
	return l;
}

static void plan_link(struct link_sock *s, const char *what, struct rtnl_link *l, int flags)
{
	struct nl_msg *m = NULL;
	int built = l ? rtnl_link_build_add_request(l, flags, &m) : -1;
	link_plan(s, what, 0, built, m);
}

static int set_mac(struct rtnl_link *l, const unsigned char mac[6])
{
	_addr_ struct nl_addr *a = nl_addr_build(AF_LLC, mac, 6);
	if (!a)
		return -ENOMEM;
	rtnl_link_set_addr(l, a);
	return 0;
}

/* Settings of a bridge or of a port, which libnl-route has no words for. Kernels pass over those that they do not know. */
struct setting {
	int type;
	uint8_t value;
};

static void put_settings(struct nl_msg *m, int kind, int data, const struct setting *s, size_t n)
{
	struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO), *all;
	nla_put_string(m, kind, "bridge");
	all = nla_nest_start(m, data);
	for (size_t i = 0; i < n; i++)
		nla_put_u8(m, s[i].type, s[i].value);
	nla_nest_end(m, all);
	nla_nest_end(m, info);
}

static const struct setting of_bridge[] = { { IFLA_BR_MCAST_SNOOPING, 0 } };
static const struct setting of_port[] = {
	{ IFLA_BRPORT_MODE, 1 }, { IFLA_BRPORT_LEARNING, 0 }, { IFLA_BRPORT_UNICAST_FLOOD, 0 }, { IFLA_BRPORT_LOCKED, 1 },
};

/* Without a link-local address of the kernel's choice. */
static void set_quiet(struct rtnl_link *l)
{
	if (!access("/proc/sys/net/ipv6", F_OK))
		rtnl_link_inet6_set_addr_gen_mode(l, rtnl_link_inet6_str2addrgenmode("none"));
}

/* What can only be given to a link that is there.
 *
 * Bridge: multicast goes to all ports. To know better it would have to ask, at each new port, and a pod that has not answered
 * yet could not be found over IPv6.
 * Port: packets that a pod sends to its own published port come back by the port they came from where the host filters what it
 * bridges (br_netfilter): without hairpin the bridge drops them. Locked: it takes frames only from the MAC that the bridge was told
 * (plan_mac), so it need not learn any, nor be sent what is for a MAC that nobody has. It has no use for addresses of its own. */
static void plan_role(struct link_sock *s, const char *name, const char *alias, enum link_role role)
{
	_link_ struct rtnl_link *l = link_object(NULL, name, alias);
	struct nl_msg *m = NULL;
	if (l && role != LINK_BRIDGE)
		set_quiet(l);
	int built = l ? rtnl_link_build_add_request(l, 0, &m) : -1;
	if (role == LINK_BRIDGE && built >= 0)
		put_settings(m, IFLA_INFO_KIND, IFLA_INFO_DATA, of_bridge, ARRAY_LEN(of_bridge));
	if (role == LINK_PORT && built >= 0)
		put_settings(m, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA, of_port, ARRAY_LEN(of_port));
	link_plan(s, "alias", 0, built, m);
}

static void plan_up(struct link_sock *s, const char *name, int index)
{
	_link_ struct rtnl_link *l = link_object(NULL, name, NULL);
	if (l) {
		rtnl_link_set_ifindex(l, index);
		rtnl_link_set_flags(l, IFF_UP);
	}
	plan_link(s, "up", l, 0);
}

/* Which MAC an address has, for good. */
static void plan_neighbour(struct link_sock *s, int index, const struct net_addr *a, const unsigned char mac[6], bool add)
{
	_addr_ struct nl_addr *dst = nl_addr_build(a->family, a->bytes, addr_len(a)), *ll = nl_addr_build(AF_LLC, mac, 6);
	_neigh_ struct rtnl_neigh *n = rtnl_neigh_alloc();
	struct nl_msg *m = NULL;
	int built = -1;
	if (dst && ll && n) {
		rtnl_neigh_set_ifindex(n, index);
		rtnl_neigh_set_dst(n, dst);
		rtnl_neigh_set_lladdr(n, ll);
		rtnl_neigh_set_state(n, NUD_PERMANENT);
		built = add ? rtnl_neigh_build_add_request(n, NLM_F_CREATE | NLM_F_EXCL, &m) : rtnl_neigh_build_delete_request(n, 0, &m);
	}
	link_plan(s, "neighbour", add ? EEXIST : ENOENT, built, m);
}

static void plan_neighbours(struct link_sock *s, int index, const struct net_addr addr[2], const unsigned char mac[6], bool add)
{
	for (int i = 0; i < 2; i++)
		if (addr_is(&addr[i]))
			plan_neighbour(s, index, &addr[i], mac, add);
}

/* The kernel has looked for a module by then. */
static int without_kind(int r, const char *kind, struct err *e)
{
	return r == -EOPNOTSUPP ? err_set(e, EOPNOTSUPP, "this kernel has no links of kind %s, and no module for them", kind) : r;
}

/* Of the only MAC behind a port. */
static void plan_mac(struct link_sock *s, int port, const unsigned char mac[6])
{
	struct ndmsg head = { .ndm_family = AF_BRIDGE, .ndm_ifindex = port, .ndm_flags = NTF_MASTER, .ndm_state = NUD_NOARP };
	struct nl_msg *m = link_message(RTM_NEWNEIGH, &head, sizeof head);
	if (m)
		nlmsg_hdr(m)->nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
	link_plan(s, "MAC", 0, m ? nla_put(m, NDA_LLADDR, 6, mac) : -1, m);
}

static int commit_port(struct link_sock *s, const struct veth *v, struct err *e)
{
	int r = link_commit(s, NULL, e), port = r ? 0 : link_index(s, v->name);
	if (r || port < 0)
		return r ? r : err_sys(e, -port, "link %s", v->name);
	plan_mac(s, port, v->mac);
	return link_commit(s, NULL, e);
}

int link_add_veth(struct link_sock *s, const struct veth *v, struct err *e)
{
	_link_ struct rtnl_link *l = rtnl_link_veth_alloc();
	struct rtnl_link *peer = l ? rtnl_link_veth_get_peer(l) : NULL;
	if (!peer || set_mac(peer, v->mac) || set_mac(l, v->host_mac)) {
		if (peer)
			rtnl_link_veth_release(peer);
		return err_set(e, ENOMEM, "no memory");
	}
	rtnl_link_set_name(l, v->name);
	rtnl_link_set_master(l, v->master);
	rtnl_link_set_group(l, v->group);
	rtnl_link_set_num_tx_queues(l, 1);
	rtnl_link_set_num_rx_queues(l, 1);
	rtnl_link_set_name(peer, "eth0");
	rtnl_link_set_ns_fd(peer, v->peer_ns);
	rtnl_link_set_num_tx_queues(peer, 1);
	rtnl_link_set_num_rx_queues(peer, 1);
	rtnl_link_put(peer); /* l has its own reference */
	plan_link(s, "veth pair", l, NLM_F_CREATE | NLM_F_EXCL);
	plan_role(s, v->name, v->alias, LINK_PORT);
	plan_up(s, v->name, 0);
	plan_neighbours(s, v->master, v->addr, v->mac, true);
	return without_kind(commit_port(s, v, e), "veth", e);
}

int link_add(struct link_sock *s, const char *kind, const char *name, const char *alias, const unsigned char *mac, struct err *e)
{
	_link_ struct rtnl_link *l = link_object(kind, name, NULL);
	if (!l || (mac && set_mac(l, mac)))
		return err_set(e, ENOMEM, "no memory");
	plan_link(s, kind, l, NLM_F_CREATE | NLM_F_EXCL);
	plan_role(s, name, alias, strcmp(kind, "bridge") ? LINK_IFB : LINK_BRIDGE);
	plan_up(s, name, 0);
	return without_kind(link_commit(s, NULL, e), kind, e);
}

int link_set_up(struct link_sock *s, int index, struct err *e)
{
	plan_up(s, NULL, index);
	return link_commit(s, NULL, e);
}

int link_rename(struct link_sock *s, int index, const char *name, struct err *e)
{
	_link_ struct rtnl_link *down = link_object(NULL, NULL, NULL), *renamed = link_object(NULL, name, NULL);
	if (down) {
		rtnl_link_set_ifindex(down, index);
		rtnl_link_unset_flags(down, IFF_UP);
	}
	if (renamed)
		rtnl_link_set_ifindex(renamed, index);
	plan_link(s, "down", down, 0);
	plan_link(s, "name", renamed, 0);
	plan_up(s, NULL, index);
	return link_commit(s, NULL, e);
}

int link_set_master(struct link_sock *s, const struct veth *v, struct err *e)
{
	_link_ struct rtnl_link *l = link_object(NULL, v->name, NULL);
	if (l) {
		rtnl_link_set_master(l, v->master);
		rtnl_link_set_group(l, v->group);
	}
	plan_link(s, "master", l, 0);
	plan_role(s, v->name, v->alias, LINK_PORT);
	return commit_port(s, v, e);
}

int link_delete(struct link_sock *s, const char *name, struct err *e)
{
	_link_ struct rtnl_link *l = link_object(NULL, name, NULL);
	struct nl_msg *m = NULL;
	int built = l ? rtnl_link_build_delete_request(l, &m) : -1;
	link_plan(s, name, ENODEV, built, m);
	return link_commit(s, NULL, e);
}

static struct nl_addr *address(const struct net_addr *a)
{
	struct nl_addr *n = nl_addr_build(a->family, a->bytes, addr_len(a));
	if (n)
		nl_addr_set_prefixlen(n, a->prefix);
	return n;
}

/* Nobody else can have this address, so nobody is asked (IFA_F_NODAD). */
static void plan_addr(struct link_sock *s, int index, const struct net_addr *a)
{
	_addr_ struct nl_addr *local = address(a);
	_rtaddr_ struct rtnl_addr *ra = rtnl_addr_alloc();
	struct nl_msg *m = NULL;
	int built = -1;
	if (local && ra && !rtnl_addr_set_local(ra, local)) {
		rtnl_addr_set_ifindex(ra, index);
		if (a->family == AF_INET6)
			rtnl_addr_set_flags(ra, IFA_F_NODAD);
		built = rtnl_addr_build_add_request(ra, NLM_F_CREATE | NLM_F_EXCL, &m);
	}
	link_plan(s, "address", EEXIST, built, m);
}

static void plan_default_route(struct link_sock *s, int index, const struct net_addr *gateway)
{
	struct net_addr everything = { .family = gateway->family };
	_addr_ struct nl_addr *dst = address(&everything), *via = address(gateway);
	_route_ struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_msg *m = NULL;
	int built = -1;
	if (dst && via && route && hop) {
		nl_addr_set_prefixlen(via, (int)(8 * addr_len(gateway)));
		rtnl_route_nh_set_gateway(hop, via);
		rtnl_route_nh_set_ifindex(hop, index);
		rtnl_route_add_nexthop(route, take_ptr(hop));
		rtnl_route_set_family(route, (uint8_t)gateway->family);
		rtnl_route_set_dst(route, dst);
		built = rtnl_route_build_add_request(route, NLM_F_CREATE | NLM_F_EXCL, &m);
	}
	if (hop)
		rtnl_route_nh_free(hop);
	link_plan(s, "default route", EEXIST, built, m);
}

int link_neighbours(struct link_sock *s, int index, const struct net_addr addr[2], const unsigned char mac[6], bool add, struct err *e)
{
	plan_neighbours(s, index, addr, mac, add);
	return link_commit(s, NULL, e);
}

static void plan_quiet(struct link_sock *s, int index)
{
	_link_ struct rtnl_link *l = link_object(NULL, NULL, NULL);
	if (l) {
		rtnl_link_set_ifindex(l, index);
		set_quiet(l);
	}
	plan_link(s, "address mode", l, 0);
}

int link_add_addrs(struct link_sock *s, const struct link_addrs *a, int *added, struct err *e)
{
	int always = 1 + (a->local != NULL); /* a link that is up can be set up, and so on */
	if (a->local)
		plan_quiet(s, a->index);
	plan_up(s, NULL, a->index);
	if (a->local && addr_is(a->local))
		plan_addr(s, a->index, a->local);
	for (int i = 0; i < 2; i++)
		if (addr_is(&a->addr[i]))
			plan_addr(s, a->index, &a->addr[i]);
	for (int i = 0; i < 2 && a->gateway; i++)
		if (addr_is(&a->gateway[i]))
			plan_default_route(s, a->index, &a->gateway[i]);
	if (a->gateway)
		plan_neighbours(s, a->index, a->gateway, a->gateway_mac, true);
	int r = link_commit(s, added, e);
	if (!r && added)
		*added -= always;
	return r;
}
