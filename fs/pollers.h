/* Pollers: who is told when a file becomes ready.
 *
 * Owns the kernel's poll handles, one an opening; each is destroyed once. Notifications are sent between requests, never
 * inside one. Runs in podfs-server.
 */
#ifndef PODFS_FS_POLLERS_H
#define PODFS_FS_POLLERS_H

#include "fs/handle.h"

/* Takes over ph. events: what holds now; h NULL: it is destroyed. */
void poll_watch(struct handle *h, struct fuse_pollhandle *ph, unsigned events);
/* h is being closed. */
void poll_forget(struct handle *h);
/* Something changed: tells those whose files now have events they had not. From the loop, not from a request. */
void poll_tell(struct fs *fs);

#endif
