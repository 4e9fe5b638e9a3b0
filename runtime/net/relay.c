/* Relays: see relay.h. What TCP and UDP share: the held socket, and the bounds. */
#include "runtime/net/relay.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/resource.h>

#define DATAGRAM_MAX 65536

static unsigned at_most(uint64_t n, unsigned most)
{
	return n < most ? (unsigned)n : most;
}

int relays_init(struct relays *all, struct loop *l)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	*all = (struct relays){
		.loop = l,
		.max_conns = at_most(files.rlim_cur / 12, RELAY_CONNS),
		.max_flows = at_most(files.rlim_cur / 8, RELAY_FLOWS),
		.flow_ms = RELAY_FLOW_MS,
		.quiet.fn = udp_quiet,
		.buckets = calloc(RELAY_FLOWS, sizeof *all->buckets),
		.datagram = malloc(DATAGRAM_MAX),
		.spare = open("/dev/null", O_RDONLY | O_CLOEXEC),
	};
	if (!all->buckets || !all->datagram || all->spare < 0 ||
	    getrandom(&all->seed, sizeof all->seed, GRND_NONBLOCK) < 0) {
		int r = all->spare < 0 ? -errno : -ENOMEM;
		relays_free(all);
		return r;
	}
	return 0;
}

void relays_free(struct relays *all)
{
	timer_stop(all->loop, &all->quiet);
	for (unsigned i = 0; i < all->nidle; i++) {
		close_fd(&all->idle[i].fd[0]);
		close_fd(&all->idle[i].fd[1]);
	}
	close_fd(&all->spare);
	free(all->buckets);
	free(all->datagram);
	*all = (struct relays){ .spare = -1 };
}

socklen_t net_sockaddr_len(const union net_sockaddr *a)
{
	return a->any.sa_family == AF_INET ? sizeof a->in : sizeof a->in6;
}

int relay_start(struct relays *all, struct relay *r, int fd, int proto, const union net_sockaddr *to)
{
	*r = (struct relay){ .all = all, .proto = proto, .to = *to };
	r->watch = (struct watch){ .fd = fd, .fn = proto == IPPROTO_UDP ? udp_receive : tcp_accept };
	int e = proto == IPPROTO_UDP ? udp_prepare(r) : 0;
	if (!e)
		e = loop_add(all->loop, &r->watch, EPOLLIN);
	if (e)
		r->watch.fd = -1;
	return e;
}

void relay_retarget(struct relay *r, const union net_sockaddr *to)
{
	r->to = *to;
	if (r->proto == IPPROTO_UDP)
		udp_stop(r);
}

void relay_stop(struct relay *r)
{
	if (r->watch.fd < 0)
		return;
	loop_del(r->all->loop, &r->watch);
	close_fd(&r->watch.fd);
	if (r->proto == IPPROTO_UDP)
		udp_stop(r);
	else
		tcp_stop(r);
}
