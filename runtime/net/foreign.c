/* Rules of others that would drop what the pods send: looked for once the bridge stands, told in words, never touched.
 *
 * nftables' chains are nft.c's to read. The older iptables are read here, by the socket option that iptables-legacy uses, and
 * only where /proc says that there is such a table: asking for one would make it.
 */
#include "runtime/net/bridge.h"
#include "runtime/net/nft.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

static struct timer look;

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
	nft_foreign_drop(n->nft, n->bridge, &b);
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
	timer_arm(&n->loop, &look, 0);
}
