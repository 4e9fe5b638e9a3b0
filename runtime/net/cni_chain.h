/* Attachments of pods to CNI networks: a chain of plugins each, run by ADD, CHECK and DEL.
 *
 * Owns the attachments, their cached records and the processes that run for them. What ADD is about to do is on disk before
 * its first plugin runs, so that whatever becomes of this process, DEL finds it. An ADD that fails is followed by DEL; a DEL that fails is
 * tried again until it holds. Each chain has CNI_DEADLINE_S; at most CNI_AT_ONCE run at a time, others wait in a row. Nothing
 * blocks. Runs in podfs-net, knows none of its messages.
 */
#ifndef PODFS_NET_CNI_CHAIN_H
#define PODFS_NET_CNI_CHAIN_H

#include "runtime/base/loop.h"
#include "runtime/net/cni_json.h"

#include <stdbool.h>

#define CNI_AT_ONCE 8
#define CNI_RETRY_MS 1000 /* doubled with each failure, up to: */
#define CNI_RETRY_MAX_MS 60000

struct cni;

struct cni_setup {
	struct loop *loop;
	const char *conf, *bin, *cache; /* /etc/cni/net.d; folders of plugins; the folder of records, made when there is one */
	unsigned deadline_ms, retry_ms;
	void *arg;
	void (*leak)(void *arg, const char *uid, const char *words); /* DEL does not hold; it is tried again */
	void (*freed)(void *arg, const char *uid);                   /* what was told as a leak is gone */
};

/* What ADD has brought: ADDRESS/PREFIX each, and addresses of name servers. */
struct cni_answer {
	struct strs addrs, dns;
};
/* e NULL: it went well. got: of ADD. */
typedef void cni_done(void *arg, const struct err *e, const struct cni_answer *got);

struct cni_request {
	const char *uid, *pod, *network;
	int netns; /* borrowed */
	const struct port *ports;
	size_t nports;
	uint64_t rate_in, rate_out;
};

int cni_open(struct cni **out, const struct cni_setup *s, struct err *e); /* s's strings must outlive it */
void cni_close(struct cni **c); /* ends what runs; records stay */

/* done is called once each, perhaps before these return. */
/* Attached already to the same namespace: at once. A leftover of another namespace is deleted first. */
void chain_add(struct cni *c, const struct cni_request *q, cni_done *done, void *arg);
/* netns: -1, or the pod's namespace where this process may not know it. Nothing to delete: 0 at once. done tells how the first
 * try went. */
void chain_del(struct cni *c, const char *uid, int netns, cni_done *done, void *arg);
void chain_check(struct cni *c, const char *uid, int netns, cni_done *done, void *arg);
/* Every pod that has a record. */
void chain_each(struct cni *c, void (*fn)(void *arg, const char *uid), void *arg);
bool chain_any(const struct cni *c); /* something is attached, or under way */

#endif
