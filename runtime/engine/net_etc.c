/* resolv.conf of a pod where nobody has written one: see private.h.
 *
 * Reads the host's, which is a local file. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include "runtime/parse/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define RESOLV_MAX (64 * 1024)

/* 127.0.0.0/8 and ::1. */
static bool is_loopback(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;
	if (s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Of a `nameserver` line: its address; else empty. */
static struct span nameserver_of(struct span line)
{
	struct span word = span_word(&line);
	return span_is(word, "nameserver") ? span_word(&line) : (struct span){ 0 };
}

void net_resolv_of(const char *text, const struct strs *dns, bool own, struct buf *out)
{
	struct span rest = { text, strlen(text) }, line;
	for (size_t i = 0; i < dns->n; i++)
		buf_printf(out, "nameserver %s\n", dns->v[i]);
	while (span_line(&rest, &line)) {
		struct span server = nameserver_of(line);
		if (server.n && (dns->n || (own && is_loopback(server))))
			continue;
		buf_put(out, line.p, line.n);
		buf_putc(out, '\n');
	}
}

/* A host without one, or with one that is absurdly long, has an empty one. */
static void read_text(const char *path, struct buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	char chunk[1024];
	ssize_t n;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > RESOLV_MAX)
		return;
	while (out->len < RESOLV_MAX && (n = read(fd, chunk, sizeof chunk)) > 0)
		buf_put(out, chunk, (size_t)n);
}

static bool names_servers(const char *text, bool own)
{
	struct span rest = { text, strlen(text) }, line;
	while (span_line(&rest, &line)) {
		struct span server = nameserver_of(line);
		if (server.n && !(own && is_loopback(server)))
			return true;
	}
	return false;
}

/* Where the host asks a resolver of its own, the servers that this one asks stand beside it (systemd-resolved.service(8)). */
void net_resolv(const struct strs *dns, bool own, struct buf *out)
{
	_cleanup_buf_ struct buf text = { 0 }, upstream = { 0 };
	read_text("/etc/resolv.conf", &text);
	if (own && !dns->n && !names_servers(buf_str(&text), true))
		read_text("/run/systemd/resolve/resolv.conf", &upstream);
	net_resolv_of(buf_str(names_servers(buf_str(&upstream), true) ? &upstream : &text), dns, own, out);
}
