/* Folders of a layer being unpacked, reached so that nothing leads out of it.
 *
 * Owns the descriptor of the folder worked in last: entries of one folder come in a row. Every
 * folder is opened with openat2(RESOLVE_BENEATH) from the layer's root, everything else is done to a single name
 * in an open folder, never following a link. Runs in podfs-image.
 *
 * A folder may be named through a symbolic link of the same layer (`lib -> usr/lib`, then `lib/x`) as long
 * as the link is relative and stays in the layer; an absolute one or one that leads out is refused,
 * as no layer needs it and every careless reader would follow it to the host.
 */
#ifndef PODFS_IMAGE_BENEATH_H
#define PODFS_IMAGE_BENEATH_H

#include "runtime/base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct beneath {
	int root;           /* the layer's root; the caller's */
	int folder;         /* O_PATH descriptor of `dir`; -1: none yet */
	char dir[PATH_MAX];
};

/* Opens the clean name dir ("" is the root); missing folders are made (0755 root:root). The
 * descriptor stays b's and is good until the next call. */
int beneath_folder(struct beneath *b, const char *dir, bool create, struct err *e);
/* The folder worked in last may have been removed or replaced. */
void beneath_forget(struct beneath *b);

/* Makes the folder NAME. A whiteout of that name gives way and the new folder is opaque: what it hid
 * stays hidden. -EEXIST: something else is there. */
int beneath_mkdir(int folder, const char *name, mode_t mode, struct err *e);
/* Marks a folder as overlayfs wants it (kernel, Documentation/filesystems/overlayfs.rst). */
int beneath_set_opaque(int fd, struct err *e);
/* Is it overlayfs' mark for a removed file, a 0:0 character device? */
bool beneath_is_whiteout(int folder, const char *name);

#endif
