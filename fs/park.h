/* Requests that wait.
 *
 * A parked request is answered by whoever takes it out, or it lapses: the kernel wants it back (^C, a signal, SIGKILL), its
 * time is over, or the server has too many. So none can be forgotten, and none keeps its caller beyond a signal.
 * Owns the link to the request, not the struct park, which is part of what the request waits for. Runs in podfs-server.
 */
#ifndef PODFS_FS_PARK_H
#define PODFS_FS_PARK_H

#include "fs/fs.h"

struct park {
	struct fs *fs;
	struct fuse_req *req; /* NULL: not parked */
	struct park *next, **pprev;
	struct timer timer;
	unsigned grace_ms;
	/* Called out of the list, when it was given up: answers req (why: -EINTR, -ETIMEDOUT, -ENFILE) and frees or
	 * keeps what p is part of. */
	void (*lapse)(struct park *p, struct fuse_req *req, int why);
};

/* Puts req into the list at its end (NULL: into none). p->lapse is set; all else need not be. deadline_ms 0: none.
 * grace_ms: how long it may go on after an interrupt, for what is done in a moment anyway. p may have lapsed on return. */
void park(struct fs *fs, struct park *p, struct park **list, struct fuse_req *req, unsigned deadline_ms, unsigned grace_ms);
/* Out again; the caller answers what it returns. */
struct fuse_req *park_take(struct park *p);

#endif
