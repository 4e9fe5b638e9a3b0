/* The unpacker of a pull, its second process.
 *
 * Owns what is unpacked while skopeo still fetches: inotify says which blobs of WORK/layout begin, grow and are whole, and
 * an unpacker follows each (workers.h). What was finished is kept whatever becomes of the pull. Runs in podfs-image, confined, forked by
 * pull.c, to which it speaks over a SOCK_SEQPACKET pair.
 *
 * A blob that begins with `{` is a config, no layer. What could not be unpacked on the way, image_store unpacks.
 */
#ifndef PODFS_IMAGE_FOLLOW_H
#define PODFS_IMAGE_FOLLOW_H

#include "runtime/image/digest.h"
#include "runtime/image/pull.h"

enum pull_word {
	/* from the unpacker */
	PULL_READY,  /* skopeo may be started; again: something that was there is not there any more */
	PULL_ALIVE,  /* bytes came or were unpacked; at most twice a second */
	PULL_WANTED, /* the registry's manifest `hex` would say how much there is */
	PULL_DONE,   /* the verdict: err */
	/* to it */
	PULL_FETCHED,  /* skopeo has ended: err */
	PULL_MANIFEST, /* FOLLOW_MANIFEST holds the manifest or index that was asked for */
};

struct pull_message {
	enum pull_word word;
	struct err err;
	char hex[DIGEST_HEX + 1];
};

#define FOLLOW_MANIFEST "manifest"

int follow_say(int link, const struct pull_message *m); /* 0 or -errno */
/* 1: there was one, 0: none now, -errno; -ECONNRESET: the other end is gone. Texts are terminated. */
int follow_hear(int link, struct pull_message *m);

/* All of its life, from the fork on; w is locked by its parent. Ends with PULL_DONE. */
void follow(struct disk *d, struct work *w, const struct pull_job *job, int link);

#endif
