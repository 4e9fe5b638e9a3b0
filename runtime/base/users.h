/* Users of the host by name.
 *
 * Reads /etc/passwd alone: other sources of names may ask the network, and neither keeper nor server may wait for that.
 */
#ifndef PODFS_USERS_H
#define PODFS_USERS_H

#include <stdbool.h>
#include <sys/types.h>

/* A name or a number. -1: there is no such user. */
uid_t user_find(const char *name);
bool user_exists(const char *name);

#endif
