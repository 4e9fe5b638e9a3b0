/* What skopeo said when it failed, as an errno and a sentence: see the table in image.h.
 *
 * Bytes in, error out: knows no process. Its words are Go's error chains, which name host and URL and are
 * not trusted: control characters go, length is bounded. Runs in podfs-image; fuzzed.
 */
#ifndef PODFS_IMAGE_FAILURE_H
#define PODFS_IMAGE_FAILURE_H

#include "runtime/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* text: its standard error. The sentence is the cause, then skopeo's own words from behind the reference on (a short name of
 * which is enough). Fills e and returns -e->code. */
int failure_of(const char *text, size_t len, const char *reference, struct err *e);
/* Did it fail because the registry HOST[:PORT], and no mirror of it, speaks plain HTTP? */
bool failure_is_plain_http(const char *text, size_t len, const char *host);

#endif
