/* Pods on the bridge: see private.h. What is wanted of each is kept here; what is, is the kernel's. */
#include "runtime/net/bridge.h"
#include "runtime/net/guard.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/ports.h"
#include "runtime/net/rate.h"
#include "runtime/net/spare.h"

#include <errno.h>
#include <string.h>

#define LINGER_MS 2000

struct attachment *attachment_find(struct net *n, const char *uid)
{
	struct attachment *a = n->pods;
	while (a && strcmp(a->uid, uid))
		a = a->next;
	return a;
}

/* --- numbers of pods that nobody has told us of --- */

struct found {
	struct found *next;
	char uid[UID_LEN + 1];
	uint64_t host;
};

static int note_found(void *arg, const struct link_info *l)
{
	struct net *n = arg;
	struct found f = { .next = n->found };
	struct found *keep = net_alias_uid(n, l->alias, f.uid, &f.host) && f.host ? malloc(sizeof *keep) : NULL;
	if (!keep)
		return 0;
	*keep = f;
	n->found = keep;
	return 0;
}

/* The server does not know all numbers: a record may be unreadable while its pod runs. */
static bool is_found(struct net *n, const struct attachment *want)
{
	char veth[IFNAMSIZ];
	if (!n->looked)
		n->looked = !link_each(n->links, note_found, n, NULL);
	for (const struct found *f = n->found; f; f = f->next) {
		if (f->host != want->host || !strcmp(f->uid, want->uid) || attachment_find(n, f->uid))
			continue;
		net_veth_name(f->uid, veth);
		if (link_index(n->links, veth) > 0)
			return true;
	}
	return false;
}

/* The pod as the request has it; NULL: no memory. */
static struct attachment *describe(struct net *n, const struct attach_request *q, struct err *e)
{
	struct attachment want = { 0 };
	snprintf(want.uid, sizeof want.uid, "%s", q->uid);
	snprintf(want.pod, sizeof want.pod, "%s", q->pod);
	net_veth_name(q->uid, want.veth);
	want.host = q->host;
	for (int i = 0; i < 2; i++)
		if (q->host <= 1 || addr_host(&n->subnet[i], q->host, &want.addr[i])) {
			err_set(e, ERANGE, "pod %s: host number %llu is none of the subnet's", q->pod, (unsigned long long)q->host);
			return NULL;
		}
	for (struct attachment *a = n->pods; a; a = a->next)
		if (strcmp(a->uid, want.uid) && (addr_is(&a->addr[0]) ? addr_same(&a->addr[0], &want.addr[0]) :
			addr_same(&a->addr[1], &want.addr[1]))) {
			err_set(e, EADDRINUSE, "pod %s: its address is pod %s's", q->pod, a->pod);
			return NULL;
		}
	if (is_found(n, &want)) {
		err_set(e, EADDRINUSE, "pod %s: its address is another pod's", q->pod);
		return NULL;
	}
	struct attachment *a = malloc(sizeof *a);
	if (!a)
		err_set(e, ENOMEM, "no memory");
	else
		*a = want;
	return a;
}

/* --- the veth pair --- */

void pod_veth(const struct net *n, const struct attachment *a, char alias[LINK_ALIAS], struct veth *out)
{
	*out = (struct veth){ .name = a->veth, .alias = alias, .master = n->bridge_index, .peer_ns = -1, .group = net_group(n), .addr = a->addr };
	net_alias(n, a, alias);
	net_mac(a->addr, out->mac);
	net_mac(n->gateway, out->host_mac);
}

static int add_veth(struct net *n, const struct attachment *a, int netns, struct err *e)
{
	char alias[LINK_ALIAS];
	struct veth v;
	pod_veth(n, a, alias, &v);
	v.peer_ns = netns;
	/* The second time for a bridge that is gone, the third for a pair of this pod whose namespace is. */
	for (int tries = 0;; tries++) {
		int r = bridge_ensure(n, e);
		if (r)
			return r;
		v.master = n->bridge_index;
		r = link_add_veth(n->links, &v, e);
		if (!r || tries == 2)
			return r;
		if (r == -EEXIST)
			r = link_delete(n->links, a->veth, e);
		else
			bridge_lost(n);
		if (r == -EPERM || r == -EOPNOTSUPP)
			return r;
	}
}

/* Whether the pair is whole: here in the bridge, there an eth0. */
static bool has_veth(struct net *n, const struct attachment *a, struct link_sock *inside)
{
	struct link_info l;
	struct veth v;
	char alias[LINK_ALIAS];
	pod_veth(n, a, alias, &v);
	return !link_find(n->links, a->veth, &l) && link_index(inside, "eth0") > 0 && !link_set_master(n->links, &v, NULL) &&
		!link_neighbours(n->links, n->bridge_index, a->addr, v.mac, true, NULL) && (l.up || !link_set_up(n->links, l.index, NULL));
}

static int connect_pod(struct net *n, const struct attachment *a, const struct netns *ns, bool whole, int *repaired, struct err *e)
{
	unsigned char mac[6];
	int r = whole ? 0 : add_veth(n, a, ns->fd, e);
	if (r)
		return r;
	struct net_addr local = { .family = AF_UNSPEC };
	struct link_addrs addrs = { .index = link_index(ns->links, "eth0"), .addr = a->addr, .gateway = n->gateway, .local = &local };
	if (addrs.index < 0)
		return err_sys(e, -addrs.index, "eth0 of pod %s", a->pod);
	net_mac(n->gateway, addrs.gateway_mac);
	net_mac(a->addr, mac);
	if (addr_is(&a->addr[1]))
		net_link_local(mac, &local);
	return link_add_addrs(ns->links, &addrs, repaired, e);
}

/* A namespace of our making, or the pod's: there the veth pair may be whole. */
static int connect_fresh(struct net *n, const struct attachment *a, int *netns, struct err *e)
{
	struct netns ns;
	int r = spare_take(n, &ns, e);
	if (r)
		return r;
	r = connect_pod(n, a, &ns, false, NULL, e);
	if (!r)
		*netns = take_fd(&ns.fd);
	netns_close(&ns);
	spare_refill_later(n);
	return r;
}

static int connect_again(struct net *n, const struct attachment *a, int fd, struct err *e)
{
	struct netns ns;
	int repaired = 0, r = netns_enter(fd, &ns, e);
	if (r)
		return r;
	bool whole = has_veth(n, a, ns.links);
	r = connect_pod(n, a, &ns, whole, &repaired, e);
	netns_close(&ns);
	if (!r && repaired)
		server_event(n, N_EVENT, a->uid, whole ? "addresses or routes of pod %s were missing: they are there again" :
			"the network of pod %s was missing: it is there again", a->pod);
	return r;
}

/* --- attach and detach --- */

static void unlink_attachment(struct net *n, struct attachment *a)
{
	for (struct attachment **p = &n->pods; *p; p = &(*p)->next)
		if (*p == a) {
			*p = a->next;
			return;
		}
}

/* Takes the place of what was known of this pod. */
static void enlist(struct net *n, struct attachment *a)
{
	struct attachment *old = attachment_find(n, a->uid);
	if (old) {
		a->rate_in = old->rate_in;
		a->rate_out = old->rate_out;
		unlink_attachment(n, old);
		if (strcmp(old->pod, a->pod))
			names_drop(n, old);
		free(old);
	}
	a->next = n->pods;
	n->pods = a;
	timer_stop(&n->loop, &n->idle);
}

static void forget_neighbour(struct net *n, const struct attachment *a)
{
	unsigned char mac[6];
	net_mac(a->addr, mac);
	if (n->bridge_index)
		link_neighbours(n->links, n->bridge_index, a->addr, mac, false, NULL);
}

static void undo(struct net *n, const struct attachment *a)
{
	forget_neighbour(n, a);
	link_delete(n->links, a->veth, NULL);
	idle_later(n);
}

int attach(struct net *n, const struct attach_request *q, int *netns, struct err *e)
{
	*netns = -1;
	int r = bridge_ensure(n, e); /* before all else: the addresses follow from its subnets */
	struct attachment *a = r ? NULL : describe(n, q, e);
	if (!a) {
		idle_later(n);
		return r ? r : -e->code;
	}
	r = q->netns < 0 ? connect_fresh(n, a, netns, e) : connect_again(n, a, q->netns, e);
	bool known = attachment_find(n, a->uid);
	if (r) {
		if (!known)
			undo(n, a);
		free(a);
		return r;
	}
	enlist(n, a);
	r = guard_cover(n, a->host, e);
	if (!r)
		r = names_put(n, a, e);
	if (!r && (q->rate_in || q->rate_out || a->rate_in || a->rate_out))
		r = rate_set(n, a, q->rate_in, q->rate_out, e);
	if (!r)
		return 0;
	if (!known)
		detach(n, a->uid);
	close_fd(netns);
	return r;
}

void attachment_leave(struct net *n, struct attachment *a)
{
	ports_drop(n, a->uid);
	watch_pass(n);
	names_drop(n, a);
	a->left = true;
}

/* A pod whose attachment a process before this one made. */
static void detach_unknown(struct net *n, const char *uid)
{
	char veth[IFNAMSIZ];
	net_veth_name(uid, veth);
	if (link_index(n->links, veth) > 0)
		remove_later(n, uid, veth);
	else
		idle_later(n);
}

void detach(struct net *n, const char *uid)
{
	struct attachment *a = attachment_find(n, uid);
	if (!a) {
		detach_unknown(n, uid);
		return;
	}
	attachment_leave(n, a);
	rate_drop(n, a);
	forget_neighbour(n, a);
	remove_later(n, uid, a->veth);
	unlink_attachment(n, a);
	free(a);
	idle_later(n);
}

/* --- nothing attached --- */

void idle_now(struct net *n)
{
	timer_stop(&n->loop, &n->idle);
	if (n->pods)
		return;
	spare_drop_all(n);
	struct err e = { 0 };
	int r = bridge_remove(n, &e);
	if (r == -EBUSY) /* ports of pods that are not attached any more, and go by themselves */
		idle_later(n);
	else if (r)
		server_event(n, N_EVENT, NULL, "what is left of the pods' network: %s", e.text);
}

static void on_idle(struct timer *t UNUSED)
{
	idle_now(&net_self);
}

void idle_later(struct net *n)
{
	n->idle.fn = on_idle;
	if (!n->pods)
		timer_arm(&n->loop, &n->idle, LINGER_MS);
}
