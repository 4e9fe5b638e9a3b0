/* The record of one image in refs/: struct image as INI and back.
 *
 * Bytes in, struct out, and loading one from the refs folder. Runs in podfs-image, which
 * writes records, and in the server, which only reads them.
 */
#ifndef PODFS_IMAGE_RECORD_H
#define PODFS_IMAGE_RECORD_H

#include "runtime/image/image.h"

#include <stdbool.h>

/* The server keeps records in memory: an image whose settings are longer is refused. */
#define IMAGE_RECORD_MAX (256 * 1024)

/* Is it HEX.ini, a record's file name? */
bool record_is_name(const char *name);

int image_record_write(const struct image *img, struct buf *out, struct err *e); /* -E2BIG, -ENOMEM */
/* name: of the file, for the error. */
int image_record_read(const char *name, const char *text, size_t len, struct image **out, struct err *e);
/* Reads refs/NAME. */
int record_load(int refs, const char *name, struct image **out, struct err *e);

#endif
