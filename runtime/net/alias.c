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
	snprintf(out, 256, "%s: pod %s %s", n->bridge, a->pod, a->uid);
}

bool net_alias_uid(const struct net *n, const char *alias, char uid[UID_LEN + 1])
{
	size_t len = strlen(n->bridge);
	const char *last = strrchr(alias, ' ');
	if (strncmp(alias, n->bridge, len) || strncmp(alias + len, ": pod ", 6) || !last || strlen(last + 1) != UID_LEN)
		return false;
	strcpy(uid, last + 1);
	return true;
}

void net_mac(const struct net_addr addr[2], unsigned char out[6])
{
	const struct net_addr *a = addr_is(&addr[0]) ? &addr[0] : &addr[1];
	out[0] = 0x0a;
	out[1] = 0x58;
	memcpy(out + 2, a->bytes + addr_len(a) - 4, 4);
}
