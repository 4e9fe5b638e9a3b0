/* Layers being unpacked, each by a process of its own.
 *
 * Owns the forked unpackers of one import or pull: what each reads, what it found out, how far they are. They inherit the
 * confinement of the process that forks them (confine.h) and share one budget. Runs in podfs-image.
 *
 * An unpacker reads a blob from its descriptor once, from the start: SHA-256 of the blob, inflate, SHA-256 of the plain bytes, tar,
 * files below WORK/l.ID. So neither digest need be known beforehand; who asked compares them. It
 * follows a file that still grows: at its end it waits until workers_more or workers_complete is called.
 */
#ifndef PODFS_IMAGE_WORKERS_H
#define PODFS_IMAGE_WORKERS_H

#include "runtime/image/disk.h"
#include "runtime/image/digest.h"

#include <stdbool.h>
#include <stdint.h>

#define WORKERS_MAX 8 /* at once */

struct workers;

struct unpacked {
	unsigned id;
	char blob[DIGEST_HEX + 1], diff_id[DIGEST_HEX + 1];
	uint64_t blob_size, size; /* bytes as fetched, and plain */
	struct err err;           /* err.code 0: WORK/l.ID is the whole layer */
};

/* max: bytes that all layers of the image may unpack to. */
int workers_new(struct work *w, uint64_t max, struct workers **out, struct err *e);
/* Ends those that still run. */
void workers_free(struct workers *ws);

/* True when WORKERS_MAX are at work: workers_start would refuse. */
bool workers_busy(const struct workers *ws);
/* Unpacks blob (a regular file at offset 0; duplicated) in a process of its own. grows: see above. Returns its id, > 0. */
int workers_start(struct workers *ws, int blob, bool grows, struct err *e);
void workers_more(struct workers *ws, unsigned id);     /* bytes were added */
void workers_complete(struct workers *ws, unsigned id); /* no more will be */
void workers_kill(struct workers *ws, unsigned id);     /* its outcome is told as ECANCELED */

/* To poll: readable when workers_next has something. */
int workers_fd(const struct workers *ws);
/* The next outcome. 1: filled; 0: none yet. Each start has exactly one; a process that died without a word says EIO. */
int workers_next(struct workers *ws, struct unpacked *out);
unsigned workers_running(const struct workers *ws);
/* Bytes of blobs read so far by all of them; only grows. */
uint64_t workers_bytes(const struct workers *ws);

#endif
