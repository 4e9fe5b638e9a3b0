/* What stands below .node/images: images on the node and pulls, each by the path that its reference makes.
 *
 * A reference's slashes are folders. Two beside each other are one in a path, so `docker://nginx` stands as
 * docker:/nginx. Reads the engine, keeps nothing, knows no request. Runs in podfs-server.
 */
#ifndef PODFS_FS_IMAGE_NAME_H
#define PODFS_FS_IMAGE_NAME_H

#include "runtime/engine/engine.h"

#include <limits.h>

#define IMAGE_PATH_MAX (PATH_MAX + 64) /* a path of the host behind its transport's name */

/* False: it is too long for one. */
bool image_path_of(const char *reference, char out[IMAGE_PATH_MAX]);
/* A reference that means the same as the one that stands at the path. */
void image_reference_of(const char *path, char out[IMAGE_PATH_MAX]);

/* By any spelling. NULL: none. */
const struct image *image_at(const struct engine *en, const char *path);
const struct pull *image_pull_at(const struct engine *en, const char *path);

/* All of them, images first. An image that is fetched anew comes twice, maybe in two spellings. */
struct image_names {
	const struct engine *en;
	size_t next;
	const struct pull *next_pull;
	/* the one under way */
	const struct pull *pull; /* NULL: an image */
	char written[IMAGE_PATH_MAX], canonical[IMAGE_PATH_MAX]; /* "": makes no path */
};
void image_names_begin(struct image_names *it, const struct engine *en);
bool image_names_next(struct image_names *it);

#endif
