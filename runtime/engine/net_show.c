/* What a reader sees of a pod's network: addresses and counters.
 *
 * Reads the record and /proc; asks nobody, so it is right before podfs-net has answered. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <string.h>

#define NET_DEV_MAX (256 * 1024)

/* The address that the host would send from to somebody far away: the route is looked up, no packet is sent (RFC 5737, RFC 3849:
 * addresses that are nobody's). */
static bool host_address(sa_family_t family, char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage to = { .ss_family = family };
	struct sockaddr_in *v4 = (void *)&to;
	struct sockaddr_in6 *v6 = (void *)&to;
	const char *nobody = family == AF_INET ? "192.0.2.1" : "2001:db8::1";
	void *addr = family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
	_cleanup_close_ int s = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = family == AF_INET ? sizeof *v4 : sizeof *v6;
	inet_pton(family, nobody, addr);
	*(family == AF_INET ? &v4->sin_port : &v6->sin6_port) = htons(9); /* discard */
	return s >= 0 && !connect(s, (void *)&to, len) && !getsockname(s, (void *)&to, &len) &&
	       inet_ntop(family, addr, out, INET6_ADDRSTRLEN);
}

static size_t host_addresses(char out[POD_IPS][46])
{
	size_t n = host_address(AF_INET, out[0]);
	return n + host_address(AF_INET6, out[n]);
}

size_t pod_ips(const struct pod *p, char out[POD_IPS][46])
{
	const struct strs *ip = &p->spec->ip;
	size_t n = 0;
	if (p->spec->net.mode == NET_HOST)
		return host_addresses(out);
	for (; n < ip->n && n < POD_IPS; n++)
		snprintf(out[n], sizeof out[n], "%.*s", (int)strcspn(ip->v[n], "/"), ip->v[n]);
	return n;
}

/* In the order of /proc/net/dev, named as ip -s and /sys/class/net do. */
static const char *const counters[] = {
	"rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "rx_fifo_errors", "rx_frame_errors", "rx_compressed", "multicast",
	"tx_bytes", "tx_packets", "tx_errors", "tx_dropped", "tx_fifo_errors", "collisions", "tx_carrier_errors", "tx_compressed",
};

static int show_counters(const char *dev, struct buf *out)
{
	const char *at = strstr(dev, "eth0:");
	if (!at)
		return -ENODATA;
	at += strlen("eth0:");
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		char *end;
		uint64_t v = strtoull(at, &end, 10);
		if (end == at)
			return -ENODATA;
		buf_printf(out, "%s %" PRIu64 "\n", counters[i], v);
		at = end;
	}
	return buf_status(out);
}

int pod_net_stat(const struct pod *p, struct buf *out)
{
	char path[64];
	_cleanup_buf_ struct buf dev = { 0 };
	if (!p->pid || p->spec->net.mode == NET_HOST || p->spec->net.mode == NET_NONE)
		return -ENODATA;
	snprintf(path, sizeof path, "/proc/%d/net/dev", (int)p->pid);
	int r = read_file_at(AT_FDCWD, path, NET_DEV_MAX, &dev);
	return r ? -ENODATA : show_counters(buf_str(&dev), out);
}
