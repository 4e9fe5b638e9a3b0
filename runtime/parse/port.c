/* Published ports: `[ADDRESS:]PORT:POD-PORT[/tcp|/udp]`, as docker and podman take them after -p.
 *
 * Whether the host has the address, and whether the port is free, is not known here. What those two would make
 * up by themselves is refused, because what is read from `ports` has to be what is held: a port alone (they take a free one
 * of the host), a longer range for one port of the pod (they look for a free one in it).
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static int refuse(struct span s, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "%s is not a published port: %s", clip(s).s, why);
}

/* Cuts s at the byte c that stands at `at`: what is before it, and the rest. */
static void cut(struct span s, const char *at, struct span *before, struct span *behind)
{
	*before = (struct span){ s.p, (size_t)(at - s.p) };
	*behind = (struct span){ at + 1, s.n - before->n - 1 };
}

static bool word_is(struct span s, const char *lower)
{
	return s.n == strlen(lower) && !strncasecmp(s.p, lower, s.n);
}

/* Takes /PROTO off the end. */
static int take_proto(struct span all, struct span *s, struct port *p, struct err *e)
{
	const char *slash = memrchr(s->p, '/', s->n);
	p->proto = IPPROTO_TCP;
	if (!slash)
		return 0;
	struct span word;
	cut(*s, slash, s, &word);
	if (word_is(word, "udp"))
		p->proto = IPPROTO_UDP;
	else if (word_is(word, "sctp"))
		return refuse(all, "sctp cannot be published, only tcp and udp", e);
	else if (!word_is(word, "tcp"))
		return refuse(all, "behind the slash stands tcp or udp", e);
	return 0;
}

static size_t count(struct span s, char c)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

/* What a socket can be bound to and a packet be sent to without saying by which link. */
static const char *unfit(const struct port *p)
{
	if (p->family == AF_INET && (p->addr[0] >= 224 || (!p->addr[0] && memcmp(p->addr, "\0\0\0", 4))))
		return "the address is no host's";
	if (p->family == AF_INET)
		return NULL;
	struct in6_addr a;
	memcpy(&a, p->addr, sizeof a);
	if (IN6_IS_ADDR_V4MAPPED(&a))
		return "that is an IPv4 address, to be written as one";
	if (IN6_IS_ADDR_MULTICAST(&a))
		return "the address is no host's";
	return IN6_IS_ADDR_LINKLOCAL(&a) ? "a link-local address belongs to one link only" : NULL;
}

static int read_address(struct span all, struct span s, sa_family_t family, struct port *p, struct err *e)
{
	if (!span_address(s, family, p->addr))
		return refuse(all, "in front stands no address (127.0.0.1:8080:80, [::1]:8080:80)", e);
	p->family = family;
	const char *why = unfit(p);
	return why ? refuse(all, why, e) : 0;
}

/* Takes [ADDRESS:] off the front. */
static int take_address(struct span all, struct span *s, struct port *p, struct err *e)
{
	struct span a;
	p->family = AF_UNSPEC;
	if (s->n && s->p[0] == '[') {
		const char *end = memchr(s->p, ']', s->n);
		if (!end || end + 1 == s->p + s->n || end[1] != ':')
			return refuse(all, "an IPv6 address is followed by ]:PORT:POD-PORT", e);
		cut(*s, end, &a, s);
		s->p++, s->n--;
		a.p++, a.n--;
		return read_address(all, a, AF_INET6, p, e);
	}
	size_t colons = count(*s, ':');
	if (colons > 2)
		return refuse(all, "an IPv6 address stands in [ ]", e);
	if (colons < 2)
		return 0;
	cut(*s, memchr(s->p, ':', s->n), &a, s);
	return read_address(all, a, AF_INET, p, e);
}

/* PORT or PORT-PORT. */
static bool read_range(struct span s, uint16_t *from, unsigned *n)
{
	struct span lo = s, hi = s;
	const char *dash = s.n ? memchr(s.p, '-', s.n) : NULL;
	uint64_t a, b;
	if (dash)
		cut(s, dash, &lo, &hi);
	if (span_number(lo, &a) || span_number(hi, &b) || !a || a > b || b > UINT16_MAX)
		return false;
	*from = (uint16_t)a;
	*n = (unsigned)(b - a + 1);
	return true;
}

int parse_port(const char *text, size_t len, struct port *out, struct err *e)
{
	struct span all = span_trim(text, len), s = all, host, pod;
	struct port p = { 0 };
	unsigned n, m;
	int r = s.n ? take_proto(all, &s, &p, e) : refuse(all, "it is empty", e);
	if (!r)
		r = take_address(all, &s, &p, e);
	if (r)
		return r;
	const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
	if (!colon)
		return refuse(all, "say which port of the host and which of the pod: 8080:80", e);
	cut(s, colon, &host, &pod);
	if (!read_range(host, &p.host, &n) || !read_range(pod, &p.pod, &m))
		return refuse(all, "a port is a number from 1 to 65535 (8080:80, or a range 8000-8010:80-90)", e);
	if (n != m)
		return refuse(all, "the two ranges differ in length", e);
	p.count = (uint16_t)n;
	*out = p;
	return 0;
}

static int put_range(char *at, uint16_t from, uint16_t n)
{
	return n > 1 ? sprintf(at, "%u-%u", from, from + n - 1u) : sprintf(at, "%u", from);
}

void format_port(const struct port *p, char out[PORT_TEXT])
{
	char *at = out, a[INET6_ADDRSTRLEN];
	if (p->family != AF_UNSPEC && inet_ntop(p->family, p->addr, a, sizeof a))
		at += sprintf(at, p->family == AF_INET6 ? "[%s]:" : "%s:", a);
	at += put_range(at, p->host, p->count);
	*at++ = ':';
	at += put_range(at, p->pod, p->count);
	strcpy(at, p->proto == IPPROTO_UDP ? "/udp" : "/tcp");
}

bool port_is_any(const struct port *p)
{
	static const uint8_t zeros[sizeof p->addr];
	return !memcmp(p->addr, zeros, sizeof zeros);
}

bool ports_overlap(const struct port *a, const struct port *b)
{
	if (a->proto != b->proto || a->host >= b->host + b->count || b->host >= a->host + a->count)
		return false;
	if (a->family != b->family && a->family != AF_UNSPEC && b->family != AF_UNSPEC)
		return false;
	return port_is_any(a) || port_is_any(b) || !memcmp(a->addr, b->addr, sizeof a->addr);
}
