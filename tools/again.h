/* The keeper's own program is replaced while the mount stays: SIGHUP.
 *
 * What the keeper holds is handed to the new program by execve(2): same process, same descriptors, same server, which the new keeper
 * then replaces too. The command line is read again, and the config with it. Runs in podfs (the keeper).
 */
#ifndef PODFS_AGAIN_H
#define PODFS_AGAIN_H

#include "runtime/base/err.h"
#include "tools/mount.h"

#include <stdbool.h>
#include <sys/types.h>

struct again {
	int fuse_fd, lock_fd, log_fd, ledger_fd, hand_fd;
	pid_t server;
	uint64_t mount_id;
	char dev[24];
	char *path, *cwd; /* of the mount; where podfs was started */
};

/* Notes what has to be known for again_exec; first thing in main. */
void again_note(char **argv);
/* Only returns when it could not: then all is as it was. */
int again_exec(const struct again *a, struct err *e);
/* True: this program took over from another one; a is filled in, and the current folder is where podfs was started. */
bool again_read(struct again *a);
/* The program asks only whether it, and the server that it would start, would do with the command line and the config. */
bool again_is_check(void);
void again_free(struct again *a);

#endif
