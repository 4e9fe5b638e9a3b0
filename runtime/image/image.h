/* The image store: what is on the node.
 *
 * On disk, below STATE/images:
 *   layers/DIFFID-HEX/       an unpacked layer, as overlayfs wants it (whiteouts are 0:0
 *                            character devices, opaque folders carry trusted.overlay.opaque)
 *   refs/HEX.ini             one image record: canonical and written reference, digest of config
 *                            and manifest, layers, what the config says; HEX is the SHA-256 of the
 *                            canonical reference. Written last, by rename: it is the commit.
 *   tmp/                     imports under way, each in a folder of its own that it holds locked
 *   lock                     see disk.h
 *
 * podfs-image (runtime/image/main.c) writes the store; the server only reads image records
 * and keeps them in memory (store.c), never JSON or tar. An image is never changed in place.
 */
#ifndef PODFS_IMAGE_H
#define PODFS_IMAGE_H

#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

struct image {
	char *canonical; /* docker.io/library/nginx:alpine */
	char *written;   /* as the user wrote it: the name that `ls` shows */
	char *digest;    /* sha256:… of the image's config (the image id) */
	char *manifest_digest; /* sha256:… or NULL (docker save has none) */
	char *os, *arch, *created;
	uint64_t size;        /* uncompressed bytes of its layers, shared ones too */
	uint64_t imported_ns; /* CLOCK_REALTIME */
	struct strs layers;   /* to be stacked, lowest first: sha256 hex of the diff ids, each once */
	struct strs entrypoint, cmd, env; /* of the config; empty when it has none */
	struct strs ports, labels;
	char *workdir, *user, *stopsignal; /* NULL when the config has none */
};

void image_free(struct image *img); /* NULL is fine */

/* The table of images in the server. */
struct images;
int images_open(const char *state, struct images **out, struct err *e); /* makes the folders, reads the records */
void images_close(struct images *s);
/* Reads the records again that changed: after a podfs-image has ended. An image whose record is as it was stays
 * where it is in memory. A record that cannot be read is left out; the first one is named in e (its
 * errno is returned), the table is right for all others. images_open leaves it out without an error. */
int images_rescan(struct images *s, struct err *e);
size_t images_count(const struct images *s);
const struct image *images_at(const struct images *s, size_t i); /* sorted by written name */
/* Any spelling that normalises to the same finds it. NULL: not on the node. Valid until the next rescan. */
const struct image *images_find(const struct images *s, const char *reference);
/* Absolute folders of the image's layers, topmost first, for the launch plan. */
int images_layers(const struct images *s, const struct image *i, struct strs *out);
/* Text for `cat .node/images/REF`. */
void image_show(const struct image *i, struct buf *out);

/* podfs-image is started by the server with posix_spawn:
 *   podfs-image import STATE REFERENCE IMAGE_MAX    archive on stdin, verdict on fd 3
 *   podfs-image remove STATE REFERENCE              verdict on fd 3; also frees its layers no other image has
 *   podfs-image clean  STATE                        empties tmp/ and removes layers nobody refers to
 * The verdict is one line: `0` or `ERRNO SENTENCE`. Without a verdict it crashed: EIO. It takes the
 * store's lock (disk.h), writes tmp/, checks every digest, then commits by rename.
 *
 * Whether a container uses an image is the server's knowledge: it asks `remove` only if none does. An import
 * over a reference that is there replaces its record and leaves the old layers, which may be in use. `remove`
 * frees those layers of its image that no other record names; `clean` frees all that no record names, so the
 * server runs it only at its start, while no container runs.
 *
 * An import reads stdin to its end, padding included; on an error it ends at once, and the writer gets EPIPE. Closing
 * the pipe early is a truncated archive; SIGTERM makes it clean up and say ECANCELED. */

#endif
