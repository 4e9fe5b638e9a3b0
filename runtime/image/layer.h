/* One layer of the store: layers/HEX.
 *
 * Owns what a layer folder is: named by its diff id, whole once it has that name, never
 * changed afterwards, shared by all images that have it. Unpacking is workers.h's. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_LAYER_H
#define PODFS_IMAGE_LAYER_H

#include "runtime/image/disk.h"
#include "runtime/image/workers.h"

/* Is it in the store, or in the work folder (by layer_keep)? */
bool layer_is_there(struct disk *d, struct work *w, const char *diff_id);
/* What an unpacker made becomes the layer of its diff id in the work folder, with its size and blob noted. One that is there
 * already wins. u->err.code is 0. */
int layer_keep(struct work *w, const struct unpacked *u, struct err *e);
/* Publishes the layers that are whole in the work folder, after a syncfs: a pull that failed leaves them for the next. What
 * refers to them comes afterwards. One that is in the store already is left there. */
int layer_publish_all(struct disk *d, struct work *w, struct err *e);
/* Calls fn for each layer of the store that remembers its blob; what fn returns, if not 0, ends it. */
typedef int layer_fn(void *arg, const char *diff_id, const char *blob, uint64_t blob_size);
int layer_each(struct disk *d, layer_fn *fn, void *arg, struct err *e);
/* Of a layer in the store or the work folder: its uncompressed bytes, and whether it hides all below. */
int layer_look(struct disk *d, struct work *w, const char *diff_id, uint64_t *size, bool *hides_below, struct err *e);

#endif
