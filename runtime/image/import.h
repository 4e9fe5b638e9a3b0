/* The jobs of podfs-image but pull, see the end of image.h. Each takes the locks it needs. */
#ifndef PODFS_IMAGE_IMPORT_H
#define PODFS_IMAGE_IMPORT_H

#include "runtime/image/choose.h"
#include "runtime/image/disk.h"
#include "runtime/image/workers.h"

#include <stdint.h>

/* The archive is read from fd to its end. */
int image_import(struct disk *d, int fd, const char *reference, uint64_t image_max, struct err *e);
/* The last half of import and pull: under the shared lock unpacks, side by side, the layers of c that are neither in the store
 * nor (by layer_keep) in the work folder, makes all durable, commits the record. -EAGAIN: a layer is missing and its blob
 * in s is a placeholder: it was removed from the store meanwhile, and c->layers[*missing] has to be fetched. */
int image_store(struct disk *d, struct work *w, const struct spool *s, struct chosen *c, struct workers *ws,
		const char *reference, size_t *missing, struct err *e);
int image_remove(struct disk *d, const char *reference, struct err *e);
int image_clean(struct disk *d, struct err *e);

#endif
