/* Subnets of the config: `ADDRESS/PREFIX`.
 *
 * Whether the host has a route that overlaps is not known here.
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>

struct family {
	sa_family_t family;
	const char *name;
	uint64_t shortest, longest; /* prefix */
	unsigned bytes;
};

static const struct family ipv4 = { AF_INET, "4 (10.213.0.0/20, /8 to /29)", 8, 29, 4 };
static const struct family ipv6 = { AF_INET6, "6 (fd00:1::/64, /64 to /120)", 64, 120, 16 };

static bool bits_behind(const uint8_t *addr, unsigned prefix, unsigned bytes)
{
	for (unsigned i = prefix / 8; i < bytes; i++)
		if (addr[i] & (i == prefix / 8 ? 0xffu >> prefix % 8 : 0xff))
			return true;
	return false;
}

/* This network, loopback, multicast; unspecified and its neighbours (mapped IPv4, ::1), link-local, multicast. */
static bool unfit(const uint8_t *a, bool v6)
{
	static const uint8_t zeros[8];
	if (!v6)
		return !a[0] || a[0] == 127 || a[0] >= 224;
	return !memcmp(a, zeros, sizeof zeros) || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || a[0] == 0xff;
}

static int check(struct span s, const struct family *f, struct err *e)
{
	uint8_t addr[16] = { 0 };
	uint64_t prefix;
	const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
	size_t n = slash ? (size_t)(slash - s.p) : 0;
	if (!slash || !span_address((struct span){ s.p, n }, f->family, addr) ||
	    span_number((struct span){ slash + 1, s.n - n - 1 }, &prefix) || prefix < f->shortest || prefix > f->longest)
		return err_set(e, EINVAL, "%s is not a subnet of IPv%s, auto or none", clip(s).s, f->name);
	if (bits_behind(addr, (unsigned)prefix, f->bytes))
		return err_set(e, EINVAL, "%s has bits set behind its prefix", clip(s).s);
	if (unfit(addr, f == &ipv6))
		return err_set(e, EINVAL, "%s is not a subnet that hosts can be in", clip(s).s);
	return 0;
}

int check_subnet(const char *text, size_t len, sa_family_t family, struct err *e)
{
	return check((struct span){ text, len }, family == AF_INET ? &ipv4 : &ipv6, e);
}
