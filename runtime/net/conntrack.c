/* Tracked flows: see conntrack.h. Messages by hand: libnl has them in a library of its own. */
#include "runtime/net/conntrack.h"

#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MESSAGE_MAX 256
#define ANSWER_MAX 32768

/* What CTA_FILTER_ORIG_FLAGS is made of: the kernel has no header for it. */
#define BY_PROTO (1u << 3)
#define BY_PORT (1u << 5)

/* What is looked for, and who looks. */
static struct {
	struct net_addr subnet[2];
	struct buf ports;   /* struct conntrack_port each; those of the child are gone from here */
	struct loop *loop;
	struct watch child; /* its pidfd */
	int sock;
} ct = { .child.fd = -1, .sock = -1 };

struct message {
	struct nlmsghdr h;
	struct nfgenmsg g;
	char rest[MESSAGE_MAX];
};

static struct message message(sa_family_t family, unsigned type, unsigned flags)
{
	return (struct message){
		.h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)), .nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type),
		       .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.g = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 },
	};
}

/* data NULL: a nest; it is closed by end. */
static struct nlattr *put(struct message *m, unsigned type, const void *data, size_t len)
{
	struct nlattr *a = (void *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));
	size_t end = NLMSG_ALIGN(m->h.nlmsg_len) + NLA_HDRLEN + len;
	if (end > sizeof *m)
		return NULL;
	*a = (struct nlattr){ .nla_type = (uint16_t)(type | (data ? 0 : NLA_F_NESTED)), .nla_len = (uint16_t)(NLA_HDRLEN + len) };
	if (len)
		memcpy(a + 1, data, len);
	m->h.nlmsg_len = (uint32_t)NLMSG_ALIGN(end);
	return a;
}

static void end(const struct message *m, struct nlattr *nest)
{
	nest->nla_len = (uint16_t)((const char *)m + m->h.nlmsg_len - (char *)nest);
}

static const struct nlattr *find(const void *from, size_t len, unsigned type)
{
	const char *p = from;
	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		size_t step = NLA_ALIGN((size_t)a->nla_len);
		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		p += step;
		len -= step < len ? step : len;
	}
	return NULL;
}

/* Attribute a of that type within nest, whose content has len bytes; NULL: there is none. */
static const void *inside(const struct nlattr *nest, unsigned type, size_t len)
{
	const struct nlattr *a = nest ? find(nest + 1, nest->nla_len - NLA_HDRLEN, type) : NULL;
	return a && a->nla_len >= NLA_HDRLEN + len ? a : NULL;
}

/* --- in the child: the question --- */

/* Kernels before 5.8 pass over the filter: all is looked at here again. only: the one port, in network order; 0: any. */
static int ask(sa_family_t family, uint16_t only)
{
	struct message m = message(family, IPCTNL_MSG_CT_GET, NLM_F_DUMP);
	uint8_t udp = IPPROTO_UDP;
	uint32_t by = BY_PROTO | (only ? BY_PORT : 0);
	struct nlattr *tuple = put(&m, CTA_TUPLE_ORIG, NULL, 0), *proto = put(&m, CTA_TUPLE_PROTO, NULL, 0);
	put(&m, CTA_PROTO_NUM, &udp, sizeof udp);
	if (only)
		put(&m, CTA_PROTO_DST_PORT, &only, sizeof only);
	end(&m, proto);
	end(&m, tuple);
	struct nlattr *filter = put(&m, CTA_FILTER, NULL, 0);
	put(&m, CTA_FILTER_ORIG_FLAGS, &by, sizeof by);
	end(&m, filter);
	return send(ct.sock, &m, m.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* --- in the child: the answers --- */

struct wanted {
	const struct conntrack_port *p;
	size_t n;
	struct buf found; /* messages that delete them, one behind another */
};

static bool is_listed(const struct wanted *w, sa_family_t family, uint16_t port)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->p[i].port == port && w->p[i].family == family)
			return true;
	return false;
}

static bool is_udp_to_one(const struct wanted *w, sa_family_t family, const struct nlattr *orig)
{
	const struct nlattr *proto = inside(orig, CTA_TUPLE_PROTO, 0);
	const struct nlattr *num = inside(proto, CTA_PROTO_NUM, sizeof(uint8_t)), *to = inside(proto, CTA_PROTO_DST_PORT, sizeof(uint16_t));
	uint16_t port;
	if (!num || !to || *(const uint8_t *)(num + 1) != IPPROTO_UDP)
		return false;
	memcpy(&port, to + 1, sizeof port);
	return is_listed(w, family, ntohs(port));
}

static bool is_into_subnet(sa_family_t family, const struct nlattr *reply, const struct nlattr *status)
{
	const struct net_addr *subnet = &ct.subnet[family == AF_INET6];
	const struct nlattr *from = inside(inside(reply, CTA_TUPLE_IP, 0), family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, addr_len(subnet));
	struct net_addr pod = { .family = family };
	uint32_t bits;
	if (!from || !addr_is(subnet) || !status || status->nla_len < NLA_HDRLEN + sizeof bits)
		return false;
	memcpy(&bits, status + 1, sizeof bits);
	memcpy(pod.bytes, from + 1, addr_len(&pod));
	return (ntohl(bits) & IPS_DST_NAT) && addr_within(&pod, subnet);
}

static void copy(struct message *m, const struct nlattr *a)
{
	if (a)
		put(m, a->nla_type, a + 1, a->nla_len - NLA_HDRLEN);
}

static void look_at(struct wanted *w, const struct nlmsghdr *h)
{
	const struct nfgenmsg *g = NLMSG_DATA(h);
	const char *attrs = (const char *)g + NLMSG_ALIGN(sizeof *g);
	size_t len = h->nlmsg_len - NLMSG_LENGTH(sizeof *g);
	const struct nlattr *orig = find(attrs, len, CTA_TUPLE_ORIG);
	if (!is_udp_to_one(w, g->nfgen_family, orig) ||
	    !is_into_subnet(g->nfgen_family, find(attrs, len, CTA_TUPLE_REPLY), find(attrs, len, CTA_STATUS)))
		return;
	struct message m = message(g->nfgen_family, IPCTNL_MSG_CT_DELETE, 0);
	copy(&m, orig);
	copy(&m, find(attrs, len, CTA_ZONE));
	copy(&m, find(attrs, len, CTA_ID));
	buf_put(&w->found, &m, m.h.nlmsg_len);
}

/* False: that was the last. */
static bool read_answers(struct wanted *w)
{
	_Alignas(struct nlmsghdr) static char mem[ANSWER_MAX];
	ssize_t got = recv(ct.sock, mem, sizeof mem, 0);
	if (got <= 0)
		return got < 0 && errno == EINTR;
	size_t len = (size_t)got;
	for (struct nlmsghdr *h = (void *)mem; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return false;
		if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nfgenmsg)))
			look_at(w, h);
	}
	return true;
}

static void look_in(struct wanted *w, sa_family_t family)
{
	size_t n = 0;
	uint16_t port = 0;
	for (size_t i = 0; i < w->n; i++)
		if (w->p[i].family == family) {
			port = htons(w->p[i].port);
			n++;
		}
	bool more = n && !ask(family, n == 1 ? port : 0);
	while (more)
		more = read_answers(w);
}

_Noreturn static void look(void)
{
	struct wanted w = { .p = (const void *)ct.ports.data, .n = ct.ports.len / sizeof *w.p };
	look_in(&w, AF_INET);
	look_in(&w, AF_INET6);
	/* A flow that has ended by itself meanwhile: so much the better. */
	for (size_t at = 0; !buf_status(&w.found) && at < w.found.len;) {
		const struct nlmsghdr *h = (const void *)(w.found.data + at);
		send(ct.sock, h, h->nlmsg_len, 0);
		at += NLMSG_ALIGN(h->nlmsg_len);
	}
	_exit(0);
}

/* --- in podfs-net --- */

static void on_child(struct watch *w, uint32_t events UNUSED);

/* It shares our descriptors: copies of them would hold ports that we close meanwhile. */
static int start(void)
{
	int pidfd = -1;
	ct.sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (ct.sock < 0)
		return -errno;
	long pid = syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
	if (!pid)
		look();
	if (pid < 0)
		return -errno;
	ct.child = (struct watch){ .fd = pidfd, .fn = on_child };
	return loop_add(ct.loop, &ct.child, EPOLLIN);
}

static void stop(void)
{
	siginfo_t si;
	if (ct.child.fd >= 0) {
		loop_del(ct.loop, &ct.child);
		waitid(P_PIDFD, (id_t)ct.child.fd, &si, WEXITED);
	}
	close_fd(&ct.child.fd);
	close_fd(&ct.sock);
}

static void go_on(void)
{
	if (ct.ports.len && start())
		stop();
	buf_free(&ct.ports);
}

static void on_child(struct watch *w UNUSED, uint32_t events UNUSED)
{
	stop();
	go_on();
}

void conntrack_forget(struct loop *l, const struct net_addr subnet[2], const struct conntrack_port *p, size_t n)
{
	memcpy(ct.subnet, subnet, sizeof ct.subnet);
	ct.loop = l;
	buf_put(&ct.ports, p, n * sizeof *p);
	if (buf_status(&ct.ports))
		buf_free(&ct.ports);
	if (ct.child.fd < 0)
		go_on();
}
