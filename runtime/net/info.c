/* What people want to know of the pods' network: N_INFO, lines `key value`. */
#include "runtime/net/names.h"
#include "runtime/net/nft.h"
#include "runtime/net/private.h"

#include <string.h>

static char told[1024];

static void put_subnets(const struct net *n, struct buf *b)
{
	char text[NET_ADDR_TEXT];
	for (int i = 0; i < 2; i++) {
		bool known = addr_is(&n->subnet[i]) || !n->choice[i].automatic;
		buf_printf(b, "subnet%c %s\n", i ? '6' : '4', known ? addr_text_prefix(&n->subnet[i], text) : "auto");
	}
	for (int i = 0; i < 2; i++)
		if (addr_is(&n->gateway[i]))
			buf_printf(b, "gateway%c %s\n", i ? '6' : '4', addr_text(&n->gateway[i], text));
}

void info_tell(struct net *n)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct wire_out o = { 0 };
	buf_printf(&b, "bridge %s\nup %s\n", n->bridge, n->bridge_whole ? "yes" : "no");
	put_subnets(n, &b);
	buf_printf(&b, "table %s\ndns %s\n", nft_missing(n->nft) ? "none" : n->table, names_served() ? "dnsmasq" : "none");
	if (n->server.watch.fd < 0 || buf_status(&b) || !strcmp(buf_str(&b), told))
		return;
	snprintf(told, sizeof told, "%s", buf_str(&b));
	wire_begin(&o, (enum wire_op)N_INFO, 0);
	wire_str(&o, K_TEXT, told);
	server_send(n, &o);
}

void info_forget(struct net *n UNUSED)
{
	*told = 0;
}
