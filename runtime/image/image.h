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
	uint64_t used_ns;     /* when a container last started from it; 0: never. Not in the record: an xattr of it */
	struct strs layers;   /* to be stacked, lowest first: sha256 hex of the diff ids, each once */
	struct strs layer_sizes; /* digits, one each; shorter in records of older versions */
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
/* A container starts from it now. The image in memory is changed; a store that cannot note it says nothing. */
void images_use(struct images *s, const struct image *i);
/* Bytes of the layers that images with keep[i] name, each once. keep NULL: of all. */
uint64_t images_bytes(const struct images *s, const bool *keep);
/* Text for `cat .node/images/REF`. */
void image_show(const struct image *i, struct buf *out);

/* podfs-image is started by the server with posix_spawn:
 *   podfs-image pull   STATE REFERENCE IMAGE_MAX STALL   fetched by skopeo; STALL: seconds without a byte before it is given up
 *   podfs-image import STATE REFERENCE IMAGE_MAX    archive on stdin
 *   podfs-image remove STATE REFERENCE              also frees its layers no other image has
 *   podfs-image clean  STATE                        empties tmp/ and removes layers nobody refers to
 * Descriptor 3 gets lines. First, of pull and import, any number of
 *   P DONE LAYERS BYTES TOTAL       layers unpacked, layers in all, bytes of blobs read, bytes in all; 0: not known yet
 * at most five a second; last the verdict: `0` or `ERRNO SENTENCE`. Without a verdict it crashed: EIO. It takes the
 * store's lock (disk.h), writes tmp/, checks every digest, then commits by rename.
 *
 * The sentence of a pull names the cause, and ERRNO its kind: ENOENT no such image or tag, EACCES the registry wants
 * (other) credentials, EPERM policy.json refuses it, EHOSTUNREACH ECONNREFUSED ETIMEDOUT the registry cannot be reached, EPROTO
 * TLS, EBADMSG a digest does not match, ENOSPC EDQUOT EROFS the disk, EFBIG E2BIG EINVAL an image that cannot be used, ENOSYS
 * skopeo is not installed, ECANCELED told to stop, EREMOTEIO all else.
 *
 * Layers in use are not removed by any of them: podfs-pod holds a shared flock on the folder of each. An import
 * over a reference that is there replaces its record and leaves the old layers; `remove`
 * frees those layers of its image that no other record names; `clean` frees all that no record names and nobody holds.
 *
 * An import reads stdin to its end, padding included; on an error it ends at once, and the writer gets EPIPE. Closing
 * the pipe early is a truncated archive; SIGTERM (also sent by the kernel when the server dies) makes it clean up and
 * say ECANCELED. */

#endif
