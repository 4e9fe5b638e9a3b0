/* What skopeo said when it failed, as an errno and a sentence: see the table in image.h.
 *
 * Bytes in, error out: knows no process. Its words are Go's error chains, which name host and URL and are
 * not trusted: control characters go, length is bounded. Runs in podfs-image; fuzzed.
 */
#ifndef PODFS_IMAGE_FAILURE_H
#define PODFS_IMAGE_FAILURE_H

#include "runtime/base/err.h"

#include <stddef.h>

/* text: its standard error. Fills e and returns -e->code. */
int failure_of(const char *text, size_t len, const char *reference, struct err *e);

#endif
