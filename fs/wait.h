/* Changes, and the readers that wait for one.
 *
 * A reader of wait/… or exit is parked in the list of its pod and asked again after each change there. Nothing is done while a
 * change is being told: the loop does it at the end of its round, out of all requests. Runs in podfs-server.
 */
#ifndef PODFS_FS_WAIT_H
#define PODFS_FS_WAIT_H

#include "fs/handle.h"

void wait_init(struct fs *fs);
/* Pollers are asked again at the end of the round. */
void wait_poke(struct fs *fs);

#endif
