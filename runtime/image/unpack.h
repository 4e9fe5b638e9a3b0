/* A layer's archive applied to an empty folder, in the form in which overlayfs stacks it.
 *
 * Whiteouts become 0:0 character devices, opaque folders carry trusted.overlay.opaque (OCI layer.md;
 * kernel, Documentation/filesystems/overlayfs.rst). Nothing is written outside the folder, whatever
 * the archive says: names.c refuses names, beneath.c opens folders. Folders that the archive puts files
 * into without having an entry for them are 0755 root:root. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_UNPACK_H
#define PODFS_IMAGE_UNPACK_H

#include "runtime/base/err.h"
#include "runtime/image/tar.h"

#include <stdint.h>

#define UNPACK_ENTRIES_MAX 2000000 /* of all layers of an image: inodes are scarce too */

/* root: the folder; scratch: another one, for a file of notes; entries: how many more may come; may be shared with other
 * processes. */
int unpack_layer(int root, int scratch, struct tar *t, uint64_t *entries, struct err *e);

#endif
