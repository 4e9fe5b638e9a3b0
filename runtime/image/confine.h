/* The rights of podfs-image, given up before the first foreign byte is read.
 *
 * Owns its mount namespace (the store is all there is), its network namespace (nothing is in it), capabilities
 * and seccomp filter: what unpacking takes and no more. confine.c is the only file that includes libseccomp.
 * Everything the process opens afterwards is below the descriptors of disk.h. Forked unpackers inherit it.
 */
#ifndef PODFS_IMAGE_CONFINE_H
#define PODFS_IMAGE_CONFINE_H

#include "runtime/image/disk.h"

int confine(const struct disk *d, struct err *e);

#endif
