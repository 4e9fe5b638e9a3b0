/* Which image of the archive is meant, and what it is made of.
 *
 * Reads the spooled JSON files: an OCI layout (the index, through nested ones, the manifest, the config) or
 * docker save's manifest.json. Checks every blob it reads against its descriptor. Touches neither
 * layers nor store. Runs in podfs-image.
 *
 * Of several images the one is taken whose name is the reference's; of those left the one for this
 * host's platform. An only image is taken whatever it is called and built for (the host may have an
 * emulator for it).
 */
#ifndef PODFS_IMAGE_CHOOSE_H
#define PODFS_IMAGE_CHOOSE_H

#include "runtime/image/image.h"
#include "runtime/image/spool.h"

#define LAYERS_MAX 128 /* an overlay's names must fit a page; Docker stops at 127 */

struct chosen {
	struct image *image;   /* canonical, written, size, imported_ns and layers are still to be filled */
	struct strs diff_ids;  /* hex, lowest first */
	const struct member **layers; /* the blob of each; the spool's */
};

int choose(const struct spool *s, const char *canonical, struct chosen *out, struct err *e);
/* Of a layout that skopeo has written: what it has chosen. An image for another platform is refused: it is meant to be run, and
 * a registry that has one for this platform would have given it. */
int choose_pulled(const struct spool *s, struct chosen *out, struct err *e);
/* Which manifest of a registry's index is for this host. */
int choose_from_index(const char *text, size_t len, char hex[DIGEST_HEX + 1], struct err *e);
void chosen_free(struct chosen *c);

#endif
