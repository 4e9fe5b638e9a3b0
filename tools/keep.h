/* The server: start it, watch it, start it again.
 *
 * Owns the server's process and the order of ending. Holds /dev/fuse meanwhile, so that the mount
 * outlives a server. Runs in podfs (the keeper).
 */
#ifndef PODFS_KEEP_H
#define PODFS_KEEP_H

#include "runtime/base/err.h"
#include "tools/again.h"
#include "tools/mount.h"
#include "tools/options.h"

struct keep;

/* Starts the server and waits until it answers for the tree. log_fd: where the server writes, and what keep_run says
 * later. On failure nothing of it is left but the mount. Arguments are borrowed until keep_run returns. */
int keep_start(struct keep **out, const struct options *o, struct mount *m, int lock_fd, int log_fd, struct err *e);
/* The same with what another program of this process held: its server is replaced. */
int keep_resume(struct keep **out, const struct options *o, struct mount *m, const struct again *held, struct err *e);
/* Stays until the mount has ended: 0: it was unmounted, or SIGTERM or SIGINT asked for that; else the server could not be
 * kept alive: m->fd is closed, the mount stays without a connection, and the reason is in the log. Frees k; unless it returns
 * KEEP_HAND_OVER, as SIGHUP asks for another program in place of this one: held is what that needs. */
#define KEEP_HAND_OVER 1
int keep_run(struct keep *k, struct again *held);
/* For the log. */
void keep_note(const struct keep *k, const char *words);

#endif
