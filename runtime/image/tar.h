/* Entries of a tar archive, as they come.
 *
 * tar.c is the only file that includes libarchive, and uses it only to inflate (gzip, zstd, or
 * nothing, known by their magic) and to read headers: it never touches the disk. Two readers stand one
 * behind the other, so that every inflated byte can be counted and hashed on its way.
 * Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_TAR_H
#define PODFS_IMAGE_TAR_H

#include "runtime/base/err.h"
#include "runtime/image/digest.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct tar_source {
	int fd;               /* read from where it stands; stays the caller's */
	uint64_t *left;       /* inflated bytes that may still come; counted down, -EFBIG below zero */
	struct digest *plain; /* gets every inflated byte; may be NULL */
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

/* Set by a signal handler: every read then fails with -ECANCELED. */
extern volatile sig_atomic_t tar_cancelled;

int tar_open(const struct tar_source *src, struct tar **out, struct err *e);
/* 1: an entry, 0: the end of the archive. -EINVAL: not a tar archive, or a damaged one. */
int tar_next(struct tar *t, struct tar_entry *out, struct err *e);
/* The next run of the entry's bytes, with its place in the file (holes are left out).
 * 1: there is one, 0: the end. Valid until the next call. */
int tar_data(struct tar *t, const void **data, size_t *len, uint64_t *off, struct err *e);
/* The entry's extended attributes, one a call, until it returns false. */
bool tar_xattr(struct tar *t, const char **name, const void **value, size_t *len);
/* Reads what stands behind the end of the archive, so that src.plain has all. */
int tar_drain(struct tar *t, struct err *e);
void tar_free(struct tar *t);

static inline void cleanup_tar(struct tar **t) { tar_free(*t); }
#define _cleanup_tar_ __attribute__((cleanup(cleanup_tar)))

#endif
