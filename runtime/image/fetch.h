/* skopeo, which speaks to registries.
 *
 * Owns the skopeo processes of one pull: started with the node's environment and configuration, ended with it, their words kept
 * for failure.h. Runs in podfs-image, in its first process, which stays outside of the confinement, reads no
 * byte of an image, and only waits.
 *
 * Each is a process group of its own (it starts credential helpers), has /dev/null to read from and no descriptor but
 * the three, and works in the work folder: LAYOUT is relative to it, temporary files go into it.
 */
#ifndef PODFS_IMAGE_FETCH_H
#define PODFS_IMAGE_FETCH_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define FETCH_LAYOUT "layout"

struct fetch {
	pid_t pid; /* 0: none */
	int pidfd; /* readable when it has ended; -1: none */
	int words; /* its standard error, to poll */
	struct buf said;
};
#define FETCH_NONE { .pidfd = -1, .words = -1 }

/* 0, or -ENOSYS: there is no skopeo in PATH. */
int fetch_available(struct err *e);
/* The registry of a source if it is on this host's loopback, where Docker and others allow plain HTTP too. */
bool fetch_is_loopback(const char *source, char host[64]);

/* Copies the image into WORK/layout. plain: its registry may speak plain HTTP. */
int fetch_copy(int work, const char *source, bool plain, struct fetch *out, struct err *e);
/* Writes the manifest of source into the file out, at most JSON_FILE_MAX bytes. */
int fetch_manifest(int work, const char *source, bool plain, int file, struct fetch *out, struct err *e);
/* Takes what it has said. */
void fetch_listen(struct fetch *f);
/* After its end: 0, or -errno with the cause, which names the reference. f is none afterwards, but for what it said. */
int fetch_result(struct fetch *f, const char *reference, struct err *e);
/* Ends it, if there is one, and waits for that. */
void fetch_kill(struct fetch *f);
void fetch_free(struct fetch *f);

#endif
