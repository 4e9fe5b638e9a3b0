/* Who holds a port: see owner.h. */
#include "runtime/net/owner.h"

#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SOCKETS 8           /* that are looked for in /proc */
#define LOOK_NS 200000000u  /* for so long: a write waits for the answer */

/* --- sock_diag: inodes of sockets with that local port --- */

struct request {
	struct nlmsghdr h;
	struct inet_diag_req_v2 req;
	struct nlattr attr;
	struct inet_diag_bc_op code[2];
};

/* The filter is one comparison: true leads behind the end of the code (taken), false beyond that (left out). */
static int ask(int sock, uint8_t proto, sa_family_t family, uint16_t port)
{
	struct request r = {
		.h = { .nlmsg_len = sizeof r, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = (uint8_t)family, .sdiag_protocol = proto, .idiag_states = ~0u },
		.attr = { .nla_len = sizeof r.attr + sizeof r.code, .nla_type = INET_DIAG_REQ_BYTECODE },
		.code = {
			{ .code = INET_DIAG_BC_S_EQ, .yes = sizeof r.code, .no = sizeof r.code + 4 },
			{ .no = port },
		},
	};
	return send(sock, &r, sizeof r, 0) < 0 ? -errno : 0;
}

static bool is_zero(const void *p, size_t n)
{
	static const char zeros[16];
	return !memcmp(p, zeros, n);
}

/* Does a socket at that address stand in the way of p? One of IPv6 may hold IPv4's ports too (no IPV6_V6ONLY). */
static bool in_the_way(const struct inet_diag_msg *m, const struct port *p)
{
	size_t n = m->idiag_family == AF_INET ? 4 : 16;
	if (port_is_any(p) || is_zero(m->id.idiag_src, n))
		return true;
	if (m->idiag_family == p->family)
		return !memcmp(m->id.idiag_src, p->addr, n);
	return m->idiag_family == AF_INET6 && !memcmp((const char *)m->id.idiag_src + 12, p->addr, 4); /* ::ffff:1.2.3.4 */
}

struct inodes {
	uint32_t v[SOCKETS];
	size_t n;
};

/* 0: more may come, 1: that was all, or an error. */
static int take_answers(char *mem, size_t len, const struct port *p, struct inodes *out)
{
	for (struct nlmsghdr *h = (void *)mem; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			return 1;
		const struct inet_diag_msg *m = NLMSG_DATA(h);
		if (m->idiag_inode && ntohs(m->id.idiag_sport) == p->host && in_the_way(m, p) && out->n < SOCKETS)
			out->v[out->n++] = m->idiag_inode;
	}
	return 0;
}

static void look_for_sockets(const struct port *p, sa_family_t family, struct inodes *out)
{
	_Alignas(struct nlmsghdr) char mem[16384];
	_cleanup_close_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (sock < 0 || ask(sock, p->proto, family, p->host))
		return;
	for (;;) {
		ssize_t n = recv(sock, mem, sizeof mem, 0);
		if (n <= 0 || take_answers(mem, (size_t)n, p, out))
			return;
	}
}

/* --- /proc: who has it open --- */

static bool is_one(const char *link, const struct inodes *in)
{
	unsigned inode;
	if (sscanf(link, "socket:[%u]", &inode) != 1)
		return false;
	for (size_t i = 0; i < in->n; i++)
		if (in->v[i] == inode)
			return true;
	return false;
}

static bool has_open(int proc, const char *pid, const struct inodes *in)
{
	char path[32], link[64];
	snprintf(path, sizeof path, "%.16s/fd", pid);
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	while (d && (de = readdir(d))) {
		ssize_t n = readlinkat(fd, de->d_name, link, sizeof link - 1);
		link[n > 0 ? n : 0] = 0;
		if (is_one(link, in))
			return true;
	}
	return false;
}

static void describe(int proc, const char *pid, char out[OWNER_TEXT])
{
	char path[32];
	_cleanup_buf_ struct buf comm = { 0 };
	snprintf(path, sizeof path, "%.16s/comm", pid);
	read_file_at(proc, path, 64, &comm);
	snprintf(out, OWNER_TEXT, "%.*s (pid %.16s)", (int)strcspn(buf_str(&comm), "\n"), buf_str(&comm), pid);
}

static bool look_in_proc(const struct inodes *in, char out[OWNER_TEXT])
{
	_cleanup_dir_ DIR *d = opendir("/proc");
	uint64_t until = now_mono_ns() + LOOK_NS;
	struct dirent *de;
	while (d && (de = readdir(d)) && now_mono_ns() < until) {
		if (*de->d_name < '0' || *de->d_name > '9' || !has_open(dirfd(d), de->d_name, in))
			continue;
		describe(dirfd(d), de->d_name, out);
		return true;
	}
	return false;
}

bool owner_find(const struct port *p, char out[OWNER_TEXT])
{
	struct inodes in = { 0 };
	look_for_sockets(p, p->family, &in);
	if (!in.n && p->family == AF_INET)
		look_for_sockets(p, AF_INET6, &in);
	return in.n && look_in_proc(&in, out);
}
