/* One plugin of a chain, called once: what it is given (SPEC.md, "Parameters"), and what its end means.
 *
 * Owns nothing. Runs in podfs-net.
 */
#ifndef PODFS_NET_CNI_STEP_H
#define PODFS_NET_CNI_STEP_H

#include "runtime/net/cni_json.h"
#include "runtime/net/cni_run.h"

struct cni_step {
	const char *command; /* ADD, CHECK, DEL */
	const struct cni_record *record;
	size_t plugin;
	const struct json_t *prev; /* result before; NULL: none */
	int netns;                 /* -1: it is not known any more */
	const char *folders;       /* of plugins */
};

/* CNI_NETNS: our own descriptor, which every process of the host may open by that name; "" for -1. */
void cni_netns_name(int netns, char out[64]);
int cni_step_start(struct cni_run *r, const struct cni_step *s, struct err *e);
/* It has ended. 0: well, and *result (NULL: not wanted) is what it printed. Else -errno, e names plugin and cause. */
int cni_step_verdict(const struct cni_run *r, const struct cni_step *s, struct json_t **result, struct err *e);
/* "CNI plugin bridge (ADD of network blue): " before e's words. */
int cni_step_blame(const struct cni_step *s, struct err *e);

#endif
