/* What carries our names and belongs to nobody: found among the host's links, removed, and tried again where that fails.
 *
 * A veth pair ends with the pod's namespace, which the kernel removes many at a time. To remove one by name takes 35 ms of
 * waiting for grace periods, during which this process could serve nobody: so it is done only to a pair that is still there a
 * while later, because somebody keeps the namespace. */
#include "runtime/net/bridge.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"
#include "runtime/net/private.h"

#include <errno.h>
#include <string.h>

#define CHECK_MS 500
#define RETRY_MS 5000
#define ALONE_MS 1000

struct leaving {
	struct leaving *next;
	char uid[UID_LEN + 1], link[IFNAMSIZ];
	bool told; /* as a leak */
};

static struct timer check;

static bool is_leaving(struct net *n, const char *link)
{
	struct leaving *k = n->leaving;
	while (k && strcmp(k->link, link))
		k = k->next;
	return k;
}

/* Gone, or the pod's again: true. */
static bool settle(struct net *n, struct leaving *k)
{
	struct err why = { 0 };
	if (attachment_find(n, k->uid) || !link_delete(n->links, k->link, &why)) {
		if (k->told)
			server_event(n, N_FREED, *k->uid ? k->uid : NULL, "link %s", k->link);
		return true;
	}
	if (!k->told)
		server_event(n, N_LEAK, *k->uid ? k->uid : NULL, "link %s: %s", k->link, why.text);
	k->told = true;
	return false;
}

static void settle_all(struct net *n)
{
	for (struct leaving **p = &n->leaving; *p;) {
		struct leaving *k = *p;
		if (!settle(n, k)) {
			p = &k->next;
			continue;
		}
		*p = k->next;
		free(k);
	}
	if (n->leaving)
		timer_arm(&n->loop, &check, RETRY_MS);
	else
		timer_stop(&n->loop, &check);
}

static void on_check(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	settle_all(n);
	if (n->leaving)
		return;
	idle_later(n);
	leave_later(n);
}

void remove_now(struct net *n)
{
	if (n->leaving)
		settle_all(n);
}

void remove_later(struct net *n, const char *uid, const char *link)
{
	struct leaving *k = is_leaving(n, link) ? NULL : calloc(1, sizeof *k);
	if (k) {
		snprintf(k->uid, sizeof k->uid, "%s", uid);
		snprintf(k->link, sizeof k->link, "%s", link);
		k->next = n->leaving;
		n->leaving = k;
	}
	check.fn = on_check;
	if (!check.at_ns)
		timer_arm(&n->loop, &check, CHECK_MS);
}

/* --- without a server --- */

static struct timer alone;

/* Nobody says any more that a pod has gone: the kernel does, its pair goes with it. */
static void on_alone(struct timer *t)
{
	struct net *n = &net_self;
	if (n->server.watch.fd >= 0)
		return;
	for (struct attachment *a = n->pods, *next; a; a = next) {
		next = a->next;
		if (link_index(n->links, a->veth) == -ENODEV)
			detach(n, a->uid);
	}
	if (n->pods)
		timer_arm(&n->loop, t, ALONE_MS);
	else
		leave_later(n);
}

void look_alone(struct net *n)
{
	alone.fn = on_alone;
	if (n->pods)
		timer_arm(&n->loop, &alone, 0);
}

/* --- whatever carries our names --- */

struct sync {
	struct net *net;
	bool (*listed)(void *arg, const char *uid);
	void *arg;
};

static int remove_stranger(void *arg, const struct link_info *l)
{
	const struct sync *s = arg;
	char uid[UID_LEN + 1];
	uint64_t host;
	if (bridge_is_former(s->net, l))
		remove_later(s->net, "", l->name);
	if (net_alias_uid(s->net, l->alias, uid, &host) && !attachment_find(s->net, uid) && !s->listed(s->arg, uid))
		remove_later(s->net, uid, l->name);
	return 0;
}

void sync_strangers(struct net *n, bool (*listed)(void *arg, const char *uid), void *arg)
{
	struct err e = { 0 };
	struct sync s = { n, listed, arg };
	int r = link_each(n->links, remove_stranger, &s, &e);
	names_sync(n);
	if (!r)
		r = nft_forget_strangers(n->nft, &e);
	watch_pass(n);
	if (r)
		server_event(n, N_EVENT, NULL, "leftovers of other pods: %s", e.text);
	if (!n->pods)
		idle_now(n);
}
