/* Openings of files and folders.
 *
 * A handle has the number of the request that opened it: the kernel uses none twice in a mount, so those of another server
 * are never mistaken for one's own, and an open that is sent again gets the number that it had. Owns struct handle and what its kind put into it. Runs in podfs-server.
 */
#ifndef PODFS_FS_HANDLE_H
#define PODFS_FS_HANDLE_H

#include "fs/node.h"
#include "runtime/base/buf.h"

struct handle {
	struct fs *fs;
	uint64_t fh;
	struct handle *next;
	uint64_t ino;
	const struct row *row;
	int flags;       /* of open(2) */
	uid_t uid;       /* who opened it */
	unsigned open_flags; /* as its kind has them, or changed by its open */
	struct buf text; /* kinds that make their content when it is asked for */
	void *data;      /* the kind's own */
};

struct handle *handle_new(struct fs *fs, const struct node *n, int flags, uid_t uid); /* NULL: no memory */
/* With a number that another server gave. */
struct handle *handle_adopt(struct fs *fs, const struct node *n, uint64_t fh, int flags, uid_t uid);
struct handle *handle_find(struct fs *fs, uint64_t fh); /* NULL: unknown */
void handle_free(struct handle *h); /* without asking its kind */

static inline bool handle_reads(const struct handle *h) { return (h->flags & 3) != 1; }
static inline bool handle_writes(const struct handle *h) { return (h->flags & 3) != 0; }

/* Its node as it is now: as node_get. */
static inline int handle_node(struct handle *h, struct node *out) { return node_get(h->fs, h->ino, out); }

/* file.c: ends a parked open. req may be NULL in the second one. */
void file_opened(struct handle *h, struct fuse_req *req);
void file_not_opened(struct handle *h, struct fuse_req *req, int r);
/* EPOLL… events that hold now. */
unsigned file_ready(struct handle *h);

/* A read of h->text. */
void handle_reply_text(struct handle *h, struct fuse_req *req, size_t size, uint64_t off);
/* The same of any run of bytes. */
void reply_slice(struct fuse_req *req, const void *mem, size_t len, size_t size, uint64_t off);

#endif
