/* What a server is provided with: its program, its command line, its descriptors, and what it leaves to the next one.
 *
 * Owns the names of podfs-server's arguments. Watches no process. Runs in podfs (the keeper, and the child that becomes the server).
 */
#ifndef PODFS_PROVIDE_H
#define PODFS_PROVIDE_H

#include "runtime/base/err.h"
#include "tools/options.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct provision {
	const struct options *o;
	int fuse_fd, lock_fd, log_fd;
	int ledger_fd, hand_fd; /* fs/ledger.h */
	bool again;             /* another one had the mount before */
	uint64_t ended_ns;      /* when that ended, CLOCK_REALTIME; 0: that is not known */
	char how[80];           /* and how */
};

/* Forks. Returns the server's pid; *ready is where it says one line: "0", or why not. */
int provide(const struct provision *p, int *ready, struct err *e);
/* Becomes the server's program, which says by its status, and in words on stderr, whether it would start with these settings. Only
 * returns when it could not. */
int provide_check(const struct options *o, struct err *e);
/* The memory and the pipe of fs/ledger.h. */
int ledger_make(int *memfd, int *hand);

/* A status of wait(2) in words: "ended with status 1". */
void put_status(char *out, size_t size, int status);

#endif
