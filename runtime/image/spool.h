/* The members of the outer archive, laid aside: an archive comes through a pipe and its parts in
 * any order, but the parts refer to one another. A layout that skopeo has written is seen the same way.
 *
 * Owns the folder `members` in an import's work folder: each regular file of the archive is there under
 * a number (its name never becomes a path), with its size and SHA-256. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_SPOOL_H
#define PODFS_IMAGE_SPOOL_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/image/digest.h"
#include "runtime/spec/spec.h"

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_MEMBERS_MAX 10000
#define SPOOL_NAMES_MAX (4 * 1024 * 1024) /* bytes of names and links */

struct member {
	char *name;
	char *link; /* a link: name of the member that it stands for; else NULL */
	uint64_t size;
	char hex[DIGEST_HEX + 1];
	char file[80]; /* in the folder */
	bool placeholder; /* a blob whose layer is in the store: its bytes are not here */
};

struct spool {
	int dir;
	bool layout; /* the folder is an OCI layout, its members have their own names */
	struct member *v;
	size_t n, names; /* names: bytes of names and links */
};

/* Reads the archive from fd to its end; it may hold max bytes. */
int spool_read(int work, int fd, uint64_t max, struct spool *out, struct err *e);
/* An OCI layout in a folder, as skopeo writes it. known: blobs whose digests have been checked already (by
 * unpacking them); the others are hashed, placeholders have the digest of their name. Both lists are sorted. */
int spool_layout(int layout, struct strs *known, struct strs *placeholders, struct spool *out, struct err *e);
void spool_free(struct spool *s);

/* NULL: not in the archive. Goes through the archive's links. */
const struct member *spool_find(const struct spool *s, const char *name);
/* The blob of that digest, its bytes checked. -EINVAL, -EBADMSG. */
int spool_blob(const struct spool *s, const char *hex, const struct member **out, struct err *e);
int spool_open(const struct spool *s, const struct member *m, struct err *e); /* a descriptor or -errno */
/* Its text; -EFBIG beyond JSON_FILE_MAX. */
int spool_text(const struct spool *s, const struct member *m, struct buf *out, struct err *e);
/* No longer needed: gives the disk space back. */
void spool_drop(const struct spool *s, const struct member *m);
/* The same of a blob in a layout that is still being written. */
void blob_hollow(int dir, const char *file);

#endif
