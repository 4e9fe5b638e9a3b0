/* The subnets: see subnet.h.
 *
 * IPv4: 256 blocks of /20 in 10.208.0.0/12, 4093 pods each. IPv6: a /64 of a unique local prefix (RFC 4193), whose 40 bits follow
 * from the machine and the bridge instead of the clock: when net.ini is lost the same ones are found. Two bridges begin at
 * different blocks and go on in different steps, so that two that choose at once part soon.
 */
#include "runtime/net/subnet.h"

#include "runtime/net/bridge.h"
#include "runtime/net/link_nl.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CHOICES 256
#define FILE_NAME "net.ini"
#define FILE_MAX 4096

static const char *const keys[2] = { "subnet4", "subnet6" };

/* FNV-1a, and its bits mixed (the last step of SplitMix64): near names get far numbers. */
static uint64_t hash(const char *const *words, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < n; i++)
		for (const char *s = words[i];; s++) {
			h = (h ^ (unsigned char)*s) * 0x100000001b3u;
			if (!*s)
				break;
		}
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
	return h ^ (h >> 31);
}

static struct net_addr choice4(const struct net *n, unsigned number)
{
	uint64_t h = hash(&n->bridge, 1);
	unsigned step = (unsigned)(h >> 8) % CHOICES | 1, block = ((unsigned)h + number * step) % CHOICES;
	return (struct net_addr){ .family = AF_INET, .prefix = 20,
				  .bytes = { 10, (uint8_t)(208 + (block >> 4)), (uint8_t)((block & 15) << 4) } };
}

static struct net_addr choice6(const struct net *n, unsigned number)
{
	char which[12];
	_cleanup_buf_ struct buf machine = { 0 };
	snprintf(which, sizeof which, "%u", number);
	read_file_at(AT_FDCWD, "/etc/machine-id", 64, &machine);
	const char *const words[] = { buf_str(&machine), n->bridge, which };
	uint64_t h = hash(words, ARRAY_LEN(words));
	struct net_addr a = { .family = AF_INET6, .prefix = 64, .bytes = { 0xfd } };
	for (int i = 1; i <= 5; i++, h >>= 8)
		a.bytes[i] = (uint8_t)h;
	return a;
}

static void take(struct net *n, int i, const struct net_addr *subnet)
{
	n->subnet[i] = *subnet;
	addr_host(subnet, 1, &n->gateway[i]);
}

int subnet_args(struct net *n, const char *text4, const char *text6, struct err *e)
{
	const char *const text[2] = { text4, text6 };
	static const sa_family_t family[2] = { AF_INET, AF_INET6 };
	for (int i = 0; i < 2; i++) {
		struct net_addr a = { .family = AF_UNSPEC };
		n->choice[i].automatic = !strcmp(text[i], "auto");
		int r = n->choice[i].automatic ? 0 : addr_subnet(text[i], family[i], &a, e);
		if (r)
			return r;
		n->choice[i].wanted = a;
		take(n, i, &a);
	}
	if (!forward_has_ipv6()) {
		n->choice[1].automatic = false;
		n->choice[1].wanted.family = AF_UNSPEC;
		take(n, 1, &(struct net_addr){ .family = AF_UNSPEC });
	}
	bool any = false;
	for (int i = 0; i < 2; i++)
		any |= n->choice[i].automatic || addr_is(&n->subnet[i]);
	return any ? 0 : err_set(e, EINVAL, "neither IPv4 nor IPv6 is left for the pods");
}

/* --- STATE/net.ini --- */

static int on_key(void *arg, const char *section, const char *key, const char *value, size_t len, int line, struct err *e)
{
	struct net *n = arg;
	static const sa_family_t family[2] = { AF_INET, AF_INET6 };
	for (int i = 0; i < 2; i++) {
		struct net_addr a;
		if (strcmp(section, "net") || strcmp(key, keys[i]))
			continue;
		int r = addr_subnet(value, family[i], &a, e);
		if (r)
			return r;
		n->choice[i].kept = a;
		if (n->choice[i].automatic)
			take(n, i, &a);
	}
	return 0;
}

static int read_kept(struct net *n, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_close_ int dir = open(n->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : read_file_at(dir, FILE_NAME, FILE_MAX, &b);
	if (r == -ENOENT)
		return 0;
	if (r)
		return err_sys(e, -r, "%s/" FILE_NAME, n->state);
	return ini_read(FILE_NAME, buf_str(&b), b.len, on_key, n, e);
}

int subnet_load(struct net *n, struct err *e)
{
	if (n->subnets_loaded || (!n->choice[0].automatic && !n->choice[1].automatic))
		return 0;
	int r = read_kept(n, e);
	if (r)
		return r;
	for (int i = 0; i < 2; i++)
		if (n->choice[i].automatic && !addr_is(&n->subnet[i]))
			subnet_next(n, i);
	n->subnets_loaded = true;
	return 0;
}

bool subnet_next(struct net *n, int i)
{
	struct subnet_choice *c = &n->choice[i];
	if (!c->automatic)
		return false;
	if (c->number == CHOICES) {
		c->number = 0;
		return false;
	}
	struct net_addr a = i ? choice6(n, c->number) : choice4(n, c->number);
	c->number++;
	take(n, i, &a);
	return true;
}

/* --- a bridge from before --- */

struct search {
	const struct net *n;
	int i;
	struct net_addr found;
	bool mine;
};

static int look_at(void *arg, const struct net_addr *a)
{
	struct search *s = arg;
	s->mine |= addr_same(a, &s->n->gateway[s->i]) && a->prefix == s->n->subnet[s->i].prefix;
	s->found = *a;
	return 0;
}

int subnet_adopt(struct net *n, struct err *e)
{
	static const sa_family_t family[2] = { AF_INET, AF_INET6 };
	char there[NET_ADDR_TEXT], here[NET_ADDR_TEXT];
	for (int i = 0; i < 2; i++) {
		struct search s = { .n = n, .i = i };
		int r = link_each_addr(n->links, family[i], n->bridge_index, look_at, &s, e);
		if (r)
			return r;
		if (s.mine || !addr_is(&s.found) || s.found.prefix > 8 * addr_len(&s.found) - 2)
			continue;
		struct net_addr was = n->subnet[i], subnet = addr_network(&s.found);
		take(n, i, &subnet);
		n->choice[i].adopted = true;
		server_event(n, N_EVENT, NULL, "the pods that are there have addresses of %s: %s comes when they have gone",
			addr_text_prefix(&subnet, there), addr_is(&was) ? addr_text_prefix(&was, here) : "what the config says");
	}
	return 0;
}

void subnet_reset(struct net *n)
{
	for (int i = 0; i < 2; i++) {
		struct subnet_choice *c = &n->choice[i];
		if (c->adopted)
			take(n, i, addr_is(&c->kept) && c->automatic ? &c->kept : &c->wanted);
		c->adopted = false;
		if (c->automatic && !addr_is(&n->subnet[i]))
			n->subnets_loaded = false;
	}
}

/* --- writing it --- */

static bool is_kept(const struct net *n)
{
	for (int i = 0; i < 2; i++)
		if (n->choice[i].automatic && !n->choice[i].adopted && (!addr_same(&n->choice[i].kept, &n->subnet[i]) ||
					       n->choice[i].kept.prefix != n->subnet[i].prefix))
			return false;
	return true;
}

int subnet_keep(struct net *n, struct err *e)
{
	char text[NET_ADDR_TEXT];
	_cleanup_buf_ struct buf b = { 0 };
	if (is_kept(n))
		return 0;
	buf_puts(&b, "; chosen by podfs-net, since the config says auto: the pods' addresses depend on it\n[net]\n");
	for (int i = 0; i < 2; i++) {
		struct subnet_choice *c = &n->choice[i];
		if (c->automatic && !c->adopted)
			c->kept = n->subnet[i];
		if (addr_is(&c->kept))
			buf_printf(&b, "%s = %s\n", keys[i], addr_text_prefix(&c->kept, text));
	}
	_cleanup_close_ int dir = open(n->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : buf_status(&b);
	if (!r)
		r = replace_file_at(dir, FILE_NAME, b.data, b.len, 0644);
	if (!r && fsync(dir))
		r = -errno;
	if (!r)
		return 0;
	for (int i = 0; i < 2; i++)
		n->choice[i].kept.family = AF_UNSPEC;
	return err_sys(e, -r, "%s/" FILE_NAME, n->state);
}
