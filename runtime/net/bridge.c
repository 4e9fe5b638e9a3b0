/* The bridge: see bridge.h. */
#include "runtime/net/bridge.h"

#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"

#include <errno.h>
#include <string.h>

static void bridge_alias(const struct net *n, char out[LINK_ALIAS])
{
	snprintf(out, LINK_ALIAS, "podfs: pods of %s", n->run);
}

/* --- what the host has already --- */

struct overlap {
	struct net *n;
	const struct net_addr *subnet;
	struct err *e;
};

static int check_route(void *arg, const struct link_route *r)
{
	const struct overlap *o = arg;
	char mine[NET_ADDR_TEXT], theirs[NET_ADDR_TEXT], name[IFNAMSIZ] = "";
	if (r->dst.family != o->subnet->family || r->link == o->n->bridge_index || !addr_overlap(&r->dst, o->subnet))
		return 0;
	if (r->link)
		if_indextoname((unsigned)r->link, name);
	return err_set(o->e, EADDRINUSE, "subnet %s of the pods overlaps with %s, which this host reaches by %s; choose another in the config",
		addr_text_prefix(o->subnet, mine), addr_text_prefix(&r->dst, theirs), *name ? name : "another way");
}

static int check_overlap(struct net *n, struct err *e)
{
	int r = 0;
	for (int i = 0; i < 2 && !r; i++) {
		struct overlap o = { n, &n->subnet[i], e };
		if (addr_is(o.subnet))
			r = link_each_route(n->links, o.subnet->family, check_route, &o, e);
	}
	return r;
}

/* --- making --- */

/* A fixed one: a bridge without takes that of some port, and another one when that port goes. */
static int make(struct net *n, const char *alias, struct err *e)
{
	unsigned char mac[6];
	int r = check_overlap(n, e);
	net_mac(n->gateway, mac);
	return r ? r : link_add(n->links, "bridge", n->bridge, alias, mac, e);
}

static int find_or_make(struct net *n, struct err *e)
{
	char alias[LINK_ALIAS];
	struct link_info l;
	bridge_alias(n, alias);
	int r = link_find(n->links, n->bridge, &l);
	if (r == -ENODEV) {
		r = make(n, alias, e);
		if (!r)
			r = link_find(n->links, n->bridge, &l);
	}
	if (r)
		return r == -ENODEV || !e->code ? err_sys(e, -r, "link %s", n->bridge) : r;
	if (strcmp(l.kind, "bridge") || strcmp(l.alias, alias))
		return err_set(e, EEXIST, "there is a link %s already that is not this podfs' (alias: %s); choose another name in the config",
			n->bridge, *l.alias ? l.alias : "none");
	n->bridge_index = l.index;
	watch_bridge(n);
	return l.up ? 0 : link_set_up(n->links, l.index, e);
}

/* Those that were in a bridge of this name before. */
static int take_back_pods(struct net *n, struct err *e)
{
	int r = 0;
	for (struct attachment *a = n->pods; a && !r; a = a->next) {
		struct link_info l;
		char alias[LINK_ALIAS];
		unsigned char mac[6];
		net_alias(n, a, alias);
		net_mac(a->addr, mac);
		if (!link_find(n->links, a->veth, &l) && l.master != n->bridge_index)
			r = link_set_master(n->links, a->veth, alias, n->bridge_index, e);
		if (!r)
			r = link_neighbours(n->links, n->bridge_index, a->addr, mac, true, e);
	}
	return r;
}

static int complete(struct net *n, struct err *e)
{
	struct link_addrs gateways = { .index = n->bridge_index, .addr = n->gateway };
	int r = forward_on(n, e);
	if (!r)
		r = link_add_addrs(n->links, &gateways, NULL, e);
	if (!r)
		r = take_back_pods(n, e);
	return r;
}

int bridge_ensure(struct net *n, struct err *e)
{
	struct err local = { 0 };
	int r = n->bridge_index ? 0 : find_or_make(n, &local);
	if (!r && !n->bridge_whole)
		r = complete(n, &local);
	if (!r)
		r = nft_ensure(n->nft, n->bridge, n->subnet, &local);
	if (r) {
		bridge_lost(n);
		if (e)
			*e = local;
		return r;
	}
	if (n->bridge_whole)
		return 0;
	n->bridge_whole = true;
	names_start_later(n);
	foreign_look_later(n);
	watch_pass(n);
	return 0;
}

void bridge_lost(struct net *n)
{
	n->bridge_index = 0;
	n->bridge_whole = false;
}

/* --- removing --- */

struct ports {
	int bridge;
	unsigned count;
};

static int count_port(void *arg, const struct link_info *l)
{
	struct ports *p = arg;
	p->count += p->bridge && l->master == p->bridge;
	return 0;
}

int bridge_remove(struct net *n, struct err *e)
{
	char alias[LINK_ALIAS];
	struct link_info l = { 0 };
	bridge_alias(n, alias);
	int r = link_find(n->links, n->bridge, &l);
	if (r && r != -ENODEV)
		return err_sys(e, -r, "link %s", n->bridge);
	bool ours = !r && !strcmp(l.alias, alias);
	struct ports p = { .bridge = ours ? l.index : 0 };
	r = link_each(n->links, count_port, &p, e);
	if (r || p.count)
		return r ? r : err_set(e, EBUSY, "link %s still has %u ports", n->bridge, p.count);
	bridge_lost(n);
	names_stop(n);
	r = nft_remove(n->nft, e);
	if (r || !ours)
		return r;
	return link_delete(n->links, n->bridge, e);
}
