/* SHA-256, the only digest of the store.
 *
 * digest.c is the only file that includes libcrypto. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_DIGEST_H
#define PODFS_IMAGE_DIGEST_H

#include "runtime/base/err.h"

#include <stddef.h>

#define DIGEST_HEX 64

struct digest {
	void *ctx; /* NULL: not begun */
};

int digest_begin(struct digest *d, struct err *e);
void digest_add(struct digest *d, const void *data, size_t len);
/* Writes 64 lower-case hex digits and a NUL; d is as before digest_begin afterwards. */
int digest_end(struct digest *d, char hex[DIGEST_HEX + 1], struct err *e);
void digest_free(struct digest *d);
#define _cleanup_digest_ __attribute__((cleanup(digest_free)))

/* All at once. */
int digest_of(const void *data, size_t len, char hex[DIGEST_HEX + 1], struct err *e);

/* Is it 64 lower-case hex digits? */
int digest_is_hex(const char *text, size_t len);
/* `sha256:HEX` to HEX. Other algorithms are refused by name (-EINVAL). */
int digest_parse(const char *text, char hex[DIGEST_HEX + 1], struct err *e);

#endif
