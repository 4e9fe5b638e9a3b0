/* One inode of a layer: made as the archive's entry says.
 *
 * Works on single names in an open folder; where the folder is, is beneath.c's. What already has the name
 * gives way (of two entries of one name the later counts), except that a folder takes a folder's
 * entry as new settings. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_NODE_H
#define PODFS_IMAGE_NODE_H

#include "runtime/base/err.h"
#include "runtime/image/tar.h"

#include <stdbool.h>

struct node_in {
	int folder;       /* O_PATH */
	const char *name; /* in it */
	bool *replaced;   /* set when something gave way */
};

/* Each sets owner, extended attributes, mode and (but a folder's) time as well. */
int node_file(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e);
/* ino: what it is known by, under whatever name. */
int node_folder(const struct node_in *n, struct tar *t, const struct tar_entry *te, ino_t *ino, struct err *e);
int node_symlink(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e);
/* Device nodes and FIFOs. */
int node_special(const struct node_in *n, struct tar *t, const struct tar_entry *te, struct err *e);
/* A second name for what is folder/name. */
int node_link(const struct node_in *n, int folder, const char *name, struct err *e);
/* overlayfs' mark for a removed file. */
int node_whiteout(const struct node_in *n, struct err *e);

/* Settings of a folder that is there, its time excepted: what is put into it changes that. */
int node_set_folder(int fd, struct tar *t, const struct tar_entry *te, ino_t *ino, struct err *e);

#endif
