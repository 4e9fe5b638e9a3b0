/* The three jobs of podfs-image, see the end of image.h. Each takes the locks it needs. */
#ifndef PODFS_IMAGE_IMPORT_H
#define PODFS_IMAGE_IMPORT_H

#include "runtime/image/disk.h"

#include <stdint.h>

/* The archive is read from fd to its end. */
int image_import(struct disk *d, int fd, const char *reference, uint64_t image_max, struct err *e);
int image_remove(struct disk *d, const char *reference, struct err *e);
int image_clean(struct disk *d, struct err *e);

#endif
