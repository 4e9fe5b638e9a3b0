/* The nftables table beside the bridge: see bridge.h.
 *
 * It is made when the first pod has its network already: what it does for pods without published ports (masquerade, and the way to
 * dnsmasq) is wanted some ms later, and libnftables takes these to begin.
 */
#include "runtime/net/bridge.h"
#include "runtime/net/guard.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"

static struct timer later;

static void tell_missing(struct net *n)
{
	static bool told;
	if (nft_missing(n->nft) && !told)
		server_event(n, N_EVENT, NULL, "this kernel has no nftables, or lacks a part of it: pods reach each other and this host, "
			"but nothing beyond, and their ports cannot be published");
	told = nft_missing(n->nft);
}

int table_ensure(struct net *n, struct err *e)
{
	if (nft_ready(n->nft))
		return 0;
	names_choose_port(n);
	struct nft_net net = { .bridge = n->bridge, .subnet = n->subnet, .gateway = n->gateway, .dns_port = n->dns_port };
	int r = nft_ensure(n->nft, &net, e);
	guard_lost();
	if (!r)
		r = guard_ensure(n, e);
	watch_pass(n);
	if (r)
		return r;
	tell_missing(n);
	names_start_later(n);
	info_tell(n);
	return 0;
}

static void on_later(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	struct err e = { 0 };
	if (n->bridge_whole && table_ensure(n, &e))
		server_event(n, N_EVENT, NULL, "the pods' nftables table: %s", e.text);
}

void table_later(struct net *n)
{
	later.fn = on_later;
	if (!nft_ready(n->nft) && !later.at_ns)
		timer_arm(&n->loop, &later, 0);
}
