/* Entries of a tar archive, as they come.
 *
 * tar.c is the only file that includes libarchive, and uses it only to inflate (zstd or nothing, known by their
 * magic; gzip is inflate.c's) and to read headers: it never touches the disk. Readers stand one behind the
 * other, so that every byte can be counted and hashed on its way, before and after it is inflated.
 * Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_TAR_H
#define PODFS_IMAGE_TAR_H

#include "runtime/base/err.h"
#include "runtime/image/digest.h"
#include "runtime/image/source.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct tar_source {
	int fd;                /* read from where it stands; stays the caller's */
	struct growth *growth; /* as in struct source, like the next two */
	struct digest *blob;
	uint64_t *count;
	uint64_t *left;        /* inflated bytes that may still come, -EFBIG below zero; may be shared with other processes */
	struct digest *plain;  /* gets every inflated byte; may be NULL */
};

struct tar_entry { /* strings are valid until the next tar_next */
	const char *name;
	const char *link; /* target of a symbolic or hard link, else NULL */
	bool hardlink;
	mode_t type; /* S_IFREG S_IFDIR S_IFLNK S_IFCHR S_IFBLK S_IFIFO; 0: something else */
	mode_t perm;
	int64_t uid, gid;
	uint64_t size; /* what the header says */
	struct timespec mtime;
	dev_t dev;
};

struct tar;

/* Takes n from what is left, which other processes may do at the same time; false: there is less. */
bool tar_take(uint64_t *left, uint64_t n);

int tar_open(const struct tar_source *src, struct tar **out, struct err *e);
/* 1: an entry, 0: the end of the archive. -EINVAL: not a tar archive, or a damaged one. */
int tar_next(struct tar *t, struct tar_entry *out, struct err *e);
/* The next run of the entry's bytes, with its place in the file (holes are left out).
 * 1: there is one, 0: the end. Valid until the next call. */
int tar_data(struct tar *t, const void **data, size_t *len, uint64_t *off, struct err *e);
/* The entry's extended attributes, one a call, until it returns false. */
bool tar_xattr(struct tar *t, const char **name, const void **value, size_t *len);
/* Reads what stands behind the end of the archive, so that both digests have all. */
int tar_drain(struct tar *t, struct err *e);
/* So far: bytes as read, and inflated. */
void tar_sizes(const struct tar *t, uint64_t *blob, uint64_t *plain);
void tar_free(struct tar *t);

static inline void cleanup_tar(struct tar **t) { tar_free(*t); }
#define _cleanup_tar_ __attribute__((cleanup(cleanup_tar)))

#endif
