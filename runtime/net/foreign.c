/* Rules of others that would drop what the pods send: looked for once the bridge stands, told in words, never touched.
 *
 * nftables' chains are read as nft lists them. The older iptables are read by the socket option that iptables-legacy uses, and
 * only where /proc says that there is such a table: asking for one would make it.
 */
#include "runtime/net/bridge.h"
#include "runtime/net/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#define LOOK_MS 50 /* some pods may be waiting */

static struct timer look;

/* --- nftables --- */

/* A rule without a condition. */
static bool drops_all(const char *rule)
{
	unsigned long long packets, bytes;
	int n = 0;
	if (sscanf(rule, "counter packets %llu bytes %llu %n", &packets, &bytes, &n) == 2)
		rule += n;
	return !strncmp(rule, "drop", 4) || !strncmp(rule, "reject", 6);
}

/* A base chain as nft lists it: whether its policy or its last rule takes what no rule before it accepted. */
static bool listed_drops(char *chain)
{
	char *save = NULL, *last = chain;
	bool policy = strstr(chain, "policy drop;");
	for (char *line = strtok_r(chain, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (*line != '}')
			last = line;
	}
	return policy || drops_all(last);
}

static void examine(struct nft *t, const char *table, const char *chain, const char *bridge, struct buf *out)
{
	char quoted[IFNAMSIZ + 2];
	_cleanup_buf_ struct buf list = { 0 };
	buf_printf(&list, "list chain %s %s", table, chain);
	_cleanup_free_ char *text = strdup(nft_list(t, &list));
	snprintf(quoted, sizeof quoted, "\"%s\"", bridge);
	if (text && !strstr(text, quoted) && listed_drops(text))
		buf_printf(out, "%schain %s of table %s", out->len ? ", " : "", chain, table);
}

/* Chains that drop what they forward unless one of their rules accepts it, and none names the bridge. */
static void look_at_nft(struct nft *t, const char *bridge, struct buf *out)
{
	_cleanup_buf_ struct buf list = { 0 };
	buf_puts(&list, "list chains");
	_cleanup_free_ char *text = strdup(nft_list(t, &list));
	char *save = NULL, table[256] = "", chain[256] = "";
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		char *brace = strstr(line, " {");
		if (brace)
			*brace = 0;
		if (!strncmp(line, "table ", 6))
			snprintf(table, sizeof table, "%s", line + 6);
		else if (!strncmp(line, "chain ", 6))
			snprintf(chain, sizeof chain, "%s", line + 6);
		else if (strstr(line, "hook forward ") && strncmp(table, "bridge ", 7))
			examine(t, table, chain, bridge, out);
	}
}

/* --- iptables --- */

/* Where IPv4 and IPv6 differ. */
static const struct legacy {
	const char *names, *words;
	int family, level, get_info, get_entries;
	size_t entry_size, in_at, out_at, target_at, next_at;
} legacies[] = {
	{ "/proc/self/net/ip_tables_names", "iptables", AF_INET, SOL_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
	  sizeof(struct ipt_entry), offsetof(struct ipt_entry, ip.iniface), offsetof(struct ipt_entry, ip.outiface),
	  offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset) },
	{ "/proc/self/net/ip6_tables_names", "ip6tables", AF_INET6, SOL_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
	  sizeof(struct ip6t_entry), offsetof(struct ip6t_entry, ipv6.iniface), offsetof(struct ip6t_entry, ipv6.outiface),
	  offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset) },
};

static bool has_filter(const char *names)
{
	_cleanup_buf_ struct buf b = { 0 };
	return !read_file_at(AT_FDCWD, names, 4096, &b) && strstr(buf_str(&b), "filter\n");
}

static uint16_t u16_at(const unsigned char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* The entries, whose first is at begin and whose last (the policy) at end of the forward chain: the policy drops and none of the
 * entries names the bridge. */
static bool chain_drops(const struct legacy *y, const unsigned char *entries, size_t size, size_t begin, size_t end, const char *bridge)
{
	struct xt_standard_target policy;
	for (size_t at = begin; at < end && at + y->entry_size <= size; at += u16_at(entries + at + y->next_at)) {
		const char *e = (const char *)entries + at;
		if (!strncmp(e + y->in_at, bridge, IFNAMSIZ) || !strncmp(e + y->out_at, bridge, IFNAMSIZ) ||
		    !u16_at(entries + at + y->next_at))
			return false;
	}
	if (end + y->entry_size > size || end + u16_at(entries + end + y->target_at) + sizeof policy > size)
		return false;
	memcpy(&policy, entries + end + u16_at(entries + end + y->target_at), sizeof policy);
	return !policy.target.u.user.name[0] && policy.verdict == -NF_DROP - 1;
}

/* struct ipt_getinfo and ipt_get_entries are the same for both families. */
static bool legacy_drops(const struct legacy *y, const char *bridge)
{
	struct ipt_getinfo info = { .name = "filter" };
	socklen_t len = sizeof info;
	_cleanup_close_ int fd = socket(y->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (!has_filter(y->names) || fd < 0 || getsockopt(fd, y->level, y->get_info, &info, &len))
		return false;
	len = (socklen_t)(sizeof(struct ipt_get_entries) + info.size);
	_cleanup_free_ struct ipt_get_entries *all = calloc(1, len);
	if (!all)
		return false;
	strcpy(all->name, "filter");
	all->size = info.size;
	if (getsockopt(fd, y->level, y->get_entries, all, &len))
		return false;
	return chain_drops(y, (const unsigned char *)all->entrytable, info.size, info.hook_entry[NF_INET_FORWARD],
		info.underflow[NF_INET_FORWARD], bridge);
}

static void on_look(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	_cleanup_buf_ struct buf b = { 0 };
	look_at_nft(n->nft, n->bridge, &b);
	for (size_t i = 0; i < ARRAY_LEN(legacies); i++)
		if (addr_is(&n->subnet[i]) && legacy_drops(&legacies[i], n->bridge))
			buf_printf(&b, "%schain FORWARD of %s", b.len ? ", " : "", legacies[i].words);
	if (b.len)
		server_event(n, N_EVENT, NULL, "this host's firewall may drop what pods send and receive (%s): "
			"it needs a rule that accepts what comes from and goes to %s", buf_str(&b), n->bridge);
}

void foreign_look_later(struct net *n)
{
	look.fn = on_look;
	timer_arm(&n->loop, &look, LOOK_MS);
}
