/* Addresses and subnets: see addr.h. */
#include "runtime/net/addr.h"

#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The bytes of a with all bits behind the prefix cleared. */
static struct net_addr network_of(const struct net_addr *a, unsigned prefix)
{
	struct net_addr n = *a;
	n.prefix = (uint8_t)prefix;
	for (unsigned i = 0; i < addr_len(a); i++) {
		unsigned keep = prefix > 8 * i ? prefix - 8 * i : 0;
		if (keep < 8)
			n.bytes[i] &= (uint8_t)(0xff00u >> keep);
	}
	return n;
}

static int parse(const char *text, sa_family_t family, struct net_addr *out)
{
	char addr[NET_ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;
	if (!n || n >= sizeof addr || strspn(slash + 1, "0123456789") != strlen(slash + 1) || strlen(slash + 1) > 3)
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = 0;
	struct net_addr a = { .family = family };
	unsigned long prefix = strtoul(slash + 1, NULL, 10);
	if (inet_pton(family, addr, a.bytes) != 1 || prefix < 8 || prefix > 8 * addr_len(&a) - 2)
		return -EINVAL;
	a.prefix = (uint8_t)prefix;
	*out = a;
	return 0;
}

int addr_parse(const char *text, sa_family_t family, struct net_addr *out)
{
	struct net_addr a = { .family = family };
	if (inet_pton(family, text, a.bytes) != 1)
		return -EINVAL;
	a.prefix = (uint8_t)(8 * addr_len(&a));
	*out = a;
	return 0;
}

int addr_subnet(const char *text, sa_family_t family, struct net_addr *out, struct err *e)
{
	if (!strcmp(text, "none")) {
		*out = (struct net_addr){ .family = AF_UNSPEC };
		return 0;
	}
	struct net_addr a;
	if (parse(text, family, &a))
		return err_set(e, EINVAL, "%.64s is no subnet of IPv%c", text, family == AF_INET ? '4' : '6');
	struct net_addr net = network_of(&a, a.prefix);
	if (!addr_same(&net, &a))
		return err_set(e, EINVAL, "%.64s has bits set behind its prefix", text);
	*out = a;
	return 0;
}

int addr_host(const struct net_addr *subnet, uint64_t n, struct net_addr *out)
{
	struct net_addr a = *subnet;
	if (!addr_is(&a)) {
		*out = a;
		return 0;
	}
	unsigned len = addr_len(&a), bits = 8 * len - a.prefix;
	uint64_t last = bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
	if (!n || n > last || (a.family == AF_INET && n == last))
		return -ERANGE;
	for (unsigned i = len; n; n >>= 8)
		a.bytes[--i] |= (uint8_t)n;
	*out = a;
	return 0;
}

struct net_addr addr_network(const struct net_addr *a)
{
	return network_of(a, a->prefix);
}

bool addr_same(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, addr_len(a));
}

bool addr_within(const struct net_addr *a, const struct net_addr *subnet)
{
	struct net_addr n = network_of(a, subnet->prefix);
	return addr_same(&n, subnet);
}

bool addr_overlap(const struct net_addr *a, const struct net_addr *b)
{
	return a->prefix < b->prefix ? addr_within(b, a) : addr_within(a, b);
}

const char *addr_text(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	if (!addr_is(a) || !inet_ntop(a->family, a->bytes, out, NET_ADDR_TEXT))
		strcpy(out, "none");
	return out;
}

const char *addr_text_prefix(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	addr_text(a, out);
	if (addr_is(a)) {
		size_t n = strlen(out);
		snprintf(out + n, NET_ADDR_TEXT - n, "/%u", a->prefix);
	}
	return out;
}
