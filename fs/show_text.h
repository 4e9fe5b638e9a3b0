/* What the texts of the tree have in common: tables, ages, amounts, the words for a pod's state.
 *
 * Private to fs/show*.c. Reads the engine, changes nothing. Runs in podfs-server.
 */
#ifndef PODFS_FS_SHOW_TEXT_H
#define PODFS_FS_SHOW_TEXT_H

#include "fs/show.h"

/* A table as kubectl prints one: columns padded to their content, three blanks between them. */
struct table {
	struct buf cells; /* each with a NUL behind it; the caller appends the text of the one under way */
	size_t ncols, ncells, begun; /* begun: where the one under way begins */
};
void table_begin(struct table *t, const char *const *heads, size_t n);
/* Ends the cell under way, row by row; an empty one reads `<none>`. */
void table_next(struct table *t);
void table_cell(struct table *t, const char *text);
void table_count(struct table *t, uint64_t n);
/* Prints and frees. 0 or -ENOMEM. */
int table_end(struct table *t, struct buf *out);

/* The name of the uid or gid in /etc/passwd or /etc/group, else the number. Only those two files: what
 * nsswitch.conf names besides them may ask the network, and the server waits for nobody. */
void put_user(struct buf *out, uid_t uid);
void put_group(struct buf *out, gid_t gid);

void put_bytes(struct buf *out, uint64_t bytes); /* 512Ki, 15Mi */

/* STATUS of `kubectl get pods`: what keeps the pod from running well, else its phase. */
const char *pod_word(const struct pod *p);
bool container_ready(const struct container *c);
/* The first of its addresses; nothing while it has none. */
void put_ip(struct buf *out, const struct pod *p);
/* What a container's state says beyond its first word: " Error (exit code 1)", ": next start in 9 s", … */
void put_state_rest(struct buf *out, const struct container *c);

#endif
