/* The folders of an instance, and the claim on its state.
 *
 * Owns STATE/lock: an flock that the keeper takes and the server inherits, so that nobody serves
 * the same state twice while either lives. The file says who: `PID MOUNTID MOUNTPOINT`.
 * Runs in podfs (the keeper).
 */
#ifndef PODFS_CLAIM_H
#define PODFS_CLAIM_H

#include "runtime/base/err.h"
#include "runtime/parse/config.h"
#include "tools/mount.h"

/* Makes the folders (0700) and takes the lock; what has just been unmounted and is about to end is
 * waited for. The lock's descriptor, or -EBUSY with who holds it, or -errno. */
int claim_take(const struct config *cfg, const struct mount *m, struct err *e);
/* Notes in the lock file who has it. */
int claim_sign(int lock_fd, const struct mount *m);

#endif
