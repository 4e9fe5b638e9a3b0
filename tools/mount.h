/* The mount: is the place free, mount there, unmount.
 *
 * Owns the calls of mount(2) and umount(2) of the project's own file system. Starts no process.
 * Runs in podfs (the keeper).
 */
#ifndef PODFS_MOUNT_H
#define PODFS_MOUNT_H

#include "runtime/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FS_TYPE "fuse.podfs"

struct mount {
	char *path;  /* absolute, without links */
	uint64_t id; /* of the mount, as in /proc/self/mountinfo; 0: not mounted */
	char dev[24]; /* MAJOR:MINOR of its file system, as there */
	int fd;      /* /dev/fuse; -1: closed */
};

/* Makes m->path of the name given. A dead podfs mount that is left there is detached, with a line
 * on stderr; a live one is -EBUSY. */
int mount_prepare(struct mount *m, const char *mountpoint, struct err *e);
/* data: further mount data, each option with a comma before it. */
int mount_do(struct mount *m, const char *source, unsigned long flags, const char *data, struct err *e);
/* Unmounts; what is busy is detached, so that new users find the place free. True: it was not busy.
 * Another mount on top of ours, or a user's umount before, is left alone. */
bool mount_undo(struct mount *m);
/* The connection has ended: somebody unmounted, or aborted it. */
bool mount_gone(const struct mount *m);
/* Is it still mounted anywhere in this namespace? Copies in others' namespaces (a service's, a container's) keep the connection
 * alive after an umount; nobody who unmounts knows of them. */
bool mount_listed(const struct mount *m);
void mount_free(struct mount *m);

/* Is that mount id a podfs mount of this namespace? */
bool mount_is_ours(uint64_t id);

#endif
