/* What the next server must know of this one's requests: docs/design.md, "Outliving".
 *
 * Memory and a pipe (the hand) that the keeper holds too. Bytes of a session's pipes pass through them in steps of which each can be
 * told from what is in memory and hand, wherever SIGKILL fell: a request that is sent again gets the same bytes, or writes only the rest.
 * A step never waits. Also who polls, and which handles are documents being written. Runs in podfs-server.
 */
#ifndef PODFS_FS_LEDGER_H
#define PODFS_FS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WAITING_MAX 96 /* bytes: a header and struct fuse_read_in */

struct ledger;

struct waiting {
	uint64_t request; /* 0: none */
	char message[WAITING_MAX];
};

/* memfd, hand: the keeper's. What another server had under way is taken up. NULL: it can't be had, as no memory is left. */
struct ledger *ledger_open(int memfd, int hand);
void ledger_close(struct ledger *l); /* NULL is fine */

/* read(2) of a pipe for that request: the bytes at *mem, until the next call. -EINVAL: it is no pipe. */
ssize_t ledger_take(struct ledger *l, uint64_t request, int fd, size_t size, const void **mem);
/* What another server had taken for it and not answered; 0: nothing. */
size_t ledger_held(const struct ledger *l, uint64_t request, const void **mem);
/* The taken bytes have been answered. */
void ledger_taken(struct ledger *l);

/* write(2) to a pipe: data is what is left after `done` bytes of that request. Bytes, or -errno; -EINVAL: it is no pipe. */
ssize_t ledger_give(struct ledger *l, uint64_t request, size_t done, int fd, const char *data, size_t size);
/* How much of it another server had written. */
size_t ledger_given(const struct ledger *l, uint64_t request);
/* It has been answered. */
void ledger_gave(struct ledger *l, uint64_t request);

/* The number of each request, as it comes; the newest of the server before, 0: there was none. */
void ledger_seen(struct ledger *l, uint64_t request);
uint64_t ledger_newest(const struct ledger *l);

/* The kernel's handle of who polls. each: those of the server before. */
void ledger_poller(struct ledger *l, uint64_t kh);
void ledger_pollers(struct ledger *l, void (*each)(void *arg, uint64_t kh), void *arg);

/* That request is a read that waits for something; message: the request as the kernel sent it. A kernel that sends nothing again has
 * it asked once more by the next server. */
void ledger_waits(struct ledger *l, uint64_t request, const void *message, size_t len);
/* It waits no more. */
void ledger_waited(struct ledger *l, uint64_t request);
/* Those of the server before, the newest first; how many. */
size_t ledger_waiting(const struct ledger *l, const struct waiting **out);

/* Handle fh is a document of which something has been written. */
void ledger_writing(struct ledger *l, uint64_t fh, bool on);
bool ledger_was_writing(const struct ledger *l, uint64_t fh);

#endif
