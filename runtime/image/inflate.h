/* gzip, inflated by ISA-L: twice as fast as zlib.
 *
 * inflate.c is the only file that includes isa-l. Compressed bytes in, plain bytes out: where they come from and
 * go to is the caller's. Several members one behind the other are one stream (RFC 1952, 2.2); what stands behind the last and is no
 * member is passed over, as gzip(1) does. Runs in podfs-image. Built without ISA-L it knows no gzip, and libarchive inflates.
 */
#ifndef PODFS_IMAGE_INFLATE_H
#define PODFS_IMAGE_INFLATE_H

#include "runtime/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* The next compressed bytes, valid until the next call; 0 at the end, -1: failed, and the reader knows why. */
typedef ssize_t inflate_read_fn(void *arg, const void **out);

struct inflate;

/* Is it the beginning of a stream that this can inflate? */
bool inflate_knows(const void *start, size_t len);
int inflate_open(inflate_read_fn *read, void *arg, struct inflate **out, struct err *e);
/* The next plain bytes, valid until the next call; 0 at the end. -1: e says why, or is as it was when the reader failed. */
ssize_t inflate_next(struct inflate *i, const void **out, struct err *e);
void inflate_free(struct inflate *i); /* NULL is fine */

#endif
