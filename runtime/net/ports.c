/* Published ports: see ports.h. */
#include "runtime/net/ports.h"

#include "runtime/net/conntrack.h"
#include "runtime/net/nft.h"
#include "runtime/net/owner.h"
#include "runtime/net/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* A socket, or one to be: port.family is one, port.count 1. */
struct held {
	struct held *next;
	struct port port, line; /* line: what it is part of, for words */
	struct relay relay;
	bool stays;   /* while a change is made: it is wanted further on, at pod_port */
	uint16_t pod_port;
};

struct pod_ports {
	struct pod_ports *next;
	char uid[UID_LEN + 1];
	struct held *held;
	size_t n;
};

struct ports {
	struct relays relays;
	struct pod_ports *pods;
	size_t n, max; /* sockets */
};

/* One call of ports_publish. */
struct change {
	struct net *net;
	struct ports *all;
	struct pod_ports *pod;
	const struct net_addr *addr; /* the pod's, of both families */
	struct held *made, **tail;
	size_t nmade;
};

/* A quarter of the descriptors: the relays need theirs. */
static int ports_new(struct net *n, struct err *e)
{
	struct rlimit files = { 0 };
	struct ports *all = calloc(1, sizeof *all);
	int r = all ? relays_init(&all->relays, &n->loop) : -ENOMEM;
	if (r) {
		free(all);
		return err_sys(e, -r, "published ports");
	}
	getrlimit(RLIMIT_NOFILE, &files);
	all->max = files.rlim_cur / 4;
	n->ports = all;
	return 0;
}

static struct pod_ports *pod_of(struct ports *all, const char *uid)
{
	struct pod_ports *p = all->pods;
	while (p && strcmp(p->uid, uid))
		p = p->next;
	return p;
}

static struct pod_ports *pod_new(struct ports *all, const char *uid)
{
	struct pod_ports *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	snprintf(p->uid, sizeof p->uid, "%s", uid);
	p->next = all->pods;
	all->pods = p;
	return p;
}

static void held_free(struct ports *all, struct held *h)
{
	relay_stop(&h->relay);
	free(h);
	all->n--;
}

static void pod_free(struct ports *all, struct pod_ports *pod)
{
	struct pod_ports **at = &all->pods;
	while (*at != pod)
		at = &(*at)->next;
	*at = pod->next;
	while (pod->held) {
		struct held *h = pod->held;
		pod->held = h->next;
		held_free(all, h);
	}
	free(pod);
}

/* --- what is wanted --- */

static const char *port_text(const struct port *p, char out[PORT_TEXT])
{
	format_port(p, out);
	return out;
}

static int read_lines(const char *const *lines, size_t n, struct port *out, struct err *e)
{
	char a[PORT_TEXT], b[PORT_TEXT];
	size_t total = 0;
	for (size_t i = 0; i < n; i++) {
		int r = parse_port(lines[i], strlen(lines[i]), &out[i], e);
		if (r)
			return r;
		for (size_t k = 0; k < i; k++)
			if (ports_overlap(&out[i], &out[k]))
				return err_set(e, EINVAL, "%s: that is published twice, see %s", port_text(&out[i], a),
					       port_text(&out[k], b));
		total += out[i].count;
		if (total > PORTS_MAX)
			return err_set(e, E2BIG, "%s: a pod has at most %d ports", port_text(&out[i], a), PORTS_MAX);
	}
	return 0;
}

static bool same_socket(const struct port *a, const struct port *b)
{
	return a->proto == b->proto && a->family == b->family && a->host == b->host && !memcmp(a->addr, b->addr, sizeof a->addr);
}

static struct held *find_held(const struct pod_ports *pod, const struct port *p)
{
	struct held *h = pod->held;
	while (h && !same_socket(&h->port, p))
		h = h->next;
	return h;
}

static int want_one(struct change *c, const struct port *line, const struct port *p, struct err *e)
{
	struct held *h = find_held(c->pod, p);
	if (h) {
		h->stays = true;
		h->pod_port = p->pod;
		return 0;
	}
	if (c->all->n >= c->all->max)
		return err_set(e, EMFILE, "%zu published ports are held already, and podfs-net may not open more files", c->all->n);
	h = calloc(1, sizeof *h);
	if (!h)
		return err_set(e, ENOMEM, "no memory for a published port");
	*h = (struct held){ .port = *p, .line = *line, .relay.watch.fd = -1, .pod_port = p->pod };
	*c->tail = h;
	c->tail = &h->next;
	c->nmade++;
	c->all->n++;
	return 0;
}

/* Each port of the range, of each family that it names and the pod has. */
static int want_line(struct change *c, const struct port *line, struct err *e)
{
	char text[PORT_TEXT];
	static const sa_family_t families[2] = { AF_INET, AF_INET6 };
	bool any = false;
	for (int f = 0; f < 2; f++) {
		if (!addr_is(&c->addr[f]) || (line->family != AF_UNSPEC && line->family != families[f]))
			continue;
		any = true;
		struct port p = *line;
		p.family = families[f];
		p.count = 1;
		for (unsigned i = 0; i < line->count; i++, p.host++, p.pod++) {
			int r = want_one(c, line, &p, e);
			if (r)
				return r;
		}
	}
	return any ? 0 : err_set(e, EADDRNOTAVAIL, "%s: the pod has no address of IPv%c", port_text(line, text),
				 line->family == AF_INET6 ? '6' : '4');
}

/* --- sockets --- */

static union net_sockaddr sockaddr_of(sa_family_t family, const uint8_t *bytes, uint16_t port)
{
	union net_sockaddr a = { .any.sa_family = family };
	if (family == AF_INET) {
		a.in.sin_port = htons(port);
		memcpy(&a.in.sin_addr, bytes, sizeof a.in.sin_addr);
	} else {
		a.in6.sin6_port = htons(port);
		memcpy(&a.in6.sin6_addr, bytes, sizeof a.in6.sin6_addr);
	}
	return a;
}

/* SO_REUSEADDR for TCP only: there it passes over connections of before that are still timing out; two who listen exclude each
 * other all the same. For UDP it would let another socket take the datagrams. */
static int bind_port(const struct port *p)
{
	int on = 1;
	bool udp = p->proto == IPPROTO_UDP;
	union net_sockaddr at = sockaddr_of(p->family, p->addr, p->host);
	_cleanup_close_ int fd = socket(p->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (p->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on))
		return -errno;
	if (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on))
		return -errno;
	if (bind(fd, &at.any, net_sockaddr_len(&at)) || (!udp && listen(fd, SOMAXCONN)))
		return -errno;
	return take_fd(&fd);
}

static const struct pod_ports *pod_in_the_way(const struct ports *all, const struct port *p)
{
	for (const struct pod_ports *pod = all->pods; pod; pod = pod->next)
		for (const struct held *h = pod->held; h; h = h->next)
			if (h->relay.watch.fd >= 0 && ports_overlap(&h->port, p))
				return pod;
	return NULL;
}

static int explain(struct change *c, const struct held *h, int code, struct err *e)
{
	const struct port *p = &h->port;
	char text[PORT_TEXT], who[OWNER_TEXT], where[INET6_ADDRSTRLEN] = "";
	format_port(&h->line, text);
	if (code == EADDRNOTAVAIL)
		return err_set(e, code, "%s: the host does not have the address %s", text,
			       inet_ntop(p->family, p->addr, where, sizeof where));
	if (code != EADDRINUSE)
		return err_sys(e, code, "%s", text);
	const struct pod_ports *pod = pod_in_the_way(c->all, p);
	const struct attachment *a = pod ? attachment_find(c->net, pod->uid) : NULL;
	if (pod)
		return err_set(e, code, "%s: port %u is in use by the pod %s", text, p->host, a ? a->pod : pod->uid);
	if (owner_find(p, who))
		return err_set(e, code, "%s: port %u is in use by %s", text, p->host, who);
	return err_set(e, code, "%s: port %u of the host is in use", text, p->host);
}

static union net_sockaddr target(const struct change *c, const struct held *h, uint16_t pod_port)
{
	return sockaddr_of(h->port.family, c->addr[h->port.family == AF_INET6].bytes, pod_port);
}

static int open_port(struct change *c, struct held *h, struct err *e)
{
	union net_sockaddr to = target(c, h, h->port.pod);
	_cleanup_close_ int fd = bind_port(&h->port);
	if (fd < 0)
		return explain(c, h, -fd, e);
	int r = relay_start(&c->all->relays, &h->relay, fd, h->port.proto, &to);
	if (r)
		return err_sys(e, -r, "relay");
	take_fd(&fd);
	return 0;
}

/* --- the change --- */

static bool leaves_and_overlaps(const struct held *old, const struct port *p)
{
	return !old->stays && ports_overlap(&old->port, p);
}

static bool waits_for_old(const struct change *c, const struct held *h)
{
	for (const struct held *old = c->pod->held; old; old = old->next)
		if (leaves_and_overlaps(old, &h->port))
			return true;
	return false;
}

static void close_overlapping(struct change *c, const struct held *h)
{
	for (struct held *old = c->pod->held; old; old = old->next)
		if (leaves_and_overlaps(old, &h->port))
			relay_stop(&old->relay);
}

/* What stands in the way of nothing that leaves comes first: that is what can fail for a foreign reason before anything was
 * closed. */
static int open_made(struct change *c, struct err *e)
{
	for (int late = 0; late < 2; late++)
		for (struct held *h = c->made; h; h = h->next) {
			if (waits_for_old(c, h) != late)
				continue;
			if (late)
				close_overlapping(c, h);
			int r = open_port(c, h, e);
			if (r)
				return r;
		}
	return 0;
}

static struct nft_port element(const struct change *c, const struct held *h)
{
	struct nft_port p = {
		.at = { .family = h->port.family },
		.proto = h->port.proto,
		.port = h->port.host,
		.pod_port = h->pod_port,
		.pod = c->addr[h->port.family == AF_INET6],
	};
	p.at.prefix = (uint8_t)(8 * addr_len(&p.at));
	memcpy(p.at.bytes, h->port.addr, sizeof p.at.bytes);
	return p;
}

/* Nobody outside can send to these: only the relay serves them. */
static bool is_loopback(const struct port *p)
{
	static const uint8_t one[16] = { [15] = 1 };
	return p->family == AF_INET ? p->addr[0] == 127 : !memcmp(p->addr, one, sizeof one);
}

static int set_elements(struct change *c, struct err *e)
{
	_cleanup_free_ struct nft_port *list = calloc(c->pod->n + c->nmade + 1, sizeof *list);
	size_t n = 0;
	if (!list)
		return err_set(e, ENOMEM, "no memory for the published ports");
	for (const struct held *h = c->pod->held; h; h = h->next)
		if (h->stays && !is_loopback(&h->port))
			list[n++] = element(c, h);
	for (const struct held *h = c->made; h; h = h->next)
		if (!is_loopback(&h->port))
			list[n++] = element(c, h);
	return nft_set_ports(c->net->nft, c->pod->uid, list, n, e);
}

static void undo(struct change *c)
{
	while (c->made) {
		struct held *h = c->made;
		c->made = h->next;
		held_free(c->all, h);
	}
	for (struct held *h = c->pod->held; h; h = h->next) {
		struct err e = { 0 };
		h->stays = false;
		if (h->relay.watch.fd < 0 && open_port(c, h, &e))
			server_event(c->net, N_EVENT, c->pod->uid, "a published port was lost: %s", e.text);
	}
}

static void commit(struct change *c)
{
	struct held *old = c->pod->held;
	c->pod->held = c->made;
	c->pod->n = c->nmade;
	while (old) {
		struct held *h = old;
		old = h->next;
		if (!h->stays) {
			held_free(c->all, h);
			continue;
		}
		union net_sockaddr to = target(c, h, h->pod_port);
		if (h->pod_port != h->port.pod)
			relay_retarget(&h->relay, &to);
		h->port.pod = h->pod_port;
		h->stays = false;
		h->next = c->pod->held;
		c->pod->held = h;
		c->pod->n++;
	}
}

/* UDP ports that went elsewhere until now, as far as anybody but the host could send there. */
static void note_moved(struct buf *moved, const struct held *list, bool all)
{
	for (const struct held *h = list; h; h = h->next) {
		const struct conntrack_port p = { h->port.family, h->port.host };
		if (h->port.proto == IPPROTO_UDP && !is_loopback(&h->port) && (all || !h->stays || h->pod_port != h->port.pod))
			buf_put(moved, &p, sizeof p);
	}
}

static void forget_flows(struct net *n, struct buf *moved)
{
	if (moved->len && !buf_status(moved))
		conntrack_forget(&n->loop, n->subnet, (const void *)moved->data, moved->len / sizeof(struct conntrack_port));
}

static int make_change(struct change *c, const struct port *lines, size_t n, struct err *e)
{
	int r = 0;
	for (size_t i = 0; !r && i < n; i++)
		r = want_line(c, &lines[i], e);
	if (!r)
		r = open_made(c, e);
	if (!r)
		r = set_elements(c, e);
	if (r) {
		undo(c);
		return r;
	}
	_cleanup_buf_ struct buf moved = { 0 };
	note_moved(&moved, c->pod->held, false);
	note_moved(&moved, c->made, true);
	commit(c);
	forget_flows(c->net, &moved);
	return 0;
}

int ports_publish(struct net *n, const char *uid, const struct net_addr addr[2], const char *const *lines, size_t nlines, struct err *e)
{
	if (!nlines && (!n->ports || !pod_of(n->ports, uid)))
		return 0;
	if (nlines > PORTS_MAX)
		return err_set(e, E2BIG, "a pod has at most %d ports", PORTS_MAX);
	_cleanup_free_ struct port *ports = calloc(nlines + 1, sizeof *ports);
	if (!ports)
		return err_set(e, ENOMEM, "no memory for the published ports");
	int r = read_lines(lines, nlines, ports, e);
	if (!r && !n->ports)
		r = ports_new(n, e);
	if (r)
		return r;
	struct pod_ports *pod = pod_of(n->ports, uid);
	if (!pod)
		pod = pod_new(n->ports, uid);
	if (!pod)
		return err_set(e, ENOMEM, "no memory for the published ports");
	struct change c = { .net = n, .all = n->ports, .pod = pod, .addr = addr };
	c.tail = &c.made;
	r = make_change(&c, ports, nlines, e);
	if (!pod->held)
		pod_free(n->ports, pod);
	return r;
}

void ports_drop(struct net *n, const char *uid)
{
	struct err e = { 0 };
	struct pod_ports *pod = n->ports ? pod_of(n->ports, uid) : NULL;
	_cleanup_buf_ struct buf moved = { 0 };
	if (!pod)
		return;
	note_moved(&moved, pod->held, true);
	pod_free(n->ports, pod);
	if (nft_set_ports(n->nft, uid, NULL, 0, &e))
		server_event(n, N_EVENT, uid, "published ports: %s", e.text);
	forget_flows(n, &moved);
}

void ports_close(struct net *n)
{
	struct ports *all = n->ports;
	if (!all)
		return;
	while (all->pods)
		pod_free(all, all->pods);
	relays_free(&all->relays);
	free(take_ptr(n->ports));
}
