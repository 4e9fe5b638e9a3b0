/* Relays of UDP: a flow a client, as conntrack has one.
 *
 * Owns the flows: a socket connected to the pod each, found by who sent to which address of the host. An answer leaves by the
 * socket that holds the port, from the address that the client had sent to. What cannot be sent now is dropped, as a network
 * does. Broadcast and multicast are not relayed: they were not sent to the port that is published.
 */
#include "runtime/net/relay.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAM_MAX 65536
#define AT_ONCE 64 /* datagrams of one socket before others have their turn */

/* Who sent to which address; without padding, so that it compares as bytes. */
struct flow_key {
	struct relay *relay;
	struct in6_addr client, local; /* IPv4: the first four bytes */
	uint32_t client_link, local_link; /* scope of a link-local address */
	uint32_t port;
	uint32_t family;
};

struct flow {
	struct flow_key key;
	struct watch watch;         /* connected to the pod */
	uint64_t last_ns;
	struct flow *hash_next;
	struct flow *newer, *older; /* by last_ns */
};

/* --- the table --- */

static struct flow **bucket(struct relays *all, const struct flow_key *k)
{
	const uint8_t *p = (const uint8_t *)k;
	uint32_t h = all->seed ^ 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < sizeof *k; i++)
		h = (h ^ p[i]) * 16777619u;
	return &all->buckets[(h ^ (h >> 16)) % RELAY_FLOWS];
}

static struct flow *find(struct relays *all, const struct flow_key *k)
{
	for (struct flow *f = *bucket(all, k); f; f = f->hash_next)
		if (!memcmp(&f->key, k, sizeof *k))
			return f;
	return NULL;
}

static void unlink_age(struct relays *all, struct flow *f)
{
	*(f->newer ? &f->newer->older : &all->newest) = f->older;
	*(f->older ? &f->older->newer : &all->oldest) = f->newer;
}

static void link_newest(struct relays *all, struct flow *f)
{
	f->last_ns = now_mono_ns();
	f->newer = NULL;
	f->older = all->newest;
	*(f->older ? &f->older->newer : &all->oldest) = f;
	all->newest = f;
}

static void touch(struct relays *all, struct flow *f)
{
	unlink_age(all, f);
	link_newest(all, f);
}

static void flow_free(struct flow *f)
{
	struct relays *all = f->key.relay->all;
	struct flow **p = bucket(all, &f->key);
	while (*p != f)
		p = &(*p)->hash_next;
	*p = f->hash_next;
	unlink_age(all, f);
	loop_del(all->loop, &f->watch);
	close_fd(&f->watch.fd);
	all->nflows--;
	free(f);
}

static uint64_t quiet_until(const struct relays *all)
{
	return all->oldest->last_ns + all->flow_ms * 1000000u;
}

/* One timer for all: it looks at the quietest. */
static void arm(struct relays *all)
{
	uint64_t now = now_mono_ns();
	if (!all->oldest)
		return;
	uint64_t at = quiet_until(all);
	timer_arm(all->loop, &all->quiet, at > now ? (at - now) / 1000000 + 1 : 1);
}

void udp_quiet(struct timer *t)
{
	struct relays *all = container_of(t, struct relays, quiet);
	uint64_t now = now_mono_ns();
	while (all->oldest && quiet_until(all) <= now)
		flow_free(all->oldest);
	arm(all);
}

void udp_stop(struct relay *r)
{
	struct flow *older;
	for (struct flow *f = r->all->newest; f; f = older) {
		older = f->older;
		if (f->key.relay == r)
			flow_free(f);
	}
}

/* --- answers --- */

static void put_local(struct msghdr *m, const struct flow_key *k)
{
	struct cmsghdr *c = m->msg_control;
	if (k->family == AF_INET) {
		struct in_pktinfo info = { 0 };
		memcpy(&info.ipi_spec_dst, &k->local, sizeof info.ipi_spec_dst);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO };
		memcpy(CMSG_DATA(c), &info, sizeof info);
		m->msg_controllen = CMSG_SPACE(sizeof info);
	} else {
		struct in6_pktinfo info = { .ipi6_addr = k->local, .ipi6_ifindex = k->local_link };
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &info, sizeof info);
		m->msg_controllen = CMSG_SPACE(sizeof info);
	}
}

static void put_client(union net_sockaddr *a, const struct flow_key *k)
{
	*a = (union net_sockaddr){ .any.sa_family = (sa_family_t)k->family };
	if (k->family == AF_INET) {
		a->in.sin_port = (in_port_t)k->port;
		memcpy(&a->in.sin_addr, &k->client, sizeof a->in.sin_addr);
	} else {
		a->in6.sin6_port = (in_port_t)k->port;
		a->in6.sin6_addr = k->client;
		a->in6.sin6_scope_id = k->client_link;
	}
}

static void answer(const struct flow *f, size_t len)
{
	struct relays *all = f->key.relay->all;
	union net_sockaddr client;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = { 0 };
	struct iovec iov = { .iov_base = all->datagram, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_name = &client };
	put_client(&client, &f->key);
	m.msg_namelen = net_sockaddr_len(&client);
	put_local(&m, &f->key);
	(void)!sendmsg(f->key.relay->watch.fd, &m, MSG_DONTWAIT);
}

/* An error is the pod's "port unreachable", or that it is gone: there is no way to tell the client, but a try may find it there
 * the next time. Reading it has taken it off the socket. */
static void on_answer(struct watch *w, uint32_t events)
{
	struct flow *f = container_of(w, struct flow, watch);
	struct relays *all = f->key.relay->all;
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(w->fd, all->datagram, DATAGRAM_MAX, MSG_DONTWAIT);
		if (n < 0)
			return;
		answer(f, (size_t)n);
		touch(all, f);
	}
}

/* --- questions --- */

int udp_prepare(struct relay *r)
{
	int on = 1;
	bool v4 = r->to.any.sa_family == AF_INET;
	return setsockopt(r->watch.fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof on) ?
		       -errno : 0;
}

static struct flow *flow_new(const struct flow_key *k)
{
	struct relays *all = k->relay->all;
	const union net_sockaddr *to = &k->relay->to;
	_cleanup_close_ int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct flow *f = calloc(1, sizeof *f);
	if (!f || fd < 0 || connect(fd, &to->any, net_sockaddr_len(to))) {
		free(f);
		return NULL;
	}
	f->key = *k;
	f->watch = (struct watch){ .fd = fd, .fn = on_answer };
	if (loop_add(all->loop, &f->watch, EPOLLIN)) {
		free(f);
		return NULL;
	}
	take_fd(&fd);
	f->hash_next = *bucket(all, k);
	*bucket(all, k) = f;
	link_newest(all, f);
	all->nflows++;
	if (!all->quiet.at_ns)
		arm(all);
	return f;
}

static struct flow *flow_for(const struct flow_key *k)
{
	struct relays *all = k->relay->all;
	struct flow *f = find(all, k);
	if (f)
		touch(all, f);
	while (!f && all->nflows >= all->max_flows && all->oldest)
		flow_free(all->oldest);
	return f ? f : flow_new(k);
}

/* The address that it was sent to; false: that is no address of one host. */
static bool take_local(struct msghdr *m, struct flow_key *k)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof info);
			memcpy(&k->local, &info.ipi_addr, sizeof info.ipi_addr);
			return info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof info);
			k->local = info.ipi6_addr;
			k->local_link = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
			return !IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
		}
	}
	return false;
}

static void take_client(const union net_sockaddr *a, struct flow_key *k)
{
	k->family = a->any.sa_family;
	if (k->family == AF_INET) {
		memcpy(&k->client, &a->in.sin_addr, sizeof a->in.sin_addr);
		k->port = a->in.sin_port;
	} else {
		k->client = a->in6.sin6_addr;
		k->client_link = a->in6.sin6_scope_id;
		k->port = a->in6.sin6_port;
	}
}

static bool receive_one(struct relay *r)
{
	union net_sockaddr from;
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov = { .iov_base = r->all->datagram, .iov_len = DATAGRAM_MAX };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from,
		.msg_control = control, .msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(r->watch.fd, &m, MSG_DONTWAIT);
	if (n < 0)
		return errno != EAGAIN;
	struct flow_key k = { .relay = r };
	take_client(&from, &k);
	struct flow *f = take_local(&m, &k) ? flow_for(&k) : NULL;
	if (f)
		(void)!send(f->watch.fd, r->all->datagram, (size_t)n, MSG_DONTWAIT);
	return true;
}

void udp_receive(struct watch *w, uint32_t events)
{
	struct relay *r = container_of(w, struct relay, watch);
	for (int i = 0; i < AT_ONCE && receive_one(r); i++)
		;
}
