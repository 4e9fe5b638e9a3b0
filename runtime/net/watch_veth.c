/* What others do to the host's ends of the pods' veth pairs: set down or taken out of the bridge, they are put back; deleted, the
 * server is asked for the pod's namespace, as only it has that.
 *
 * Messages of the kernel only make us look, once all that were told are read: much of it is our own doing.
 */
#include "runtime/net/bridge.h"
#include "runtime/net/link_nl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

static struct timer look;

static void put_back(struct net *n, const struct attachment *a, const struct link_info *l)
{
	char alias[LINK_ALIAS];
	struct veth v;
	struct err e = { 0 };
	pod_veth(n, a, alias, &v);
	int r = l->master == n->bridge_index ? 0 : link_set_master(n->links, &v, &e);
	if (!r && !l->up)
		r = link_set_up(n->links, l->index, &e);
	if (r)
		server_event(n, N_EVENT, a->uid, "somebody disconnected pod %s from the bridge, and it cannot be put back: %s", a->pod, e.text);
	else
		server_event(n, N_EVENT, a->uid, "somebody disconnected pod %s from the bridge: it was put back", a->pod);
}

static void look_at(struct net *n, struct attachment *a)
{
	struct link_info l;
	a->hurt = false;
	if (a->left)
		return;
	int r = link_find(n->links, a->veth, &l);
	if (r == -ENODEV)
		server_event(n, N_LOST, a->uid, "the network of pod %s is gone", a->pod);
	else if (!r && (!l.up || l.master != n->bridge_index))
		put_back(n, a, &l);
}

/* Without a bridge there is nothing to put them into: they are put into the next one (bridge.c). */
static void on_look(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	for (struct attachment *a = n->pods; a; a = a->next)
		if (a->hurt && n->bridge_whole)
			look_at(n, a);
}

static const char *name_in(const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *i));
	for (const struct rtattr *a = IFLA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_IFNAME && memchr(RTA_DATA(a), 0, RTA_PAYLOAD(a)))
			return RTA_DATA(a);
	return "";
}

void veth_told(struct net *n, const struct nlmsghdr *h)
{
	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return;
	const char *name = name_in(h);
	for (struct attachment *a = n->pods; a; a = a->next) {
		if (strcmp(a->veth, name))
			continue;
		a->hurt = true;
		look.fn = on_look;
		timer_arm(&n->loop, &look, 0);
	}
}
