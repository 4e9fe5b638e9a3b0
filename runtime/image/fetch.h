/* skopeo, which speaks to registries.
 *
 * Owns the skopeo processes of one pull: started with the node's environment and configuration, ended with it, their words turned into
 * a cause (failure.h). Runs in podfs-image, in its first process, which stays outside of the confinement, reads no
 * byte of an image, and only waits.
 */
#ifndef PODFS_IMAGE_FETCH_H
#define PODFS_IMAGE_FETCH_H

#include "runtime/base/err.h"

#include <stdbool.h>

/* 0, or -ENOSYS: there is no skopeo in PATH. */
int fetch_available(struct err *e);

#endif
