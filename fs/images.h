/* .node/images: references as paths, and archives that arrive there.
 *
 * A reference's slashes are folders, so paths are numbered by their hash; a number that is not known is looked for
 * among the images. Owns the names that were looked up, folders that were made and are still empty, and the
 * uploads. Runs in podfs-server.
 */
#ifndef PODFS_FS_IMAGES_H
#define PODFS_FS_IMAGES_H

#include "fs/node.h"

const char *image_path(struct fs *fs, uint64_t serial); /* NULL: unknown */
int image_child(const struct node *dir, const char *name, struct node *out);
void image_list(const struct node *dir, entry_fn *fn, void *arg);
/* A name that an archive is to be written to. */
int image_create(const struct node *dir, const char *name, struct node *out);
int image_mkdir(const struct node *dir, const char *name, struct node *out);
int image_rmdir(const struct node *n);

#endif
