/* exec/NAME: a shell in the container, one for each opening.
 *
 * Opened both ways it is a stream of its own, and ends with the opening. Opened for writing it ends when it has done what was
 * written; its output waits here for the next opening for reading by the same user. Owns those that wait.
 * Runs in podfs-server.
 */
#ifndef PODFS_FS_SHELL_H
#define PODFS_FS_SHELL_H

#include "fs/handle.h"

/* Sessions have started, ended or gone. */
void shell_changed(struct fs *fs);
/* What waited for a reader when the last server ended. */
void shell_restore(struct fs *fs);

#endif
