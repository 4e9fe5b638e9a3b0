/* The JSON files of images; the first byte says which. What is taken is whole and bounded. */
#include "runtime/image/json.h"
#include "runtime/image/record.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void descriptor(const struct descriptor *d)
{
	PROMISE(digest_is_hex(d->hex, strlen(d->hex)));
}

static int index_file(const char *text, size_t len, struct err *e)
{
	struct descriptors d;
	int r = json_index(text, len, &d, e);
	if (r)
		return r;
	for (size_t i = 0; i < d.n; i++)
		descriptor(&d.v[i]);
	descriptors_free(&d);
	return 0;
}

static int manifest_file(const char *text, size_t len, struct err *e)
{
	struct manifest m;
	int r = json_manifest(text, len, &m, e);
	if (r)
		return r;
	descriptor(&m.config);
	for (size_t i = 0; i < m.layers.n; i++)
		descriptor(&m.layers.v[i]);
	manifest_free(&m);
	return 0;
}

static int docker_file(const char *text, size_t len, struct err *e)
{
	struct docker_images d;
	int r = json_docker(text, len, &d, e);
	if (r)
		return r;
	for (size_t i = 0; i < d.n; i++)
		PROMISE(d.v[i].config && *d.v[i].config);
	docker_images_free(&d);
	return 0;
}

/* What a config says can be written into a record. */
static int config_file(const char *text, size_t len, struct err *e)
{
	struct image *img = calloc(1, sizeof *img);
	struct strs ids = { 0 };
	PROMISE(img);
	int r = json_config(text, len, img, &ids, e);
	for (size_t i = 0; i < ids.n; i++)
		PROMISE(digest_is_hex(ids.v[i], strlen(ids.v[i])));
	for (size_t i = 0; i < img->env.n; i++)
		PROMISE(strchr(img->env.v[i], '=') && *img->env.v[i] != '=');
	if (!r) {
		struct buf out = { 0 };
		PROMISE(!image_record_write(img, &out, e) || out.len > IMAGE_RECORD_MAX);
		buf_free(&out);
	}
	strs_free(&ids);
	image_free(img);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const files[])(const char *, size_t, struct err *) = {
		json_layout, index_file, manifest_file, docker_file, config_file,
	};
	struct err e = { 0 };
	if (!size)
		return 0;
	int r = files[(uint8_t)(data[0] - '0') % 5]((const char *)data + 1, size - 1, &e);
	PROMISE(!r || (r < 0 && e.code == -r && *e.text));
	return 0;
}
