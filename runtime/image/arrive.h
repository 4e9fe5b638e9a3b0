/* Blobs as skopeo writes them into WORK/layout, each followed by an unpacker.
 *
 * Owns the inotify descriptor and the table of blobs: which there are, how large they have become, which process of workers.h
 * reads them. Knows by its first byte that a blob is a config. Runs in podfs-image, in a pull's second process.
 */
#ifndef PODFS_IMAGE_ARRIVE_H
#define PODFS_IMAGE_ARRIVE_H

#include "runtime/image/workers.h"

#define BLOBS_MAX 256 /* of one pull; an image has half as many layers */

struct blob {
	char name[32]; /* in the layout, while it grows */
	char hex[DIGEST_HEX + 1], diff_id[DIGEST_HEX + 1];
	uint32_t cookie; /* of its renaming */
	int fd;
	unsigned worker; /* 0: none at work */
	uint64_t size;
	bool fresh;  /* there is something to be told to its worker */
	bool whole;  /* skopeo has checked it and given it its name */
	bool passed; /* it is not unpacked here, or no more; watched until it is whole */
	struct err err; /* why it could not be unpacked */
};

struct arrivals {
	int inotify, growing_wd, whole_wd;
	struct blob v[BLOBS_MAX];
	size_t n;
	uint64_t rest_until; /* CLOCK_MONOTONIC ns: look at inotify again no sooner */
	bool grown;          /* bytes have come; to be reset by whoever asks */
	bool too_many;
};

/* Before confine(): what comes later is seen from inside as well. */
int arrive_watch(struct arrivals *a, int work, struct err *e);
/* Takes what inotify has. */
void arrive_look(struct arrivals *a, struct workers *ws);
/* Starts unpackers and tells them what has come. -EFBIG: more than max bytes have, whatever they are. */
int arrive_feed(struct arrivals *a, int layout, struct workers *ws, uint64_t max, struct err *e);
/* Those that are not whole, or all, are not unpacked any more. */
void arrive_pass(struct arrivals *a, struct workers *ws, bool whole_too);
/* Is there one that is neither unpacked nor passed over? */
bool arrive_waiting(const struct arrivals *a);
struct blob *arrive_worker(struct arrivals *a, unsigned id); /* NULL: none has that */

#endif
