/* What a pod may send: see guard.h. */
#include "runtime/net/guard.h"

#include "runtime/net/nft.h"

#include <errno.h>
#include <string.h>

#define BLOCK 64  /* host numbers */
#define AHEAD 16  /* so many before the end of a block the next one is filled */
#define NOISE "300/second burst 1000 packets" /* each goes to every pod */

static struct {
	bool there, missing, told;
	struct buf blocks;   /* uint64_t each: their numbers */
	struct timer ahead;
	uint64_t next;       /* block to be filled ahead */
} guard;

static bool ready(void)
{
	return guard.there || guard.missing;
}

/* --- elements --- */

static bool has_block(uint64_t number)
{
	const uint64_t *b = (const void *)guard.blocks.data;
	for (size_t i = 0; i < guard.blocks.len / sizeof *b; i++)
		if (b[i] == number)
			return true;
	return false;
}

static void put_mac(struct buf *b, const unsigned char mac[6])
{
	buf_printf(b, "%02x:%02x:%02x:%02x:%02x:%02x . ", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* In neighbour advertisements it is no address for nft, but a number. */
static void put_number(struct buf *b, const struct net_addr *a)
{
	buf_puts(b, "0x");
	for (int i = 0; i < 16; i++)
		buf_printf(b, "%02x", a->bytes[i]);
	buf_puts(b, ", ");
}

/* One host number's part of a set. */
static void put_host(struct buf *b, const struct net_addr addr[2], int set)
{
	char text[NET_ADDR_TEXT];
	unsigned char mac[6];
	struct net_addr local;
	net_mac(addr, mac);
	net_link_local(mac, &local);
	const struct net_addr *const one[] = { &addr[set > 0], set > 0 ? &local : NULL };
	for (size_t i = 0; i < ARRAY_LEN(one) && one[i]; i++) {
		put_mac(b, mac);
		if (set == 2)
			put_number(b, one[i]);
		else
			buf_printf(b, "%s, ", addr_text(one[i], text));
	}
}

static const char *const sets[] = { "pods4", "pods6", "advertised6" };

static void put_block(const struct net *n, struct buf *b, uint64_t number)
{
	for (int set = 0; set < (int)ARRAY_LEN(sets); set++) {
		if (!addr_is(&n->subnet[set > 0]))
			continue;
		buf_printf(b, "add element bridge %s %s { ", n->table, sets[set]);
		for (uint64_t host = number * BLOCK; host < (number + 1) * BLOCK; host++) {
			struct net_addr addr[2];
			if (host > 1 && !addr_host(&n->subnet[0], host, &addr[0]) && !addr_host(&n->subnet[1], host, &addr[1]))
				put_host(b, addr, set);
		}
		buf_puts(b, "}\n");
	}
}

static void note_block(uint64_t number)
{
	if (!has_block(number))
		buf_put(&guard.blocks, &number, sizeof number);
}

static int fill(struct net *n, uint64_t number, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	put_block(n, &b, number);
	int r = nft_run(n->nft, &b, e);
	watch_pass(n);
	if (!r)
		note_block(number);
	return r;
}

static void on_ahead(struct timer *t UNUSED)
{
	if (guard.there && !has_block(guard.next))
		fill(&net_self, guard.next, NULL);
}

int guard_cover(struct net *n, uint64_t host, struct err *e)
{
	int r = !guard.there || has_block(host / BLOCK) ? 0 : fill(n, host / BLOCK, e);
	guard.next = (host + AHEAD) / BLOCK;
	guard.ahead.fn = on_ahead;
	if (!r && guard.there && !has_block(guard.next) && !guard.ahead.at_ns)
		timer_arm(&n->loop, &guard.ahead, 0);
	return r;
}

/* --- the table --- */

/* What is not for a pod to say. Routers and redirects; and what nobody answers and all would hear: who looks for a router, who
 * listens to what. */
static const char *const control6[] = {
	"icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report, "
	"nd-router-solicit, nd-router-advert, nd-redirect } drop",
	"icmpv6 type nd-neighbor-advert ether saddr . @th,64,128 != @advertised6 drop",
};

static const char *const own6[] = {
	"ip6 saddr :: icmpv6 type nd-neighbor-solicit accept",
	"ether saddr . ip6 saddr @pods6 accept",
};

static const char *const own4[] = {
	"ether saddr . ip saddr @pods4 accept",
	"arp saddr ip 0.0.0.0 accept",
	"arp saddr ether . arp saddr ip @pods4 accept",
};

static void put_rules(const struct net *n, struct buf *b, const char *const *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(b, "add rule bridge %s pods %s\n", n->table, rules[i]);
}

static void put_table(const struct net *n, struct buf *b)
{
	const char *t = n->table;
	buf_printf(b, "add table bridge %s { comment \"podfs: what pods on %s may send\"; }\n", t, n->bridge);
	buf_printf(b, "add set bridge %s pods4 { typeof ether saddr . ip saddr; }\n", t);
	buf_printf(b, "add set bridge %s pods6 { typeof ether saddr . ip6 saddr; }\n", t);
	buf_printf(b, "add set bridge %s advertised6 { typeof ether saddr . @th,64,128; }\n", t);
	buf_printf(b, "add set bridge %s noise { type ifname; size 65535; flags dynamic, timeout; timeout 10s; }\n", t);
	buf_printf(b, "add chain bridge %s pods { type filter hook prerouting priority -300; policy accept; }\n", t);
	buf_printf(b, "flush chain bridge %s pods\n", t);
	buf_printf(b, "add rule bridge %s pods iifgroup != %u return\n", t, net_group(n));
	put_rules(n, b, control6, ARRAY_LEN(control6));
	buf_printf(b, "add rule bridge %s pods meta pkttype { broadcast, multicast } update @noise { iifname limit rate over " NOISE " } drop\n", t);
	if (addr_is(&n->subnet[1]))
		put_rules(n, b, own6, ARRAY_LEN(own6));
	if (addr_is(&n->subnet[0]))
		put_rules(n, b, own4, ARRAY_LEN(own4));
	buf_printf(b, "add rule bridge %s pods drop\n", t);
}

static int make(struct net *n, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_free(&guard.blocks);
	put_table(n, &b);
	note_block(0);
	for (const struct attachment *a = n->pods; a; a = a->next)
		note_block(a->host / BLOCK);
	const uint64_t *blocks = (const void *)guard.blocks.data;
	for (size_t i = 0; i < guard.blocks.len / sizeof *blocks; i++)
		put_block(n, &b, blocks[i]);
	return buf_status(&guard.blocks) ? err_set(e, ENOMEM, "no memory") : nft_run(n->nft, &b, e);
}

int guard_ensure(struct net *n, struct err *e)
{
	if (ready())
		return 0;
	int r = make(n, e);
	guard.missing = nft_is_lack(r);
	guard.there = !r;
	if (guard.missing && !guard.told && !nft_missing(n->nft))
		server_event(n, N_EVENT, NULL, "this kernel's nftables does not look into bridges: a pod can pretend to have another pod's address");
	guard.told = guard.missing;
	return guard.missing ? 0 : r;
}

bool guard_stands(void)
{
	return guard.there;
}

void guard_lost(void)
{
	guard.there = guard.missing = false;
}

int guard_remove(struct net *n, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_printf(&b, "add table bridge %s\ndelete table bridge %s\n", n->table, n->table);
	timer_stop(&n->loop, &guard.ahead);
	int r = nft_run(n->nft, &b, e);
	guard_lost();
	buf_free(&guard.blocks);
	return nft_is_lack(r) ? 0 : r;
}
