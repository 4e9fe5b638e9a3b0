/* A pull, in its first process: see docs/design.md, "Images".
 *
 * Owns the order of events: skopeo (fetch.h) and the unpacker (follow.h) are its children, it waits for both, for SIGTERM and for
 * time to pass. It reads no byte of an image and is not confined; what the unpacker tells it, it checks. No process
 * that it started lives longer than it.
 */
#ifndef PODFS_IMAGE_PULL_H
#define PODFS_IMAGE_PULL_H

#include "runtime/image/disk.h"

#include <stdint.h>

struct pull_job {
	const char *reference;
	uint64_t image_max;
	uint32_t stall; /* seconds without a byte before it is given up */
};

int image_pull(struct disk *d, const struct pull_job *job, struct err *e);

#endif
