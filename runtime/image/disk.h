/* The store's folders and its locks, for podfs-image.
 *
 * Owns STATE/images: its folders, its locks, and work folders in tmp/. Runs in podfs-image only.
 *
 * All locks are flock(2)'s, so that a killed process leaves none behind:
 *   images/lock   shared while an import decides which layers are there and commits; exclusive
 *                 while layers are removed. Not held while an archive comes in, which takes as long
 *                 as the user takes.
 *   tmp/X/lock    exclusive: each import or pull holds its own work folder's, and so do all processes that it forked: a
 *                 folder whose lock nobody holds is a dead one's and is swept away by the next that comes.
 *   layers/X      shared while a container uses the layer (podfs-pod); exclusive while it is taken out of the store.
 */
#ifndef PODFS_IMAGE_DISK_H
#define PODFS_IMAGE_DISK_H

#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

#include <dirent.h>

struct disk {
	int root, lock, layers, refs, tmp;
};

/* A folder of tmp/ that one process and its children use. */
struct work {
	int fd;   /* -1: none */
	int lock; /* a file in it: its descriptor may be kept where none of a folder may */
	char name[33];
};

/* Makes the folders if need be. The layers hold setuid programs: only root may enter. */
int disk_open(const char *state, struct disk *d, struct err *e);
void disk_close(struct disk *d);
/* For confine.h: the store has become `/`. Opens all folders anew, w's too (NULL: none); no lock of d is held. */
int disk_open_again(struct disk *d, struct work *w, struct err *e);

/* Opens the folder fd once more, to list it; NULL with errno. */
DIR *disk_list(int fd);

int disk_lock_shared(struct disk *d, struct err *e);
int disk_lock_exclusive(struct disk *d, struct err *e);
void disk_unlock(struct disk *d);

/* A new, empty work folder; removes those of the dead when nobody else uses the store. */
int work_open(struct disk *d, struct work *w, struct err *e);
/* Removes it with all that is in it. */
void work_close(struct disk *d, struct work *w);

/* Removing a tree can take minutes, and nobody is to wait for the store's lock that long. So both only move what is to go into aside,
 * a work folder that they open when there is something (fd -1: not yet), and work_close removes it
 * when the exclusive lock, which is the caller's, was given back. */

/* Work folders whose lock nobody holds. */
int disk_sweep(struct disk *d, struct work *aside, struct err *e);
/* Layers that no record names and nobody uses: all of them, or those in `only`. With a record that cannot be
 * read none is taken: it might name any of them. */
int disk_collect(struct disk *d, const struct strs *only, struct work *aside, struct err *e);

#endif
