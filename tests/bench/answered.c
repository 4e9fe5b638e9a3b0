/* Runs a command, then asks for echoes until each address has answered one: what a peer of a new pod waits for.
 *
 * usage: answered ADDRESS… -- COMMAND…
 * An address is IPv4, IPv6, or a file that has some, one a line, when the command has ended. An unanswered request is sent
 * again each millisecond. Ends with the command's status if that failed, with 1 when an address has not answered in ten seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 8, PATIENCE_MS = 10000 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static struct target {
	union address to;
	int sock;
} targets[ADDRESSES];
static int ntargets;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool add(const char *text)
{
	struct target t = { .sock = -1 };
	if (inet_pton(AF_INET, text, &t.to.v4.sin_addr) == 1) {
		t.to.v4.sin_family = AF_INET;
		t.sock = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
	} else if (inet_pton(AF_INET6, text, &t.to.v6.sin6_addr) == 1) {
		t.to.v6.sin6_family = AF_INET6;
		t.sock = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMPV6);
	} else {
		return false;
	}
	if (t.sock < 0)
		die("socket");
	if (ntargets == ADDRESSES)
		exit(2);
	targets[ntargets++] = t;
	return true;
}

static void add_file(const char *path)
{
	char line[128];
	FILE *f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "/\n")] = 0;
		add(line);
	}
	fclose(f);
}

/* RFC 1071; for IPv6 the kernel does it. */
static uint16_t checksum(const void *data, size_t len)
{
	const uint16_t *word = data;
	uint32_t sum = 0;
	for (; len; len -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

/* What can't be sent yet (no such route) is no failure. */
static void ask(const struct target *t)
{
	if (t->to.any.sa_family == AF_INET) {
		struct icmphdr h = { .type = ICMP_ECHO, .un.echo.id = (uint16_t)getpid() };
		h.checksum = checksum(&h, sizeof h);
		sendto(t->sock, &h, sizeof h, 0, &t->to.any, sizeof t->to.v4);
	} else {
		struct icmp6_hdr h = { .icmp6_type = ICMP6_ECHO_REQUEST, .icmp6_id = (uint16_t)getpid() };
		sendto(t->sock, &h, sizeof h, 0, &t->to.any, sizeof t->to.v6);
	}
}

static bool is_answer(const struct target *t, const unsigned char *packet, size_t len, const union address *from)
{
	if (t->to.any.sa_family == AF_INET) {
		const size_t ip = (packet[0] & 15u) * 4u;
		struct icmphdr h;
		if (len < ip + sizeof h || from->v4.sin_addr.s_addr != t->to.v4.sin_addr.s_addr)
			return false;
		memcpy(&h, packet + ip, sizeof h);
		return h.type == ICMP_ECHOREPLY && h.un.echo.id == (uint16_t)getpid();
	}
	struct icmp6_hdr h;
	if (len < sizeof h || memcmp(&from->v6.sin6_addr, &t->to.v6.sin6_addr, sizeof from->v6.sin6_addr))
		return false;
	memcpy(&h, packet, sizeof h);
	return h.icmp6_type == ICMP6_ECHO_REPLY && h.icmp6_id == (uint16_t)getpid();
}

static bool has_answered(const struct target *t)
{
	unsigned char packet[512];
	union address from;
	socklen_t size = sizeof from;
	ssize_t n;
	while ((n = recvfrom(t->sock, packet, sizeof packet, 0, &from.any, &size)) > 0)
		if (is_answer(t, packet, (size_t)n, &from))
			return true;
	return false;
}

static bool await(const struct target *t)
{
	long end = now_ms() + PATIENCE_MS, next = 0;
	for (long now; (now = now_ms()) < end;) {
		if (now >= next) {
			ask(t);
			next = now + 1;
		}
		struct pollfd in = { .fd = t->sock, .events = POLLIN };
		if (poll(&in, 1, 1) > 0 && has_answered(t))
			return true;
	}
	return false;
}

static int run(char **command)
{
	int status = 0;
	pid_t pid = vfork();
	if (!pid) {
		execvp(*command, command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die(*command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	int to = 1;
	while (to < argc && strcmp(argv[to], "--"))
		to++;
	if (to < 2 || to + 1 >= argc)
		return 2;
	int status = run(argv + to + 1);
	if (status)
		return status;
	for (int i = 1; i < to; i++)
		if (!add(argv[i]))
			add_file(argv[i]);
	if (!ntargets)
		return 1;
	for (int i = 0; i < ntargets; i++)
		if (!await(&targets[i]))
			return 1;
	return 0;
}
