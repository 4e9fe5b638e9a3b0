/* The bytes of an archive as they come from its file or pipe.
 *
 * Owns the buffer they are read into. Reads once, from where the descriptor stands, to the end: hashes, counts, and waits at
 * the end of a file that another process is still writing. Runs in podfs-image.
 */
#ifndef PODFS_IMAGE_SOURCE_H
#define PODFS_IMAGE_SOURCE_H

#include "runtime/base/err.h"
#include "runtime/image/digest.h"

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#define SOURCE_CHUNK (256 * 1024)

/* A file that another process writes; in memory that its reader shares with whoever watches that process. */
struct growth {
	int wake;          /* eventfd: written to when there is more, or all is there */
	uint32_t complete; /* set before the last wake */
};

struct source {
	int fd;                /* stays the caller's */
	struct growth *growth; /* NULL: the file's end is the end */
	struct digest *digest; /* gets every byte; may be NULL */
	uint64_t *count;       /* goes up by each byte; may be NULL, may be shared with other processes */
	uint64_t size;         /* bytes read so far */
	struct err err;        /* why source_next failed */
	char *chunk;
};

/* Set by a signal handler: every read then fails with -ECANCELED. */
extern volatile sig_atomic_t tar_cancelled;

int source_open(struct source *s, struct err *e); /* the first four members are set */
/* The next bytes, valid until the next call; 0 at the end, -1 with s->err set. */
ssize_t source_next(struct source *s, const void **out);
void source_close(struct source *s);

#endif
