/* The rights of podfs-image, given up before the first foreign byte is read.
 *
 * Owns its mount namespace (the store is all there is), its network namespace (nothing is in it), capabilities
 * and seccomp filter: what unpacking takes and no more. confine.c is the only file that includes libseccomp.
 * Everything the process opens afterwards is below the descriptors of disk.h. Forked unpackers inherit it.
 */
#ifndef PODFS_IMAGE_CONFINE_H
#define PODFS_IMAGE_CONFINE_H

#include "runtime/image/disk.h"

/* d and w (NULL: there is none yet) are opened anew, inside of the confinement: a descriptor from outside leads out by
 * its `..`. w's lock is then held only by the process that this one was forked from. No other descriptor of a
 * folder may be open, and no lock of d be held. */
int confine(struct disk *d, struct work *w, struct err *e);
/* For the first process of a pull, and skopeo, which keep their rights beside an unpacker that may write anything below the
 * store: in a mount namespace of their own no link in the store is followed and no device opened. d is opened anew. */
int shield(struct disk *d, const char *state, struct err *e);

#endif
