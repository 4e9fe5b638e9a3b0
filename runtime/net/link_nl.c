/* The conversation with rtnetlink, and questions: see link_nl.h and link_lib.h. */
#include "runtime/net/link_lib.h"

#include <sys/ioctl.h>
#include <sys/uio.h>

#define BATCH_MAX 12
#define REPLY_MAX 32768 /* what the kernel puts into one datagram of a dump */
#define DUMP_TRIES 8

struct link_sock {
	struct nl_sock *nl;
	uint32_t seq; /* of the last message */
	struct step {
		struct nl_msg *msg;
		const char *what;
		int passed, result;
	} step[BATCH_MAX]; /* changes to be sent */
	int steps;
	_Alignas(struct nlmsghdr) char reply[REPLY_MAX];
};

int link_sock_open(struct link_sock **out, struct err *e)
{
	struct link_sock *s = calloc(1, sizeof *s);
	if (s)
		s->nl = nl_socket_alloc();
	if (!s || !s->nl) {
		free(s);
		return err_set(e, ENOMEM, "no memory for a netlink socket");
	}
	int r = nl_connect(s->nl, NETLINK_ROUTE);
	if (r) {
		link_sock_close(&s);
		return err_set(e, EPROTONOSUPPORT, "rtnetlink: %s", nl_geterror(r));
	}
	*out = s;
	return 0;
}

void link_sock_close(struct link_sock **s)
{
	if (*s)
		nl_socket_free((*s)->nl);
	free(*s);
	*s = NULL;
}

/* --- questions --- */

static ssize_t receive(struct link_sock *s)
{
	ssize_t n;
	do
		n = recv(nl_socket_get_fd(s->nl), s->reply, sizeof s->reply, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n > (ssize_t)sizeof s->reply)
		return -EMSGSIZE;
	return n < 0 ? -errno : n;
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *m = nlmsg_data(h);
	return m->error;
}

static uint32_t stamp(struct link_sock *s, struct nl_msg *msg, int flags)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	h->nlmsg_flags |= (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++s->seq;
	h->nlmsg_pid = 0;
	return s->seq;
}

typedef void answer_fn(void *arg, struct nlmsghdr *h);

/* Sends a question and hands out each answer. -EAGAIN: what was being listed changed meanwhile. */
static int ask(struct link_sock *s, struct nl_msg *msg, int flags, answer_fn *fn, void *arg)
{
	uint32_t seq = stamp(s, msg, flags);
	bool changed = false;
	if (send(nl_socket_get_fd(s->nl), nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = receive(s);
		if (n < 0)
			return (int)n;
		int left = (int)n;
		for (struct nlmsghdr *h = (void *)s->reply; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != seq)
				continue;
			changed |= h->nlmsg_flags & NLM_F_DUMP_INTR;
			if (h->nlmsg_type == NLMSG_ERROR)
				return error_of(h);
			if (h->nlmsg_type == NLMSG_DONE)
				return changed ? -EAGAIN : 0;
			fn(arg, h);
		}
	}
}

struct nl_msg *link_message(int type, const void *head, size_t len)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, 0);
	if (m && nlmsg_append(m, (void *)(uintptr_t)head, len, NLMSG_ALIGNTO)) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

static void copy_text(char *out, size_t size, struct nlattr *a)
{
	if (a)
		nla_strlcpy(out, a, size);
}

static void read_link(struct nlmsghdr *h, struct link_info *l)
{
	const struct ifinfomsg *i = nlmsg_data(h);
	*l = (struct link_info){ .index = i->ifi_index, .up = i->ifi_flags & IFF_UP };
	struct nlattr *a = nlmsg_find_attr(h, sizeof *i, IFLA_MASTER);
	if (a)
		l->master = (int)nla_get_u32(a);
	copy_text(l->name, sizeof l->name, nlmsg_find_attr(h, sizeof *i, IFLA_IFNAME));
	copy_text(l->alias, sizeof l->alias, nlmsg_find_attr(h, sizeof *i, IFLA_IFALIAS));
	a = nlmsg_find_attr(h, sizeof *i, IFLA_LINKINFO);
	if (a)
		copy_text(l->kind, sizeof l->kind, nla_find(nla_data(a), nla_len(a), IFLA_INFO_KIND));
}

static void found_link(void *arg, struct nlmsghdr *h)
{
	if (h->nlmsg_type == RTM_NEWLINK)
		read_link(h, arg);
}

static struct nl_msg *link_question(const char *name)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	struct nl_msg *m = link_message(RTM_GETLINK, &head, sizeof head);
	if (m && (nla_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) || (name && nla_put_string(m, IFLA_IFNAME, name)))) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

int link_find(struct link_sock *s, const char *name, struct link_info *out)
{
	_msg_ struct nl_msg *m = link_question(name);
	return m ? ask(s, m, NLM_F_ACK, found_link, out) : -ENOMEM;
}

/* A netlink socket hands this ioctl to the network namespace that it belongs to. */
int link_index(struct link_sock *s, const char *name)
{
	struct ifreq q = { 0 };
	strncpy(q.ifr_name, name, sizeof q.ifr_name - 1);
	return ioctl(nl_socket_get_fd(s->nl), SIOCGIFINDEX, &q) ? -errno : q.ifr_ifindex;
}

static void keep_link(void *arg, struct nlmsghdr *h)
{
	struct link_info l;
	if (h->nlmsg_type != RTM_NEWLINK)
		return;
	read_link(h, &l);
	buf_put(arg, &l, sizeof l);
}

static void keep_route(void *arg, struct nlmsghdr *h)
{
	const struct rtmsg *m = nlmsg_data(h);
	struct nlattr *dst = nlmsg_find_attr(h, sizeof *m, RTA_DST), *oif = nlmsg_find_attr(h, sizeof *m, RTA_OIF);
	struct link_route r = { .dst = { .family = m->rtm_family, .prefix = m->rtm_dst_len } };
	r.nowhere = m->rtm_type == RTN_UNREACHABLE || m->rtm_type == RTN_BLACKHOLE || m->rtm_type == RTN_PROHIBIT;
	if (h->nlmsg_type != RTM_NEWROUTE || (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_LOCAL && !r.nowhere) || !dst ||
	    nla_len(dst) > (int)sizeof r.dst.bytes)
		return;
	memcpy(r.dst.bytes, nla_data(dst), (size_t)nla_len(dst));
	r.link = oif ? (int)nla_get_u32(oif) : 0;
	buf_put(arg, &r, sizeof r);
}

/* The whole list in one piece of memory, as one moment had it: whoever walks it may change what it lists. */
static int list(struct link_sock *s, struct nl_msg *m, answer_fn *keep, struct buf *out, struct err *e)
{
	int r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < DUMP_TRIES && m; i++) {
		buf_reset(out);
		r = ask(s, m, NLM_F_DUMP, keep, out);
	}
	if (r == -EAGAIN)
		r = 0; /* it changes all the time: the last list is as good as any */
	if (!m || buf_status(out))
		r = -ENOMEM;
	return r ? err_sys(e, -r, "rtnetlink") : 0;
}

int link_each(struct link_sock *s, int (*fn)(void *arg, const struct link_info *l), void *arg, struct err *e)
{
	_cleanup_buf_ struct buf all = { 0 };
	_msg_ struct nl_msg *m = link_question(NULL);
	int r = list(s, m, keep_link, &all, e);
	for (size_t at = 0; !r && at < all.len; at += sizeof(struct link_info))
		r = fn(arg, (const void *)(all.data + at));
	return r;
}

int link_each_route(struct link_sock *s, sa_family_t family, int (*fn)(void *arg, const struct link_route *r), void *arg,
		    struct err *e)
{
	_cleanup_buf_ struct buf all = { 0 };
	struct rtmsg head = { .rtm_family = (unsigned char)family };
	_msg_ struct nl_msg *m = link_message(RTM_GETROUTE, &head, sizeof head);
	int r = list(s, m, keep_route, &all, e);
	for (size_t at = 0; !r && at < all.len; at += sizeof(struct link_route))
		r = fn(arg, (const void *)(all.data + at));
	return r;
}

struct addr_list {
	int index;
	struct buf found;
};

static void keep_addr(void *arg, struct nlmsghdr *h)
{
	struct addr_list *l = arg;
	const struct ifaddrmsg *m = nlmsg_data(h);
	struct nlattr *local = nlmsg_find_attr(h, sizeof *m, m->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS);
	struct net_addr a = { .family = m->ifa_family, .prefix = m->ifa_prefixlen };
	if (h->nlmsg_type != RTM_NEWADDR || (int)m->ifa_index != l->index || m->ifa_scope >= RT_SCOPE_LINK || !local ||
	    nla_len(local) > (int)sizeof a.bytes)
		return;
	memcpy(a.bytes, nla_data(local), (size_t)nla_len(local));
	buf_put(&l->found, &a, sizeof a);
}

int link_each_addr(struct link_sock *s, sa_family_t family, int index, int (*fn)(void *arg, const struct net_addr *a), void *arg,
		   struct err *e)
{
	struct addr_list l = { .index = index };
	struct ifaddrmsg head = { .ifa_family = (unsigned char)family };
	_msg_ struct nl_msg *m = link_message(RTM_GETADDR, &head, sizeof head);
	int r = m ? ask(s, m, NLM_F_DUMP, keep_addr, &l) : -ENOMEM;
	if (r == -EAGAIN)
		r = 0;
	if (r || buf_status(&l.found))
		err_sys(e, r ? -r : ENOMEM, "rtnetlink");
	for (size_t at = 0; !r && at < l.found.len; at += sizeof(struct net_addr))
		r = fn(arg, (const void *)(l.found.data + at));
	buf_free(&l.found);
	return r;
}

/* --- changes --- */

void link_plan(struct link_sock *s, const char *what, int passed, int built, struct nl_msg *msg)
{
	struct step *t = &s->step[s->steps++];
	*t = (struct step){ .what = what, .passed = passed, .msg = built < 0 ? NULL : msg, .result = built < 0 || !msg ? -ENOMEM : 0 };
}

static int send_steps(struct link_sock *s)
{
	struct iovec iov[BATCH_MAX];
	for (int i = 0; i < s->steps; i++) {
		if (!s->step[i].msg)
			return -ENOMEM;
		stamp(s, s->step[i].msg, NLM_F_ACK);
		iov[i] = (struct iovec){ nlmsg_hdr(s->step[i].msg), NLMSG_ALIGN(nlmsg_hdr(s->step[i].msg)->nlmsg_len) };
	}
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)s->steps };
	return sendmsg(nl_socket_get_fd(s->nl), &m, 0) < 0 ? -errno : 0;
}

/* One acknowledgement a message, in their order. */
static int read_results(struct link_sock *s)
{
	uint32_t first = s->seq - (uint32_t)s->steps + 1;
	for (int missing = s->steps; missing;) {
		ssize_t n = receive(s);
		if (n < 0)
			return (int)n;
		int left = (int)n;
		for (struct nlmsghdr *h = (void *)s->reply; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			uint32_t i = h->nlmsg_seq - first;
			if (h->nlmsg_type != NLMSG_ERROR || i >= (uint32_t)s->steps)
				continue;
			s->step[i].result = error_of(h);
			missing--;
		}
	}
	return 0;
}

int link_commit(struct link_sock *s, int *done, struct err *e)
{
	int r = send_steps(s), held = 0;
	if (!r)
		r = read_results(s);
	if (r)
		err_sys(e, -r, "rtnetlink");
	for (int i = 0; i < s->steps; i++) {
		struct step *t = &s->step[i];
		held += !t->result;
		if (!r && t->result && t->result != -t->passed)
			r = err_sys(e, -t->result, "%s", t->what);
		nlmsg_free(t->msg);
	}
	s->steps = 0;
	if (done)
		*done = held;
	return r;
}
