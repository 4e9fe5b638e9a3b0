/* What carries our names and belongs to nobody: found among the host's links, removed, and tried again where that fails. */
#include "runtime/net/bridge.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"
#include "runtime/net/private.h"

#include <errno.h>
#include <string.h>

#define RETRY_MS 5000

struct leak {
	struct leak *next;
	char uid[UID_LEN + 1], link[IFNAMSIZ];
};

static struct timer retry;

static struct leak *find_leak(struct net *n, const char *link)
{
	struct leak *k = n->leaks;
	while (k && strcmp(k->link, link))
		k = k->next;
	return k;
}

static void on_retry(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	for (struct leak **p = &n->leaks; *p;) {
		struct leak *k = *p;
		if (!attachment_find(n, k->uid) && link_delete(n->links, k->link, NULL)) {
			p = &k->next;
			continue;
		}
		*p = k->next;
		server_event(n, N_FREED, k->uid, "link %s", k->link);
		free(k);
	}
	if (n->leaks)
		timer_arm(&n->loop, &retry, RETRY_MS);
}

void leak_add(struct net *n, const char *uid, const char *link, const struct err *why)
{
	struct leak *k = find_leak(n, link) ? NULL : calloc(1, sizeof *k);
	if (k) {
		snprintf(k->uid, sizeof k->uid, "%s", uid);
		snprintf(k->link, sizeof k->link, "%s", link);
		k->next = n->leaks;
		n->leaks = k;
	}
	server_event(n, N_LEAK, uid, "link %s: %s", link, why->text);
	retry.fn = on_retry;
	if (!retry.at_ns)
		timer_arm(&n->loop, &retry, RETRY_MS);
}

static int remove_stranger(void *arg, const struct link_info *l)
{
	struct net *n = arg;
	struct err why = { 0 };
	char uid[UID_LEN + 1];
	if (net_alias_uid(n, l->alias, uid) && !attachment_find(n, uid) && link_delete(n->links, l->name, &why))
		leak_add(n, uid, l->name, &why);
	return 0;
}

void sync_strangers(struct net *n)
{
	struct err e = { 0 };
	int r = link_each(n->links, remove_stranger, n, &e);
	names_sync(n);
	if (!r)
		r = nft_forget_strangers(n->nft, &e);
	watch_pass(n);
	if (r)
		server_event(n, N_EVENT, NULL, "leftovers of other pods: %s", e.text);
	if (!n->pods)
		idle_now(n);
}
