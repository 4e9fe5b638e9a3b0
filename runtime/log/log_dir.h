/* The names in a log's folder, for writer and reader.
 *
 * Owns nothing. Allocates nothing: podfs-pod lists without a DIR.
 */
#ifndef PODFS_LOG_DIR_H
#define PODFS_LOG_DIR_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_NAME_LEN 18 /* 16 digits, ".i" */

void log_name(char out[LOG_NAME_LEN + 1], uint64_t start, bool index);
/* Calls fn for each segment and each index in the folder, in no order. Stops when fn returns non-zero and
 * returns that; else 0 or -errno. fn may unlink what it is called for. */
int log_dir_each(int dirfd, int (*fn)(void *arg, uint64_t start, bool index), void *arg);

#endif
