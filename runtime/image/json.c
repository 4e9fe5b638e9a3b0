/* The JSON files of images, through jansson: see json.h. */
#include "runtime/image/json.h"

#include "runtime/base/util.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

static int load(const char *text, size_t len, json_type type, json_t **out, struct err *e)
{
	if (len > JSON_FILE_MAX)
		return err_set(e, EFBIG, "JSON of more than %d bytes", JSON_FILE_MAX);
	int r = json_bounds(text, len, JSON_DEPTH_MAX, JSON_VALUES_MAX, e);
	if (r)
		return r;
	json_error_t je;
	/* Of a key that comes twice two readers may see two images. */
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!j)
		return err_set(e, EINVAL, "bad JSON: line %d: %s", je.line, je.text);
	if (json_typeof(j) != type) {
		json_decref(j);
		return err_set(e, EINVAL, "it is no JSON %s", type == JSON_OBJECT ? "object" : "array");
	}
	*out = j;
	return 0;
}

/* KEY of o as a new string; absent, null and "" all give NULL. */
static int get_string(json_t *o, const char *key, char **out, struct err *e)
{
	json_t *j = json_object_get(o, key);
	if (!j || json_is_null(j))
		return 0;
	if (!json_is_string(j))
		return err_set(e, EINVAL, "%s is no string", key);
	if (!json_string_length(j))
		return 0;
	char *s = strdup(json_string_value(j));
	if (!s)
		return err_set(e, ENOMEM, "not enough memory");
	free(*out);
	*out = s;
	return 0;
}

static int get_array(json_t *o, const char *key, bool needed, json_t **out, struct err *e)
{
	json_t *j = json_object_get(o, key);
	*out = NULL;
	if (!needed && (!j || json_is_null(j)))
		return 0;
	if (!json_is_array(j))
		return err_set(e, EINVAL, "%s is %s", key, j ? "no array" : "missing");
	*out = j;
	return 0;
}

static int get_object(json_t *o, const char *key, bool needed, json_t **out, struct err *e)
{
	json_t *j = json_object_get(o, key);
	*out = NULL;
	if (!needed && (!j || json_is_null(j)))
		return 0;
	if (!json_is_object(j))
		return err_set(e, EINVAL, "%s is %s", key, j ? "no object" : "missing");
	*out = j;
	return 0;
}

static int get_strings(json_t *o, const char *key, bool needed, struct strs *out, struct err *e)
{
	json_t *a, *item;
	size_t i;
	int r = get_array(o, key, needed, &a, e);
	if (r || !a)
		return r;
	json_array_foreach(a, i, item) {
		if (!json_is_string(item))
			return err_set(e, EINVAL, "%s holds something that is no string", key);
		if (strs_add(out, json_string_value(item), json_string_length(item)))
			return err_set(e, ENOMEM, "not enough memory");
	}
	return 0;
}

/* The keys of an object (ExposedPorts), or KEY=VALUE of each (Labels). */
static int get_keys(json_t *o, const char *key, bool with_values, struct strs *out, struct err *e)
{
	json_t *map, *value;
	const char *k;
	int r = get_object(o, key, false, &map, e);
	if (r || !map)
		return r;
	json_object_foreach(map, k, value) {
		_cleanup_buf_ struct buf b = { 0 };
		buf_puts(&b, k);
		if (with_values && json_is_string(value)) {
			buf_putc(&b, '=');
			buf_puts(&b, json_string_value(value));
		}
		if (buf_status(&b) || strs_add(out, buf_str(&b), b.len))
			return err_set(e, ENOMEM, "not enough memory");
	}
	return 0;
}

static bool one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(s, *list))
			return true;
	return false;
}

static enum desc_kind kind_of(const char *media_type)
{
	static const char *const index[] = {
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json", NULL,
	};
	static const char *const manifest[] = {
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json", NULL,
	};
	return one_of(media_type, index) ? DESC_INDEX : one_of(media_type, manifest) ? DESC_MANIFEST : DESC_OTHER;
}

/* The type says that it is a tar; how it is compressed is taken from its magic, as media types are
 * known to lie about that. */
static bool is_layer_type(const char *media_type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", NULL,
	};
	return one_of(media_type, types);
}

static int get_annotations(json_t *o, struct descriptor *d, struct err *e)
{
	json_t *a;
	int r = get_object(o, "annotations", false, &a, e);
	if (r || !a)
		return r;
	const char *about = json_string_value(json_object_get(a, "vnd.docker.reference.type"));
	d->attestation = about && !strcmp(about, "attestation-manifest");
	r = get_string(a, "org.opencontainers.image.ref.name", &d->ref_name, e);
	return r ? r : get_string(a, "io.containerd.image.name", &d->image_name, e);
}

static int get_platform(json_t *o, struct descriptor *d, struct err *e)
{
	json_t *p;
	int r = get_object(o, "platform", false, &p, e);
	if (r || !p)
		return r;
	r = get_string(p, "os", &d->os, e);
	return r ? r : get_string(p, "architecture", &d->arch, e);
}

/* Fills d; what it owns is the caller's also on failure. */
static int get_descriptor(json_t *o, bool layer, struct descriptor *d, struct err *e)
{
	const char *type = json_string_value(json_object_get(o, "mediaType"));
	const char *digest = json_string_value(json_object_get(o, "digest"));
	json_t *size = json_object_get(o, "size");
	if (!type || !digest || !json_is_integer(size) || json_integer_value(size) < 0)
		return err_set(e, EINVAL, "a descriptor without mediaType, digest or size");
	if (layer && !is_layer_type(type))
		return err_set(e, EINVAL, "a layer of the unsupported type `%.100s`", type);
	d->kind = kind_of(type);
	d->size = (uint64_t)json_integer_value(size);
	int r = digest_parse(digest, d->hex, e);
	if (!r)
		r = get_platform(o, d, e);
	return r ? r : get_annotations(o, d, e);
}

static int get_descriptors(json_t *o, const char *key, bool layer, struct descriptors *out, struct err *e)
{
	json_t *a, *item;
	size_t i;
	int r = get_array(o, key, true, &a, e);
	if (r)
		return r;
	out->v = calloc(json_array_size(a) + 1, sizeof *out->v);
	if (!out->v)
		return err_set(e, ENOMEM, "not enough memory");
	json_array_foreach(a, i, item) {
		r = get_descriptor(item, layer, &out->v[out->n++], e);
		if (r)
			return r;
	}
	return 0;
}

int json_layout(const char *text, size_t len, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	int r = load(text, len, JSON_OBJECT, &j, e);
	if (r)
		return r;
	const char *v = json_string_value(json_object_get(j, "imageLayoutVersion"));
	if (!v || strncmp(v, "1.", 2))
		return err_set(e, EINVAL, "unknown imageLayoutVersion `%.40s`", v ? v : "");
	return 0;
}

int json_index(const char *text, size_t len, struct descriptors *out, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	struct descriptors d = { 0 };
	int r = load(text, len, JSON_OBJECT, &j, e);
	if (!r)
		r = get_descriptors(j, "manifests", false, &d, e);
	if (r)
		descriptors_free(&d);
	else
		*out = d;
	return r;
}

int json_manifest(const char *text, size_t len, struct manifest *out, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	json_t *config;
	struct manifest m = { 0 };
	int r = load(text, len, JSON_OBJECT, &j, e);
	if (!r)
		r = get_object(j, "config", true, &config, e);
	if (!r)
		r = get_descriptor(config, false, &m.config, e);
	if (!r)
		r = get_descriptors(j, "layers", true, &m.layers, e);
	if (r)
		manifest_free(&m);
	else
		*out = m;
	return r;
}

static int get_docker_image(json_t *o, struct docker_image *d, struct err *e)
{
	int r = get_string(o, "Config", &d->config, e);
	if (!r && !d->config)
		r = err_set(e, EINVAL, "an image without Config");
	if (!r)
		r = get_strings(o, "RepoTags", false, &d->tags, e);
	return r ? r : get_strings(o, "Layers", false, &d->layers, e);
}

int json_docker(const char *text, size_t len, struct docker_images *out, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	struct docker_images d = { 0 };
	json_t *item;
	size_t i;
	int r = load(text, len, JSON_ARRAY, &j, e);
	if (r)
		return r;
	d.v = calloc(json_array_size(j) + 1, sizeof *d.v);
	if (!d.v)
		return err_set(e, ENOMEM, "not enough memory");
	json_array_foreach(j, i, item) {
		r = get_docker_image(item, &d.v[d.n++], e);
		if (r) {
			docker_images_free(&d);
			return r;
		}
	}
	*out = d;
	return 0;
}

static int get_diff_ids(json_t *root, struct strs *out, struct err *e)
{
	json_t *rootfs;
	struct strs digests = { 0 };
	int r = get_object(root, "rootfs", true, &rootfs, e);
	if (!r)
		r = get_strings(rootfs, "diff_ids", true, &digests, e);
	for (size_t i = 0; !r && i < digests.n; i++) {
		char hex[DIGEST_HEX + 1];
		r = digest_parse(digests.v[i], hex, e);
		if (!r && strs_add(out, hex, DIGEST_HEX))
			r = err_set(e, ENOMEM, "not enough memory");
	}
	strs_free(&digests);
	return r;
}

/* What execve would pass on is KEY=VALUE; other entries mean nothing and are left out, as Docker does. */
static int get_env(json_t *o, struct strs *out, struct err *e)
{
	struct strs all = { 0 };
	int r = get_strings(o, "Env", false, &all, e);
	for (size_t i = 0; !r && i < all.n; i++) {
		const char *eq = strchr(all.v[i], '=');
		if (eq && eq != all.v[i] && strs_add(out, all.v[i], strlen(all.v[i])))
			r = err_set(e, ENOMEM, "not enough memory");
	}
	strs_free(&all);
	return r;
}

static int get_run_config(json_t *c, struct image *img, struct err *e)
{
	int r = get_strings(c, "Entrypoint", false, &img->entrypoint, e);
	if (!r)
		r = get_strings(c, "Cmd", false, &img->cmd, e);
	if (!r)
		r = get_env(c, &img->env, e);
	if (!r)
		r = get_keys(c, "ExposedPorts", false, &img->ports, e);
	if (!r)
		r = get_keys(c, "Labels", true, &img->labels, e);
	if (!r)
		r = get_string(c, "WorkingDir", &img->workdir, e);
	if (!r)
		r = get_string(c, "User", &img->user, e);
	return r ? r : get_string(c, "StopSignal", &img->stopsignal, e);
}

int json_config(const char *text, size_t len, struct image *img, struct strs *diff_ids, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	json_t *c;
	int r = load(text, len, JSON_OBJECT, &j, e);
	if (!r)
		r = get_diff_ids(j, diff_ids, e);
	if (!r)
		r = get_string(j, "os", &img->os, e);
	if (!r)
		r = get_string(j, "architecture", &img->arch, e);
	if (!r)
		r = get_string(j, "created", &img->created, e);
	if (!r)
		r = get_object(j, "config", false, &c, e);
	return r || !c ? r : get_run_config(c, img, e);
}

static void descriptor_free(struct descriptor *d)
{
	free(d->os);
	free(d->arch);
	free(d->ref_name);
	free(d->image_name);
}

void descriptors_free(struct descriptors *d)
{
	for (size_t i = 0; i < d->n; i++)
		descriptor_free(&d->v[i]);
	free(d->v);
	*d = (struct descriptors){ 0 };
}

void manifest_free(struct manifest *m)
{
	descriptor_free(&m->config);
	descriptors_free(&m->layers);
	*m = (struct manifest){ 0 };
}

void docker_images_free(struct docker_images *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->v[i].config);
		strs_free(&d->v[i].tags);
		strs_free(&d->v[i].layers);
	}
	free(d->v);
	*d = (struct docker_images){ 0 };
}
