/* How far podfs-image is, told to the server: the P lines of image.h.
 *
 * Owns when one is due: at most five a second, none in the first fifth, none that says the same. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_PROGRESS_H
#define PODFS_IMAGE_PROGRESS_H

#include <stdint.h>

#define PROGRESS_FD 3
#define PROGRESS_MS 200 /* who waits for something looks up that often */

struct progress {
	unsigned done, layers; /* 0: not known yet */
	uint64_t bytes, total;
};

/* The time in which nothing is said begins with the first call. */
void progress_say(const struct progress *p);

#endif
