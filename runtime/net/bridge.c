/* The bridge: see bridge.h. */
#include "runtime/net/bridge.h"

#include "runtime/net/guard.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"
#include "runtime/net/subnet.h"

#include <errno.h>
#include <string.h>

#define TRIES 4 /* of two who choose the same subnet again and again */

static void bridge_alias(const struct net *n, char out[LINK_ALIAS])
{
	snprintf(out, LINK_ALIAS, "podfs: pods of %s", n->run);
}

bool bridge_is_former(const struct net *n, const struct link_info *l)
{
	char alias[LINK_ALIAS];
	bridge_alias(n, alias);
	return !strcmp(l->kind, "bridge") && !strcmp(l->alias, alias) && strcmp(l->name, n->bridge);
}

/* --- subnets, and what the host has already --- */

struct overlap {
	struct net *n;
	const struct net_addr *subnet;
	struct err *e;
};

/* One that leads nowhere is in the way as far as it is the more special one: where it is the wider one it says that nobody has more. */
static int check_route(void *arg, const struct link_route *r)
{
	const struct overlap *o = arg;
	char mine[NET_ADDR_TEXT], theirs[NET_ADDR_TEXT], name[IFNAMSIZ] = "another way";
	if (r->dst.family != o->subnet->family || (r->link && r->link == o->n->bridge_index) || !addr_overlap(&r->dst, o->subnet) ||
	    (r->nowhere && r->dst.prefix < o->subnet->prefix))
		return 0;
	if (r->link && !r->nowhere)
		if_indextoname((unsigned)r->link, name);
	return err_set(o->e, EADDRNOTAVAIL, "subnet %s of the pods overlaps with %s, which this host %s%s; choose another in the config",
		addr_text_prefix(o->subnet, mine), addr_text_prefix(&r->dst, theirs), r->nowhere ? "makes unreachable" : "reaches by ",
		r->nowhere ? "" : name);
}

static int check_subnet(struct net *n, int i, struct err *e)
{
	struct overlap o = { n, &n->subnet[i], e };
	return addr_is(o.subnet) ? link_each_route(n->links, o.subnet->family, check_route, &o, e) : 0;
}

/* What is `auto` moves on until it fits: not where pods have addresses already. */
static int settle_subnet(struct net *n, int i, struct err *e)
{
	const struct net_addr kept = n->choice[i].kept;
	char old[NET_ADDR_TEXT], new[NET_ADDR_TEXT];
	int r;
	while ((r = check_subnet(n, i, e)) == -EADDRNOTAVAIL && !n->subnets_used && subnet_next(n, i))
		;
	if (!r && addr_is(&kept) && n->choice[i].automatic && !addr_same(&kept, &n->subnet[i]))
		server_event(n, N_EVENT, NULL, "this host has come to use %s, the pods' subnet: new pods get addresses of %s",
			addr_text_prefix(&kept, old), addr_text_prefix(&n->subnet[i], new));
	return r;
}

static int settle_subnets(struct net *n, struct err *e)
{
	int r = settle_subnet(n, 0, e);
	return r ? r : settle_subnet(n, 1, e);
}

/* --- making --- */

/* A fixed one: a bridge without takes that of some port, and another one when that port goes. */
static int make(struct net *n, const char *alias, struct err *e)
{
	unsigned char mac[6];
	int r = settle_subnets(n, e);
	net_mac(n->gateway, mac);
	return r ? r : link_add(n->links, "bridge", n->bridge, alias, mac, e);
}

static int keep_former(void *arg, const struct link_info *l)
{
	struct overlap *o = arg; /* its n and e */
	return bridge_is_former(o->n, l) ? link_rename(o->n->links, l->index, o->n->bridge, o->e) ?: 1 : 0;
}

/* The config has come to have another name for the bridge: pods stay where they are, in the same one. 1: there was one. */
static int take_former(struct net *n, struct err *e)
{
	struct overlap o = { .n = n, .e = e };
	return link_each(n->links, keep_former, &o, e);
}

static int find_or_make(struct net *n, bool *made, struct err *e)
{
	char alias[LINK_ALIAS];
	struct link_info l;
	bridge_alias(n, alias);
	int r = link_find(n->links, n->bridge, &l);
	if (r == -ENODEV) {
		r = take_former(n, e);
		if (!r) {
			r = make(n, alias, e);
			*made = !r;
		}
		if (r >= 0)
			r = link_find(n->links, n->bridge, &l);
	}
	if (r)
		return r == -ENODEV || !e->code ? err_sys(e, -r, "link %s", n->bridge) : r;
	if (strcmp(l.kind, "bridge") || strcmp(l.alias, alias))
		return err_set(e, EEXIST, "there is a link %s already that is not this podfs' (alias: %s); choose another name in the config",
			n->bridge, *l.alias ? l.alias : "none");
	n->bridge_index = l.index;
	watch_bridge(n);
	if (!*made)
		r = subnet_adopt(n, e);
	if (r)
		return r;
	return l.up ? 0 : link_set_up(n->links, l.index, e);
}

/* Those that were in a bridge of this name before. */
static int take_back_pods(struct net *n, struct err *e)
{
	int r = 0;
	for (struct attachment *a = n->pods; a && !r; a = a->next) {
		char alias[LINK_ALIAS];
		struct veth v;
		pod_veth(n, a, alias, &v);
		if (link_index(n->links, a->veth) > 0)
			r = link_set_master(n->links, &v, e);
		if (!r)
			r = link_neighbours(n->links, n->bridge_index, a->addr, v.mac, true, e);
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

/* Somebody may have chosen the same subnet at the same time: now that our route is there, one of us at least sees the other. */
static int look_again(struct net *n, struct err *e)
{
	int r = check_subnet(n, 0, e);
	if (!r)
		r = check_subnet(n, 1, e);
	if (r == -EADDRNOTAVAIL) {
		link_delete(n->links, n->bridge, NULL);
		bridge_lost(n);
	}
	return r;
}

static int raise_bridge(struct net *n, struct err *e)
{
	for (int tries = 0;; tries++) {
		bool made = false;
		int r = n->bridge_index ? 0 : find_or_make(n, &made, e);
		if (!r)
			r = complete(n, e);
		if (r || !made)
			return r;
		r = look_again(n, e);
		if (r != -EADDRNOTAVAIL || tries == TRIES)
			return r;
	}
}

static int ensure(struct net *n, struct err *e)
{
	int r = subnet_load(n, e);
	if (!r && !n->bridge_whole)
		r = raise_bridge(n, e);
	return r ? r : subnet_keep(n, e);
}

int bridge_ensure(struct net *n, struct err *e)
{
	struct err local = { 0 };
	int r = ensure(n, &local);
	if (r) {
		bridge_lost(n);
		if (e)
			*e = local;
		return r;
	}
	table_later(n);
	if (n->bridge_whole)
		return 0;
	n->bridge_whole = n->subnets_used = true;
	names_start_later(n);
	foreign_look_later(n);
	watch_pass(n);
	info_tell(n);
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
	n->subnets_used = false;
	subnet_reset(n);
	names_end(n); /* it takes a while, as the bridge does */
	r = guard_remove(n, e);
	if (!r)
		r = nft_remove(n->nft, e);
	if (!r && ours)
		r = link_delete(n->links, n->bridge, e);
	names_stop(n);
	return r;
}
