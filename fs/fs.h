/* The file system in the server: what its parts share.
 *
 * Owns struct fs: one a process. Each member belongs to the file named beside it. Runs in podfs-server.
 */
#ifndef PODFS_FS_FS_H
#define PODFS_FS_FS_H

#include "fs/fuse.h"
#include "runtime/engine/engine.h"

#define HANDLE_BUCKETS 4096
#define WAIT_BUCKETS 256
#define PARKED_MAX 4096
#define REFUSALS 64

struct fs {
	struct engine *en;
	struct loop *loop;
	const struct config *cfg;
	struct session_fd *fuse;
	uint64_t started_ns; /* CLOCK_REALTIME */
	uint64_t request;    /* fuse.c: number of the request being handled */
	struct fuse_req *req; /* fuse.c: the same, while its operation runs: says who asks. NULL: none does */
	bool again;          /* fuse.c: a server that is gone had it before, and may have carried it out */
	const void *message; /* fuse.c: that request as it came, its length in its first four bytes */

	uid_t *users; /* server.c: who besides root may make pods */
	size_t nusers;
	uint16_t nonce; /* node.c */

	struct handle *handles[HANDLE_BUCKETS]; /* handle.c */

	unsigned nparked; /* park.c */

	/* wait.c: readers that wait for a change, by pod */
	struct park *waits[WAIT_BUCKETS];
	bool changed[WAIT_BUCKETS];
	struct timer settle;

	struct poller *pollers; /* pollers.c */
	struct refusal { /* dir.c: removals that were refused just now */
		uint64_t serial, at_ns;
		pid_t pid;
	} refusals[REFUSALS];
	unsigned nrefusals;

	struct ledger *ledger;  /* ledger.c; NULL: there is no keeper */
	struct stream *streams; /* stream.c */
	struct shell *shells;   /* shell.c */
	struct image_paths *paths; /* images.c */
};

/* After something changed: parked readers and pollers are asked again before the loop waits. Safe everywhere. wait.c. */
void fs_changed(void *fs, struct pod *pod, enum change what);

#endif
