/* Pods made by hand, and stand-ins for what the texts ask: engine, cgroups, image store, log.
 *
 * A stand-in answers from the struct it is asked about or from `fake`.
 */
#ifndef PODFS_TEST_PODS_H
#define PODFS_TEST_PODS_H

#include "fs/show_text.h"

struct fake {
	enum pod_phase phase;
	struct cg_use use; /* of every group */
	int use_result;
	const struct image *image;
	const struct pull *pulls;
	unsigned more_waiters; /* than the node's two containers */
	uint64_t log_size, log_oldest;
};
extern struct fake fake;

/* A running pod `web` of `nginx` and `probe`, in an engine of its own. One at a time. */
struct node {
	struct engine en;
	struct pod pod;
	struct pod *pods[1];
	struct container c[2];
	struct container *containers[2];
	struct config cfg;
};
void node_begin(struct node *n);
void node_end(struct node *n);
/* Sets a setting of the pod (c NULL) or container. */
void node_set(struct node *n, struct container *c, const char *file, const char *text);

/* What the file reads. Owned by the caller. */
char *shown(struct node *n, struct container *c, show_fn *fn);

#endif
