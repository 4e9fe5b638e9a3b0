/* The JSON files of images: OCI index, manifest and config, and docker save's manifest.json.
 *
 * json.c is the only file that includes jansson. Bytes in, structs out: knows neither the store
 * nor the archive. What the files say is not trusted: size, depth and number of values are bounded
 * before jansson sees them. Runs in podfs-image. The names are those of the OCI image
 * specification (descriptor.md, image-index.md, manifest.md, config.md).
 */
#ifndef PODFS_IMAGE_JSON_H
#define PODFS_IMAGE_JSON_H

#include "runtime/base/err.h"
#include "runtime/image/digest.h"
#include "runtime/image/image.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_FILE_MAX (4 * 1024 * 1024)
#define JSON_DEPTH_MAX 64
#define JSON_VALUES_MAX 100000 /* of all kinds in one file: bounds jansson's memory */

enum desc_kind { DESC_INDEX, DESC_MANIFEST, DESC_OTHER };

struct descriptor {
	enum desc_kind kind;
	char hex[DIGEST_HEX + 1];
	uint64_t size;
	char *os, *arch;             /* of platform; NULL: it says none */
	char *ref_name, *image_name; /* annotations org.opencontainers.image.ref.name, io.containerd.image.name */
	bool attestation;            /* BuildKit's: about an image, not one */
};

struct descriptors {
	struct descriptor *v;
	size_t n;
};

struct manifest {
	struct descriptor config;
	struct descriptors layers;
};

/* One image of docker save's manifest.json; paths are names in the archive. */
struct docker_image {
	char *config;
	struct strs tags, layers;
};

struct docker_images {
	struct docker_image *v;
	size_t n;
};

/* oci-layout: is its version one we know? */
int json_layout(const char *text, size_t len, struct err *e);
int json_index(const char *text, size_t len, struct descriptors *out, struct err *e);
/* Every layer has a media type that this program unpacks, or it is refused. */
int json_manifest(const char *text, size_t len, struct manifest *out, struct err *e);
int json_docker(const char *text, size_t len, struct docker_images *out, struct err *e);
/* Fills what the config says of img (platform, created, entrypoint … stopsignal) and diff_ids (hex). */
int json_config(const char *text, size_t len, struct image *img, struct strs *diff_ids, struct err *e);

void descriptors_free(struct descriptors *d);
void manifest_free(struct manifest *m);
void docker_images_free(struct docker_images *d);

#endif
