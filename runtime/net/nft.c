/* The nftables table of the pods: see nft.h. A pod without published ports costs no transaction. */
#include "runtime/net/nft.h"

#include "runtime/base/util.h"
#include "runtime/net/nft_talk.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#define UID_MAX 40

struct nft_port_list {
	struct nft_port *p;
	size_t n;
};

struct pod_ports {
	struct pod_ports *next;
	char uid[UID_MAX];
	struct nft_port_list list;
};

struct nft {
	struct nft_talk talk;
	const char *table;
	bool there; /* the table stands, as far as we know */
	bool missing; /* this kernel cannot have it */
	char bridge[IFNAMSIZ];
	struct net_addr subnet[2], gateway[2];
	uint16_t dns_port;
	struct pod_ports *pods;
	struct nft_port_list strangers; /* elements that were there before us and that nobody has asked for yet */
};

static const struct map {
	const char *name, *type;
	sa_family_t family;
	bool any; /* its keys have no address */
} maps[] = {
	{ "published4", "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service", AF_INET, false },
	{ "published_any4", "inet_proto . inet_service : ipv4_addr . inet_service", AF_INET, true },
	{ "published6", "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service", AF_INET6, false },
	{ "published_any6", "inet_proto . inet_service : ipv6_addr . inet_service", AF_INET6, true },
};

int nft_open(struct nft **out, const char *table, struct err *e)
{
	struct nft *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, ENOMEM, "no memory");
	t->table = table;
	*out = t;
	return 0;
}

bool nft_missing(const struct nft *t)
{
	return t->missing;
}

int nft_run(struct nft *t, const struct buf *commands, struct err *e)
{
	return nft_say(&t->talk, commands, e);
}

const char *nft_list(struct nft *t, const struct buf *command)
{
	return nft_hear(&t->talk, command);
}

static void forget_all(struct nft *t)
{
	while (t->pods) {
		struct pod_ports *p = t->pods;
		t->pods = p->next;
		free(p->list.p);
		free(p);
	}
	free(t->strangers.p);
	t->strangers = (struct nft_port_list){ 0 };
}

void nft_close(struct nft **t)
{
	if (!*t)
		return;
	forget_all(*t);
	nft_talk_end(&(*t)->talk);
	free(*t);
	*t = NULL;
}

/* --- elements --- */

static bool any_address(const struct nft_port *p)
{
	static const unsigned char zero[16];
	return !memcmp(p->at.bytes, zero, sizeof zero);
}

static const struct map *map_of(const struct nft_port *p)
{
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		if (maps[i].family == p->pod.family && maps[i].any == any_address(p))
			return &maps[i];
	return &maps[0];
}

static bool same_key(const struct nft_port *a, const struct nft_port *b)
{
	return a->pod.family == b->pod.family && a->proto == b->proto && a->port == b->port &&
		!memcmp(a->at.bytes, b->at.bytes, sizeof a->at.bytes);
}

static bool same_port(const struct nft_port *a, const struct nft_port *b)
{
	return same_key(a, b) && a->pod_port == b->pod_port && addr_same(&a->pod, &b->pod);
}

static const struct nft_port *find_port(const struct nft_port_list *l, const struct nft_port *p,
					bool (*same)(const struct nft_port *, const struct nft_port *))
{
	for (size_t i = 0; i < l->n; i++)
		if (same(&l->p[i], p))
			return &l->p[i];
	return NULL;
}

static void put_element(struct nft *t, struct buf *b, const char *verb, const struct nft_port *p)
{
	char text[NET_ADDR_TEXT];
	struct net_addr at = p->at;
	at.family = p->pod.family;
	buf_printf(b, "%s element inet %s %s { ", verb, t->table, map_of(p)->name);
	if (!any_address(p))
		buf_printf(b, "%s . ", addr_text(&at, text));
	buf_printf(b, "%u . %u", p->proto, p->port);
	buf_printf(b, " : %s . %u }\n", addr_text(&p->pod, text), p->pod_port);
}

static void put_elements(struct nft *t, struct buf *b, const char *verb, const struct nft_port_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		put_element(t, b, verb, &l->p[i]);
}

/* --- the table --- */

/* In the table's other chain the same for what this host asks. */
static void put_dns(struct nft *t, struct buf *b, const char *chain)
{
	char gateway[NET_ADDR_TEXT];
	for (int i = 0; i < 2 && t->dns_port; i++) {
		if (!addr_is(&t->gateway[i]))
			continue;
		addr_text(&t->gateway[i], gateway);
		buf_printf(b, "add rule inet %s %s %s daddr %s meta l4proto { tcp, udp } th dport 53 dnat %s to %s%s%s:%u\n", t->table, chain,
			i ? "ip6" : "ip", gateway, i ? "ip6" : "ip", i ? "[" : "", gateway, i ? "]" : "", t->dns_port);
	}
}

static void put_output(struct nft *t, struct buf *b)
{
	buf_printf(b, "add chain inet %s output { type nat hook output priority -100; policy accept; }\n"
		"flush chain inet %s output\n", t->table, t->table);
	put_dns(t, b, "output");
}

static void put_prerouting(struct nft *t, struct buf *b)
{
	buf_printf(b, "add chain inet %s prerouting { type nat hook prerouting priority dstnat; policy accept; }\n"
		"flush chain inet %s prerouting\n"
		"add rule inet %s prerouting fib daddr type != local return\n", t->table, t->table, t->table);
	put_dns(t, b, "prerouting");
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		const char *ip = maps[i].family == AF_INET ? "ip" : "ip6";
		buf_printf(b, "add rule inet %s prerouting dnat %s to %s%s meta l4proto . th dport map @%s\n", t->table, ip,
			maps[i].any ? "" : ip, maps[i].any ? "" : " daddr .", maps[i].name);
	}
}

/* What leaves the subnet gets the host's address; and what came from a pod and was sent back to one, since that pod would answer
 * past us. */
static void put_postrouting(struct nft *t, struct buf *b)
{
	char net[NET_ADDR_TEXT];
	buf_printf(b, "add chain inet %s postrouting { type nat hook postrouting priority srcnat; policy accept; }\n"
		"flush chain inet %s postrouting\n", t->table, t->table);
	for (int i = 0; i < 2; i++) {
		if (!addr_is(&t->subnet[i]))
			continue;
		const char *ip = i ? "ip6" : "ip";
		addr_text_prefix(&t->subnet[i], net);
		buf_printf(b, "add rule inet %s postrouting %s saddr %s oifname != \"%s\" masquerade\n"
			"add rule inet %s postrouting %s saddr %s %s daddr %s ct status dnat masquerade\n",
			t->table, ip, net, t->bridge, t->table, ip, net, ip, net);
	}
}

static int make_table(struct nft *t, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_printf(&b, "add table inet %s { comment \"podfs: pods on %s\"; }\n", t->table, t->bridge);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		buf_printf(&b, "add map inet %s %s { type %s; }\n", t->table, maps[i].name, maps[i].type);
	put_prerouting(t, &b);
	put_output(t, &b);
	put_postrouting(t, &b);
	for (struct pod_ports *p = t->pods; p; p = p->next)
		put_elements(t, &b, "add", &p->list);
	int r = nft_say(&t->talk, &b, e);
	t->there = !r;
	return r;
}

/* ADDRESS . PROTO . PORT : ADDRESS . PORT, as nft prints an element. */
static int parse_element(const struct map *m, char *text, struct nft_port *out)
{
	struct nft_port p = { .at = { .family = m->family } };
	char *word[5], *save = NULL;
	int n = 0, want = m->any ? 4 : 5;
	for (char *w = strtok_r(text, " \t\n", &save); w && n < 5; w = strtok_r(NULL, " \t\n", &save))
		if (strcmp(w, ".") && strcmp(w, ":"))
			word[n++] = w;
	if (n != want || (!m->any && addr_parse(word[0], m->family, &p.at)) || addr_parse(word[n - 2], m->family, &p.pod))
		return -EINVAL;
	p.proto = (uint8_t)strtoul(word[n - 4], NULL, 10);
	p.port = (uint16_t)strtoul(word[n - 3], NULL, 10);
	p.pod_port = (uint16_t)strtoul(word[n - 1], NULL, 10);
	*out = p;
	return 0;
}

/* text: the table as nft prints it. */
static void find_strangers_of(const struct map *m, const char *text, struct buf *found)
{
	char head[64], *save = NULL;
	snprintf(head, sizeof head, "map %s {", m->name);
	const char *map = strstr(text, head), *begin = map ? strstr(map, "elements = {") : NULL, *next = map ? strstr(map + 1, "\tmap ") : NULL;
	if (!begin || (next && next < begin))
		return;
	begin += strlen("elements = {");
	_cleanup_free_ char *elements = strndup(begin, strcspn(begin, "}"));
	for (char *w = elements ? strtok_r(elements, ",", &save) : NULL; w; w = strtok_r(NULL, ",", &save)) {
		struct nft_port p;
		if (!parse_element(m, w, &p))
			buf_put(found, &p, sizeof p);
	}
}

static void find_strangers(struct nft *t)
{
	struct buf found = { 0 };
	_cleanup_buf_ struct buf list = { 0 };
	buf_printf(&list, "list table inet %s", t->table);
	const char *text = nft_hear(&t->talk, &list);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		find_strangers_of(&maps[i], text, &found);
	free(t->strangers.p);
	t->strangers = (struct nft_port_list){ (void *)found.data, found.len / sizeof(struct nft_port) };
}

bool nft_is_lack(int r)
{
	return r == -ENOENT || r == -EOPNOTSUPP || r == -EPROTONOSUPPORT || r == -EAFNOSUPPORT;
}

bool nft_ready(const struct nft *t)
{
	return t->there || t->missing;
}

int nft_ensure(struct nft *t, const struct nft_net *net, struct err *e)
{
	if (nft_ready(t))
		return 0;
	snprintf(t->bridge, sizeof t->bridge, "%s", net->bridge);
	memcpy(t->subnet, net->subnet, sizeof t->subnet);
	memcpy(t->gateway, net->gateway, sizeof t->gateway);
	t->dns_port = net->dns_port;
	if (!t->pods)
		find_strangers(t);
	int r = make_table(t, e);
	t->missing = nft_is_lack(r);
	if (t->missing)
		return 0;
	if (r != -EEXIST && r != -EBUSY)
		return r;
	/* Another version of us made it, with other maps. */
	r = nft_remove(t, e);
	return r ? r : make_table(t, e);
}

void nft_lost(struct nft *t)
{
	t->there = t->missing = false;
}

int nft_remove(struct nft *t, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_printf(&b, "add table inet %s\ndelete table inet %s\n", t->table, t->table);
	int r = nft_say(&t->talk, &b, e);
	if (nft_is_lack(r))
		r = 0;
	if (!r) {
		nft_lost(t);
		forget_all(t);
	}
	return r;
}

/* --- what is published --- */

static struct pod_ports *find_pod(struct nft *t, const char *uid)
{
	struct pod_ports *p = t->pods;
	while (p && strcmp(p->uid, uid))
		p = p->next;
	return p;
}

static int check_free(struct nft *t, const char *uid, const struct nft_port_list *new, struct err *e)
{
	for (struct pod_ports *p = t->pods; p; p = p->next)
		for (size_t i = 0; strcmp(p->uid, uid) && i < new->n; i++)
			if (find_port(&p->list, &new->p[i], same_key))
				return err_set(e, EADDRINUSE, "port %u is published by another pod", new->p[i].port);
	return 0;
}

/* From what stands in the table to what is wanted. */
static void put_difference(struct nft *t, struct buf *b, const struct nft_port_list *old, const struct nft_port_list *new)
{
	for (size_t i = 0; i < old->n; i++)
		if (!find_port(new, &old->p[i], same_port))
			put_element(t, b, "delete", &old->p[i]);
	for (size_t i = 0; i < new->n; i++) {
		const struct nft_port *stranger = find_port(&t->strangers, &new->p[i], same_key);
		if (stranger && !same_port(stranger, &new->p[i]))
			put_element(t, b, "delete", stranger);
		if (!find_port(old, &new->p[i], same_port))
			put_element(t, b, "add", &new->p[i]);
	}
}

static void adopt(struct nft *t, const struct nft_port_list *new)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->strangers.n; i++)
		if (!find_port(new, &t->strangers.p[i], same_key))
			t->strangers.p[kept++] = t->strangers.p[i];
	t->strangers.n = kept;
}

static int store(struct nft *t, struct pod_ports *pod, const char *uid, const struct nft_port_list *new)
{
	struct nft_port *copy = calloc(new->n + 1, sizeof *copy);
	if (!pod && copy)
		pod = calloc(1, sizeof *pod);
	if (!pod || !copy) {
		free(copy);
		return -ENOMEM;
	}
	if (!pod->uid[0]) {
		snprintf(pod->uid, sizeof pod->uid, "%s", uid);
		pod->next = t->pods;
		t->pods = pod;
	}
	if (new->n)
		memcpy(copy, new->p, new->n * sizeof *copy);
	free(pod->list.p);
	pod->list = (struct nft_port_list){ copy, new->n };
	return 0;
}

static void drop_empty(struct nft *t)
{
	for (struct pod_ports **p = &t->pods; *p;) {
		struct pod_ports *pod = *p;
		if (pod->list.n) {
			p = &pod->next;
			continue;
		}
		*p = pod->next;
		free(pod->list.p);
		free(pod);
	}
}

/* Somebody removed the table: it is made again with what was published, and then this once more. */
static int run_on_table(struct nft *t, const struct buf *commands, struct err *e)
{
	if (!commands->len)
		return 0;
	int r = nft_say(&t->talk, commands, e);
	if (r != -ENOENT || !t->bridge[0])
		return r;
	t->strangers.n = 0;
	r = make_table(t, e);
	return r ? r : nft_say(&t->talk, commands, e);
}

int nft_set_ports(struct nft *t, const char *uid, const struct nft_port *p, size_t n, struct err *e)
{
	struct pod_ports *pod = find_pod(t, uid);
	const struct nft_port_list new = { (struct nft_port *)(uintptr_t)p, n }, none = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	int r = n && t->missing ? err_set(e, EOPNOTSUPP, "this kernel has no nftables, or lacks a part of it: no port can be published") :
		check_free(t, uid, &new, e);
	if (r)
		return r;
	put_difference(t, &b, pod ? &pod->list : &none, &new);
	r = run_on_table(t, &b, e);
	if (r)
		return r;
	adopt(t, &new);
	r = store(t, pod, uid, &new);
	drop_empty(t);
	return r ? err_set(e, ENOMEM, "no memory") : 0;
}

int nft_forget_strangers(struct nft *t, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	put_elements(t, &b, "delete", &t->strangers);
	int r = b.len ? nft_say(&t->talk, &b, e) : 0;
	if (!r || r == -ENOENT)
		t->strangers.n = 0;
	return r == -ENOENT ? 0 : r;
}
