/* What a file of the tree is about: the things its functions need.
 *
 * Made anew for each request from the node id, so it never outlives one: a pod that has
 * gone answers ENODEV before any function of a row runs. Runs in podfs-server.
 */
#ifndef PODFS_FS_REF_H
#define PODFS_FS_REF_H

#include "runtime/engine/engine.h"

struct fuse_req;

struct ref {
	struct engine *en;
	struct pod *pod;      /* NULL for the node's own files */
	struct container *c;  /* NULL for the pod's own files */
	struct session *s;    /* only in exec/SESSION/ */
	const char *path;     /* only in .node/images: path below it */
	/* Of a text that is about several pods: whether who asks may look into that one. NULL: into all. */
	bool (*sees)(const struct ref *r, const struct pod *p);
	struct fuse_req *req; /* for sees */
};

static inline bool ref_sees(const struct ref *r, const struct pod *p) { return !r->sees || r->sees(r, p); }

/* Appends what a read of the file gives. 0, or -errno: then the open fails with it. */
typedef int show_fn(const struct ref *r, struct buf *out);

#endif
