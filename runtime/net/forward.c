/* Forwarding: see bridge.h.
 *
 * IPv4: ip_forward, as everybody who routes for guests does: by link it could be turned on for the bridge, but packets also have
 * to come back, by whatever link.
 * IPv6: conf/all/forwarding alone decides what is forwarded. Writing it makes every link a router's, which drops the routes that it
 * learned from router advertisements and learns no more; so each link that was a host's is told to keep them meanwhile
 * (accept_ra 2) and made a host's again.
 */
#include "runtime/net/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define IPV4 "/proc/sys/net/ipv4"
#define IPV6 "/proc/sys/net/ipv6/conf"

bool forward_has_ipv6(void)
{
	return !access(IPV6, F_OK);
}

/* The first character of a setting; 0: there is none. */
static char setting(const char *path)
{
	_cleanup_buf_ struct buf b = { 0 };
	return read_file_at(AT_FDCWD, path, 64, &b) ? 0 : *buf_str(&b);
}

static int set(const char *path, char value, struct err *e)
{
	int r = setting(path) == value ? 0 : write_file(path, &value, 1);
	return r ? err_sys(e, -r, "%s", path) : 0;
}

static void set_of_link(const char *link, const char *what, char value)
{
	char path[64 + IFNAMSIZ];
	snprintf(path, sizeof path, IPV6 "/%s/%s", link, what);
	set(path, value, NULL);
}

static char of_link(const char *link, const char *what)
{
	char path[64 + IFNAMSIZ];
	snprintf(path, sizeof path, IPV6 "/%s/%s", link, what);
	return setting(path);
}

struct host_link {
	char name[IFNAMSIZ];
	char accept_ra;
};

/* Links that are a host's, and what is to become of links that come later (`default`). */
static void list_hosts(struct buf *out)
{
	_cleanup_dir_ DIR *d = opendir(IPV6);
	for (struct dirent *de; d && (de = readdir(d));) {
		struct host_link l = { 0 };
		if (de->d_name[0] == '.' || !strcmp(de->d_name, "all") || strlen(de->d_name) >= sizeof l.name ||
		    of_link(de->d_name, "forwarding") != '0')
			continue;
		strcpy(l.name, de->d_name);
		l.accept_ra = of_link(l.name, "accept_ra");
		buf_put(out, &l, sizeof l);
	}
}

static int ipv6_on(struct net *n, struct err *e)
{
	_cleanup_buf_ struct buf hosts = { 0 };
	list_hosts(&hosts);
	const struct host_link *begin = (const void *)hosts.data, *end = begin + hosts.len / sizeof *begin;
	for (const struct host_link *l = begin; l < end; l++)
		if (l->accept_ra == '1')
			set_of_link(l->name, "accept_ra", '2');
	int r = set(IPV6 "/all/forwarding", '1', e);
	for (const struct host_link *l = begin; l < end; l++) {
		set_of_link(l->name, "forwarding", '0');
		if (l->accept_ra == '1')
			set_of_link(l->name, "accept_ra", '1');
	}
	if (!r)
		server_event(n, N_EVENT, NULL, "forwarding of IPv6 was turned on for this host");
	return r;
}

int forward_on(struct net *n, struct err *e)
{
	char path[64 + IFNAMSIZ];
	int r = 0;
	if (addr_is(&n->subnet[0]) && setting(IPV4 "/ip_forward") != '1') {
		r = set(IPV4 "/ip_forward", '1', e);
		if (!r)
			server_event(n, N_EVENT, NULL, "forwarding of IPv4 was turned on for this host");
	}
	if (!r && addr_is(&n->subnet[0])) {
		snprintf(path, sizeof path, IPV4 "/conf/%s/forwarding", n->bridge);
		r = set(path, '1', e);
	}
	if (r || !addr_is(&n->subnet[1]))
		return r;
	if (setting(IPV6 "/all/forwarding") != '1')
		r = ipv6_on(n, e);
	set_of_link(n->bridge, "disable_ipv6", '0');
	set_of_link(n->bridge, "forwarding", '1');
	return r;
}
