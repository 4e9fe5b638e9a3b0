/* What a server is provided with: its program, and what it leaves to the next one.
 *
 * Runs in podfs (the keeper).
 */
#ifndef PODFS_PROVIDE_H
#define PODFS_PROVIDE_H

#include "runtime/base/err.h"

#include <limits.h>

/* Where the server's program is: named by PODFS_LIBEXEC, beside this one in a build folder, or installed. */
int find_server(char path[PATH_MAX], struct err *e);
/* The memory and the pipe of fs/ledger.h. */
int ledger_make(int *memfd, int *hand);

#endif
