/* Names in archives, made plain.
 *
 * Bytes in, value or error out; the kernel is not asked. Used for the outer archive and for layers.
 * Runs in podfs-image; fuzzed.
 */
#ifndef PODFS_IMAGE_NAMES_H
#define PODFS_IMAGE_NAMES_H

#include "runtime/base/err.h"

#include <limits.h>

/* Drops `.` parts and doubled slashes: `./a//b/` is `a/b`, `./` is empty. Refuses what a careless
 * reader could leave the folder with: absolute names and `..`; and names that no path can hold. */
int name_clean(const char *raw, char out[PATH_MAX], struct err *e);

/* What a name in a layer asks for (OCI layer.md, "Whiteouts"). */
enum name_kind {
	NAME_PLAIN,
	NAME_WHITEOUT, /* .wh.X: X of the layers below is gone */
	NAME_OPAQUE,   /* .wh..wh..opq: all of the folder below is gone */
	NAME_AUFS,     /* other .wh..wh. names: AUFS' own files, which mean nothing here */
};
/* For a clean name. *base is set to what the last slash leaves, for a whiteout behind `.wh.`. Refuses
 * whiteouts of nothing, `.` or `..`, and what lies in a folder with a whiteout's name. */
int name_kind(const char *clean, enum name_kind *kind, const char **base, struct err *e);

#endif
