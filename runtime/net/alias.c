/* How links, and addresses of links, are called: from a pod's uid, so that a stranger finds whose they are. */
#include "runtime/net/private.h"

#include <string.h>

static void link_name(const char *prefix, const char *uid, char out[IFNAMSIZ])
{
	size_t n = (size_t)snprintf(out, IFNAMSIZ, "%s", prefix);
	for (; *uid && n < 2 + 12; uid++)
		if (*uid != '-')
			out[n++] = *uid;
	out[n] = 0;
}

void net_veth_name(const char *uid, char out[IFNAMSIZ])
{
	link_name("pf", uid, out);
}

void net_ifb_name(const char *uid, char out[IFNAMSIZ])
{
	link_name("pg", uid, out);
}

void net_alias(const struct net *n, const struct attachment *a, char out[256])
{
	snprintf(out, 256, "%s: pod %s %s %llu", n->bridge, a->pod, a->uid, (unsigned long long)a->host);
}

bool net_alias_uid(const struct net *n, const char *alias, char uid[UID_LEN + 1], uint64_t *host)
{
	size_t len = strlen(n->bridge);
	char end;
	unsigned long long number = 0;
	if (strncmp(alias, n->bridge, len))
		return false;
	int words = sscanf(alias + len, ": pod %*s %36s%c%llu", uid, &end, &number);
	if (words < 1 || strlen(uid) != UID_LEN || (words > 1 && end != ' '))
		return false;
	*host = number;
	return true;
}

void net_mac(const struct net_addr addr[2], unsigned char out[6])
{
	const struct net_addr *a = addr_is(&addr[0]) ? &addr[0] : &addr[1];
	out[0] = 0x0a;
	out[1] = 0x58;
	memcpy(out + 2, a->bytes + addr_len(a) - 4, 4);
}

void net_link_local(const unsigned char mac[6], struct net_addr *out)
{
	*out = (struct net_addr){ .family = AF_INET6, .prefix = 64,
				  .bytes = { 0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] } };
}

/* FNV-1a of the bridge's name, but never one of the small numbers that people give. */
unsigned net_group(const struct net *n)
{
	uint32_t h = 0x811c9dc5;
	for (const char *s = n->bridge; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x01000193u;
	return h | 0x40000000u;
}
