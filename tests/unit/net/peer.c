/* Who talks to whom, for the tests of podfs-net: a server that answers with the address that it sees, and its client.
 *
 *   peer serve PORT                 TCP and UDP, IPv4 and IPv6; prints `ready`, then serves until it is killed
 *   peer ask tcp|udp ADDRESS PORT   prints the answer; 1 when there is none within 5 s
 */
#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PATIENCE_MS 5000
#define RESEND_MS 500

static void die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int bound(int type, const char *port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), no = 0, yes = 1;
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes) || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
	    bind(fd, (struct sockaddr *)&a, sizeof a) || (type == SOCK_STREAM && listen(fd, 64)))
		die(port);
	return fd;
}

static int text_of(const struct sockaddr_in6 *a, char *out, size_t size)
{
	bool mapped = IN6_IS_ADDR_V4MAPPED(&a->sin6_addr);
	char text[INET6_ADDRSTRLEN];
	inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&a->sin6_addr.s6_addr[12] : &a->sin6_addr, text, sizeof text);
	return snprintf(out, size, "%s\n", text);
}

static void answer_tcp(int listener)
{
	struct sockaddr_in6 from;
	socklen_t len = sizeof from;
	char text[64];
	int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	write_all(fd, text, (size_t)text_of(&from, text, sizeof text));
	close(fd);
}

/* From the address that was asked, whichever of the host's that is. */
static void answer_udp(int fd)
{
	struct sockaddr_in6 from;
	char text[64];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec iov = { text, sizeof text };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = control, .msg_controllen = sizeof control };
	if (recvmsg(fd, &m, 0) < 0)
		return;
	iov.iov_len = (size_t)text_of(&from, text, sizeof text);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c) {
		struct in6_pktinfo info;
		memcpy(&info, CMSG_DATA(c), sizeof info);
		info.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof info);
	}
	sendmsg(fd, &m, 0);
}

static void serve(const char *port)
{
	struct pollfd p[] = { { .fd = bound(SOCK_STREAM, port), .events = POLLIN }, { .fd = bound(SOCK_DGRAM, port), .events = POLLIN } };
	puts("ready");
	fflush(stdout);
	for (;;) {
		poll(p, 2, -1);
		if (p[0].revents)
			answer_tcp(p[0].fd);
		if (p[1].revents)
			answer_udp(p[1].fd);
	}
}

static int connected(bool tcp, const char *address, const char *port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = a4.sin_port };
	bool v4 = inet_pton(AF_INET, address, &a4.sin_addr) == 1;
	if (!v4 && inet_pton(AF_INET6, address, &a6.sin6_addr) != 1)
		die(address);
	int fd = socket(v4 ? AF_INET : AF_INET6, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
	    connect(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6, v4 ? sizeof a4 : sizeof a6))
		die(address);
	return fd;
}

static int ask(bool tcp, const char *address, const char *port)
{
	int fd = connected(tcp, address, port);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (int i = 0; i < PATIENCE_MS / RESEND_MS; i++) {
		char text[64];
		if (!tcp && send(fd, "x", 1, 0) < 0)
			die(address);
		if (poll(&p, 1, RESEND_MS) <= 0)
			continue;
		ssize_t n = read(fd, text, sizeof text);
		return n > 0 && !write_all(1, text, (size_t)n) ? 0 : 1;
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "ask"))
		return ask(!strcmp(argv[2], "tcp"), argv[3], argv[4]);
	return 2;
}
