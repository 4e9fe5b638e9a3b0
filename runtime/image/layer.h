/* One layer: from its blob to layers/HEX.
 *
 * Owns what a layer folder is: named by its diff id, whole once it has that name, never
 * changed afterwards, shared by all images that have it. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_LAYER_H
#define PODFS_IMAGE_LAYER_H

#include "runtime/image/disk.h"
#include "runtime/image/spool.h"
#include "runtime/image/workers.h"

/* What an image may still take. */
struct layer_budget {
	uint64_t bytes; /* uncompressed */
	uint64_t entries;
};

/* Unpacks the blob into the work folder, unless the layer is in the store or the work folder already.
 * Checks the uncompressed bytes against the diff id. 1: unpacked, 0: it was there. */
int layer_unpack(struct disk *d, struct work *w, const struct spool *s, const struct member *blob,
		 const char *diff_id, struct layer_budget *budget, struct err *e);
/* What an unpacker made becomes the layer of its diff id in the work folder, with its size and blob noted. One that is there
 * already wins. */
int layer_keep(struct work *w, const struct unpacked *u, struct err *e);
/* Publishes the layers that are whole in the work folder, after a syncfs: a pull that failed leaves them for the next. */
int layer_publish_all(struct disk *d, struct work *w, struct err *e);
/* Calls fn for each layer of the store that remembers its blob. */
typedef int layer_fn(void *arg, const char *diff_id, const char *blob, uint64_t blob_size);
int layer_each(struct disk *d, layer_fn *fn, void *arg, struct err *e);
/* Moves it from the work folder into the store; whoever was first is left there. */
int layer_publish(struct disk *d, struct work *w, const char *diff_id, struct err *e);
/* Of a layer in the store or the work folder: its uncompressed bytes, and whether it hides all below. */
int layer_look(struct disk *d, struct work *w, const char *diff_id, uint64_t *size, bool *hides_below, struct err *e);

#endif
