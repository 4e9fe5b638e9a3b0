/* The record of one image: see record.h. */
#include "runtime/image/record.h"

#include "runtime/base/util.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <string.h>

enum form { TEXT, NUMBER, LIST };

/* One row a key of [image]: a list is one line a member. */
static const struct field {
	const char *key;
	enum form form;
	size_t off;
	bool needed;
} fields[] = {
	{ "canonical", TEXT, offsetof(struct image, canonical), true },
	{ "written", TEXT, offsetof(struct image, written), true },
	{ "digest", TEXT, offsetof(struct image, digest), true },
	{ "manifest", TEXT, offsetof(struct image, manifest_digest), false },
	{ "os", TEXT, offsetof(struct image, os), false },
	{ "arch", TEXT, offsetof(struct image, arch), false },
	{ "created", TEXT, offsetof(struct image, created), false },
	{ "size", NUMBER, offsetof(struct image, size), false },
	{ "imported", NUMBER, offsetof(struct image, imported_ns), false },
	{ "layer", LIST, offsetof(struct image, layers), false },
	{ "layer_size", LIST, offsetof(struct image, layer_sizes), false },
	{ "entrypoint", LIST, offsetof(struct image, entrypoint), false },
	{ "cmd", LIST, offsetof(struct image, cmd), false },
	{ "env", LIST, offsetof(struct image, env), false },
	{ "port", LIST, offsetof(struct image, ports), false },
	{ "label", LIST, offsetof(struct image, labels), false },
	{ "workdir", TEXT, offsetof(struct image, workdir), false },
	{ "user", TEXT, offsetof(struct image, user), false },
	{ "stopsignal", TEXT, offsetof(struct image, stopsignal), false },
};

static void *at(const struct image *img, const struct field *f)
{
	return (char *)img + f->off;
}

void image_free(struct image *img)
{
	if (!img)
		return;
	for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++)
		if (f->form == TEXT)
			free(*(char **)at(img, f));
		else if (f->form == LIST)
			strs_free(at(img, f));
	free(img);
}

bool record_is_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == 64 && !strcmp(name + 64, ".ini");
}

static void write_field(const struct image *img, const struct field *f, struct buf *out)
{
	if (f->form == NUMBER) {
		char digits[24];
		int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)*(uint64_t *)at(img, f));
		ini_write(out, f->key, digits, (size_t)n);
	} else if (f->form == TEXT) {
		const char *s = *(char **)at(img, f);
		if (s)
			ini_write(out, f->key, s, strlen(s));
	} else {
		const struct strs *l = at(img, f);
		for (size_t i = 0; i < l->n; i++)
			ini_write(out, f->key, l->v[i], strlen(l->v[i]));
	}
}

int image_record_write(const struct image *img, struct buf *out, struct err *e)
{
	size_t start = out->len;
	buf_puts(out, "[image]\n");
	for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++)
		write_field(img, f, out);
	if (buf_status(out))
		return err_set(e, ENOMEM, "not enough memory");
	if (out->len - start > IMAGE_RECORD_MAX)
		return err_set(e, E2BIG, "the settings of its config are longer than %d bytes", IMAGE_RECORD_MAX);
	return 0;
}

static int read_number(const char *text, uint64_t *out, struct err *e)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		return err_set(e, EINVAL, "`%.40s` is not a number", text);
	*out = v;
	return 0;
}

static int store_field(struct image *img, const struct field *f, const struct buf *v, struct err *e)
{
	if (strlen(buf_str(v)) != v->len)
		return err_set(e, EINVAL, "%s holds a NUL byte", f->key);
	if (f->form == NUMBER)
		return read_number(buf_str(v), at(img, f), e);
	if (f->form == LIST)
		return strs_add(at(img, f), buf_str(v), v->len) ? err_set(e, ENOMEM, "not enough memory") : 0;
	char **p = at(img, f);
	free(*p);
	*p = strdup(buf_str(v));
	return *p ? 0 : err_set(e, ENOMEM, "not enough memory");
}

/* Keys that it does not know are a later version's: left alone. */
static int on_value(void *arg, const char *section, const char *key, const char *value, size_t len, int line,
		    struct err *e)
{
	for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++) {
		if (strcmp(section, "image") || strcmp(key, f->key))
			continue;
		_cleanup_buf_ struct buf v = { 0 };
		int r = ini_unescape(value, len, &v, e);
		if (!r)
			r = store_field(arg, f, &v, e);
		return r;
	}
	return 0;
}

static int check_complete(const char *name, const struct image *img, struct err *e)
{
	for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++)
		if (f->needed && !*(char **)at(img, f))
			return err_set(e, EINVAL, "%s: %s is missing", name, f->key);
	for (size_t i = 0; i < img->layers.n; i++)
		if (strspn(img->layers.v[i], "0123456789abcdef") != 64 || img->layers.v[i][64])
			return err_set(e, EINVAL, "%s: `%.70s` is no layer", name, img->layers.v[i]);
	return 0;
}

int image_record_read(const char *name, const char *text, size_t len, struct image **out, struct err *e)
{
	struct image *img = calloc(1, sizeof *img);
	if (!img)
		return err_set(e, ENOMEM, "not enough memory");
	int r = ini_read(name, text, len, on_value, img, e);
	if (!r)
		r = check_complete(name, img, e);
	if (r)
		image_free(img);
	else
		*out = img;
	return r;
}

int record_load(int refs, const char *name, struct image **out, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = read_file_at(refs, name, IMAGE_RECORD_MAX, &text);
	if (r)
		return err_sys(e, -r, "cannot read the image record refs/%s", name);
	return image_record_read(name, buf_str(&text), text.len, out, e);
}
