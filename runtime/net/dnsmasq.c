/* The dnsmasq process: see names.h.
 *
 * Port 53 is nobody's: a pod may publish it, or a server of the host have it at every address. dnsmasq listens at another one, and the
 * table brings there what is sent to port 53 of the gateways. A kernel without nftables cannot: there it is 53.
 */
#include "runtime/net/names.h"

#include "runtime/net/bridge.h"
#include "runtime/net/dnsmasq_child.h"
#include "runtime/net/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PORT_FIRST 10053
#define PORT_END (PORT_FIRST + 256)
#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_MS 60000
#define STEADY_NS (60 * 1000000000ull) /* ran so long: the next failure is a first one again */

static const char *const programs[] = { "/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq", "/sbin/dnsmasq" };

static struct {
	bool told_missing;
	pid_t pid;
	struct watch end, says; /* its pidfd, its stderr */
	struct timer start;
	uint64_t started_ns;
	unsigned backoff_ms;
	bool deaf;      /* it could not listen everywhere: another port is tried */
	char last[256]; /* the last line it said */
} dns = { .end.fd = -1, .says.fd = -1 };

static const char *find_program(void)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!access(programs[i], X_OK))
			return programs[i];
	return NULL;
}

bool names_served(void)
{
	return find_program();
}

/* --- its port --- */

static bool can_bind(const struct net_addr *at, int type, uint16_t port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool v4 = at->family == AF_INET;
	_cleanup_close_ int fd = socket(at->family, type | SOCK_CLOEXEC, 0);
	memcpy(v4 ? (void *)&a4.sin_addr : (void *)&a6.sin6_addr, at->bytes, addr_len(at));
	return fd >= 0 && !bind(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6, v4 ? sizeof a4 : sizeof a6);
}

static bool is_free(const struct net *n, uint16_t port)
{
	for (int i = 0; i < 2; i++)
		if (addr_is(&n->gateway[i]) && (!can_bind(&n->gateway[i], SOCK_DGRAM, port) || !can_bind(&n->gateway[i], SOCK_STREAM, port)))
			return false;
	return true;
}

void names_choose_port(struct net *n)
{
	if (!find_program())
		n->dns_port = 0;
	else if (!dns.pid)
		for (n->dns_port = PORT_FIRST; n->dns_port < PORT_END && !is_free(n, n->dns_port); n->dns_port++)
			;
}

/* --- in podfs-net --- */

static void try_again(struct net *n)
{
	dns.backoff_ms = !dns.backoff_ms ? BACKOFF_BASE_MS : 2 * dns.backoff_ms > BACKOFF_CAP_MS ? BACKOFF_CAP_MS : 2 * dns.backoff_ms;
	timer_arm(&n->loop, &dns.start, dns.backoff_ms);
}

static void close_watch(struct net *n, struct watch *w)
{
	loop_del(&n->loop, w);
	close_fd(&w->fd);
}

static void hear(void)
{
	char chunk[1024];
	ssize_t len;
	while ((len = read(dns.says.fd, chunk, sizeof chunk - 1)) > 0) {
		chunk[len] = 0;
		dns.deaf |= strstr(chunk, "failed to create listening socket") != NULL;
		if (len && chunk[len - 1] == '\n')
			chunk[len - 1] = 0;
		const char *line = strrchr(chunk, '\n');
		snprintf(dns.last, sizeof dns.last, "%s", line ? line + 1 : chunk);
	}
}

/* It runs on without a socket. */
static void on_says(struct watch *w, uint32_t events)
{
	hear();
	if (dns.deaf)
		kill(dns.pid, SIGKILL);
	if (events & EPOLLHUP)
		close_watch(&net_self, w);
}

/* Reaps it. */
static void bury(struct net *n)
{
	waitpid(dns.pid, NULL, 0);
	dns.pid = 0;
	close_watch(n, &dns.end);
	if (dns.says.fd >= 0) {
		hear();
		close_watch(n, &dns.says);
	}
}

static void on_end(struct watch *w UNUSED, uint32_t events UNUSED)
{
	struct net *n = &net_self;
	bury(n);
	if (now_mono_ns() - dns.started_ns > STEADY_NS)
		dns.backoff_ms = 0;
	if (!dns.backoff_ms && !dns.deaf)
		server_event(n, N_EVENT, NULL, "dnsmasq has ended, pods do not find each other by name until it runs again: %s", dns.last);
	try_again(n);
}

static int watch_child(struct net *n, int says)
{
	dns.started_ns = now_mono_ns();
	dns.end = (struct watch){ .fd = (int)syscall(SYS_pidfd_open, dns.pid, 0), .fn = on_end };
	dns.says = (struct watch){ .fd = says, .fn = on_says };
	int r = dns.end.fd < 0 ? -errno : loop_add(&n->loop, &dns.end, EPOLLIN);
	return r ? r : loop_add(&n->loop, &dns.says, EPOLLIN);
}

static int start(struct net *n, const char *program)
{
	const struct passwd *user = getpwnam("dnsmasq");
	if (!user)
		user = getpwnam("nobody");
	int says[2];
	if (!user || pipe2(says, O_CLOEXEC | O_NONBLOCK))
		return user ? -errno : -ENOENT;
	const struct dnsmasq_child c = {
		.program = program, .bridge = n->bridge, .run = n->run, .port = nft_missing(n->nft) ? 53 : n->dns_port, .user = user,
		.says = says[1], .parent = getpid(),
	};
	dns.deaf = false;
	dns.pid = fork();
	if (!dns.pid)
		dnsmasq_child(&c);
	close(says[1]);
	if (dns.pid > 0)
		return watch_child(n, says[0]);
	close(says[0]);
	dns.pid = 0;
	return -errno;
}

/* To another port: the table has to bring questions there. */
static void move(struct net *n)
{
	struct err e = { 0 };
	nft_lost(n->nft);
	if (table_ensure(n, &e))
		server_event(n, N_EVENT, NULL, "pods do not find each other by name: %s", e.text);
}

static void on_start(struct timer *t)
{
	struct net *n = &net_self;
	const char *program = find_program();
	if (dns.pid || !nft_ready(n->nft)) /* the table first: it starts us */
		return;
	if (dns.deaf)
		move(n);
	timer_stop(&n->loop, t);
	if (!program && !dns.told_missing)
		server_event(n, N_EVENT, NULL, "dnsmasq is not installed (package dnsmasq-base): pods do not find each other by name");
	dns.told_missing = !program;
	if (program && start(n, program))
		try_again(n);
}

void names_start_later(struct net *n)
{
	dns.start.fn = on_start;
	if (!dns.pid && !dns.start.at_ns)
		timer_arm(&n->loop, &dns.start, 0);
}

void names_end(struct net *n)
{
	timer_stop(&n->loop, &dns.start);
	if (dns.pid)
		kill(dns.pid, SIGKILL);
}

bool dnsmasq_stop(struct net *n)
{
	bool ran = dns.pid;
	names_end(n);
	if (ran)
		bury(n);
	dns.backoff_ms = 0;
	return ran;
}
