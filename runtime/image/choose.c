/* Which image of the archive is meant: see choose.h. */
#include "runtime/image/choose.h"

#include "runtime/base/util.h"
#include "runtime/image/json.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <string.h>

#define INDEX_DEPTH_MAX 4

/* As Go names it (GOARCH), which the specification takes over. */
#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#define HOST_ARCH_TOO "386"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#define HOST_ARCH_TOO "arm"
#elif defined(__arm__)
#define HOST_ARCH "arm"
#elif defined(__i386__)
#define HOST_ARCH "386"
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_ARCH "riscv64"
#elif defined(__powerpc64__)
#define HOST_ARCH "ppc64le"
#elif defined(__s390x__)
#define HOST_ARCH "s390x"
#else
#error "the OCI name of this architecture is not known"
#endif
#ifndef HOST_ARCH_TOO
#define HOST_ARCH_TOO HOST_ARCH /* whose programs the processor runs as well */
#endif

static bool same_name(const char *name, const char *canonical)
{
	struct image_ref ref;
	if (!name || parse_reference(name, strlen(name), &ref, NULL))
		return false;
	bool same = !strcmp(ref.canonical, canonical);
	image_ref_free(&ref);
	return same;
}

static const char *tag_of(const char *canonical)
{
	const char *slash = strrchr(canonical, '/'), *colon = strrchr(canonical, ':');
	return colon && colon > slash && !strchr(canonical, '@') ? colon + 1 : NULL;
}

static const char *digest_of_reference(const char *canonical)
{
	const char *at = strstr(canonical, "@sha256:");
	return at ? at + strlen("@sha256:") : NULL;
}

/* 2: it is called so, or has that digest; 1: it has that tag; 0: neither. */
static int name_score(const struct descriptor *d, const char *canonical)
{
	const char *digest = digest_of_reference(canonical), *tag = tag_of(canonical);
	if (digest && !strcmp(d->hex, digest))
		return 2;
	if (same_name(d->image_name, canonical) || same_name(d->ref_name, canonical))
		return 2;
	return d->ref_name && tag && !strcmp(d->ref_name, tag);
}

/* 2: this host's, 1: it does not say, 0: another's. */
static int platform_score(const struct descriptor *d)
{
	if (!d->os && !d->arch)
		return 1;
	return d->os && d->arch && !strcmp(d->os, "linux") && !strcmp(d->arch, HOST_ARCH) ? 2 : 0;
}

static bool is_image(const struct descriptor *d)
{
	return !d->attestation && d->kind != DESC_OTHER;
}

static int best_name_score(const struct descriptors *all, const char *canonical)
{
	int best = -1;
	for (const struct descriptor *d = all->v; d < all->v + all->n; d++)
		if (is_image(d) && name_score(d, canonical) > best)
			best = name_score(d, canonical);
	return best;
}

static int pick(const struct descriptors *all, const char *canonical, const struct descriptor **out, struct err *e)
{
	const struct descriptor *best = NULL;
	int name = best_name_score(all, canonical), platform = -1;
	size_t named = 0;    /* that are called so */
	bool several = false; /* of them for the same platform */
	for (const struct descriptor *d = all->v; d < all->v + all->n; d++) {
		if (!is_image(d) || name_score(d, canonical) != name)
			continue;
		named++;
		if (platform_score(d) > platform) {
			best = d;
			platform = platform_score(d);
			several = false;
		} else if (platform_score(d) == platform && strcmp(d->hex, best->hex)) {
			several = true;
		}
	}
	if (!best)
		return err_set(e, EINVAL, "the archive holds no image");
	if (named > 1 && platform == 0)
		return err_set(e, EINVAL, "the archive holds no image for linux/" HOST_ARCH);
	if (several)
		return err_set(e, EINVAL, "the archive holds several images and none is called %s", canonical);
	*out = best;
	return 0;
}

/* Its text, digest and size checked. */
static int blob_text(const struct spool *s, const struct descriptor *d, struct buf *out, struct err *e)
{
	const struct member *m;
	int r = spool_blob(s, d->hex, &m, e);
	if (!r && m->size != d->size)
		r = err_set(e, EBADMSG, "%s has %llu bytes, its descriptor says %llu", m->name,
			    (unsigned long long)m->size, (unsigned long long)d->size);
	return r ? r : spool_text(s, m, out, e);
}

static int set_digest(char **out, const char *hex, struct err *e)
{
	char *s;
	if (asprintf(&s, "sha256:%s", hex) < 0)
		return err_set(e, ENOMEM, "not enough memory");
	*out = s;
	return 0;
}

/* For both kinds: the config's text, and how many layers the archive gives. */
static int take_config(struct chosen *c, const struct buf *text, const char *hex, size_t nlayers, struct err *e)
{
	int r = json_config(buf_str(text), text->len, c->image, &c->diff_ids, e);
	if (r)
		return err_prefix(e, "the config");
	if (c->image->os && strcmp(c->image->os, "linux"))
		return err_set(e, EINVAL, "an image for %.40s", c->image->os);
	if (c->diff_ids.n != nlayers)
		return err_set(e, EINVAL, "%zu layers, but %zu diff_ids in the config", nlayers, c->diff_ids.n);
	if (!nlayers)
		return err_set(e, EINVAL, "an image without layers");
	if (nlayers > LAYERS_MAX)
		return err_set(e, E2BIG, "%zu layers; %d can be stacked", nlayers, LAYERS_MAX);
	return set_digest(&c->image->digest, hex, e);
}

static int alloc_layers(struct chosen *c, size_t n, struct err *e)
{
	c->layers = calloc(n + 1, sizeof *c->layers);
	return c->layers ? 0 : err_set(e, ENOMEM, "not enough memory");
}

static int take_layers(const struct spool *s, const struct descriptors *layers, struct chosen *c, struct err *e)
{
	int r = alloc_layers(c, layers->n, e);
	for (size_t i = 0; !r && i < layers->n; i++) {
		r = spool_blob(s, layers->v[i].hex, &c->layers[i], e);
		if (!r && c->layers[i]->size != layers->v[i].size)
			r = err_set(e, EBADMSG, "%s has %llu bytes, its descriptor says %llu", c->layers[i]->name,
				    (unsigned long long)c->layers[i]->size, (unsigned long long)layers->v[i].size);
	}
	return r;
}

static int take_manifest(const struct spool *s, const struct descriptor *d, struct chosen *c, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 }, config = { 0 };
	struct manifest m = { 0 };
	int r = blob_text(s, d, &text, e);
	if (r)
		return r;
	r = json_manifest(buf_str(&text), text.len, &m, e);
	if (r)
		return err_prefix(e, "the manifest");
	r = set_digest(&c->image->manifest_digest, d->hex, e);
	if (!r)
		r = blob_text(s, &m.config, &config, e);
	if (!r)
		r = take_config(c, &config, m.config.hex, m.layers.n, e);
	if (!r)
		r = take_layers(s, &m.layers, c, e);
	manifest_free(&m);
	return r;
}

/* One index: takes the manifest it leads to, or reads the next index into text (1). `found` remembers
 * whether the digest that the reference asks for was met. */
static int take_index(const struct spool *s, struct buf *text, const char *canonical, struct chosen *c, bool *found,
		      struct err *e)
{
	struct descriptors all;
	const struct descriptor *d = NULL;
	int r = json_index(buf_str(text), text->len, &all, e);
	if (r)
		return err_prefix(e, "an index");
	r = pick(&all, canonical, &d, e);
	if (!r) {
		const char *digest = digest_of_reference(canonical);
		*found = *found || !digest || !strcmp(digest, d->hex);
		buf_reset(text);
		if (d->kind == DESC_MANIFEST)
			r = take_manifest(s, d, c, e);
		else if (!(r = blob_text(s, d, text, e)))
			r = 1;
	}
	descriptors_free(&all);
	return r;
}

/* The text of index.json, if the layout is of a version that is known. */
static int read_layout(const struct spool *s, const struct member *index, struct buf *text, struct err *e)
{
	const struct member *layout = spool_find(s, "oci-layout");
	if (!layout)
		return err_set(e, EINVAL, "index.json is there, but oci-layout is not");
	int r = spool_text(s, layout, text, e);
	if (!r)
		r = json_layout(buf_str(text), text->len, e);
	if (r)
		return err_prefix(e, "oci-layout");
	buf_reset(text);
	return spool_text(s, index, text, e);
}

static int choose_oci(const struct spool *s, const struct member *index, const char *canonical, struct chosen *c,
		      struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = read_layout(s, index, &text, e);
	if (r)
		return r;
	bool found = false;
	r = 1;
	for (int depth = 0; r == 1 && depth < INDEX_DEPTH_MAX; depth++)
		r = take_index(s, &text, canonical, c, &found, e);
	if (r == 1)
		return err_set(e, EINVAL, "indexes nested deeper than %d levels", INDEX_DEPTH_MAX);
	if (!r && !found)
		return err_set(e, EINVAL, "the archive holds %s, not what the reference asks for",
			       c->image->manifest_digest);
	return r;
}

static const struct docker_image *pick_docker(const struct docker_images *all, const char *canonical, struct err *e)
{
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < all->v[i].tags.n; k++)
			if (same_name(all->v[i].tags.v[k], canonical))
				return &all->v[i];
	if (all->n == 1)
		return all->v;
	if (!all->n)
		err_set(e, EINVAL, "the archive holds no image");
	else
		err_set(e, EINVAL, "the archive holds several images and none is called %s", canonical);
	return NULL;
}

/* docker save calls a config by its digest: HEX.json, later blobs/sha256/HEX. */
static int check_config_name(const struct member *m, struct err *e)
{
	const char *slash = strrchr(m->name, '/');
	const char *base = slash ? slash + 1 : m->name;
	size_t n = strcspn(base, ".");
	if (digest_is_hex(base, n) && strncmp(base, m->hex, n))
		return err_set(e, EBADMSG, "%.200s is damaged: its SHA-256 is %s", m->name, m->hex);
	return 0;
}

static int take_docker_layers(const struct spool *s, const struct docker_image *d, struct chosen *c, struct err *e)
{
	int r = alloc_layers(c, d->layers.n, e);
	for (size_t i = 0; !r && i < d->layers.n; i++) {
		c->layers[i] = spool_find(s, d->layers.v[i]);
		if (!c->layers[i])
			r = err_set(e, EINVAL, "%.200s is not in the archive", d->layers.v[i]);
	}
	return r;
}

static int take_docker(const struct spool *s, const struct docker_image *d, struct chosen *c, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	const struct member *m = spool_find(s, d->config);
	if (!m)
		return err_set(e, EINVAL, "%.200s is not in the archive", d->config);
	int r = check_config_name(m, e);
	if (!r)
		r = spool_text(s, m, &text, e);
	if (!r)
		r = take_config(c, &text, m->hex, d->layers.n, e);
	return r ? r : take_docker_layers(s, d, c, e);
}

static int choose_docker(const struct spool *s, const struct member *manifest, const char *canonical,
			 struct chosen *c, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct docker_images all;
	if (digest_of_reference(canonical))
		return err_set(e, EINVAL, "a docker save archive has no digest to find %s by", canonical);
	int r = spool_text(s, manifest, &text, e);
	if (r)
		return r;
	r = json_docker(buf_str(&text), text.len, &all, e);
	if (r)
		return err_prefix(e, "manifest.json");
	const struct docker_image *d = pick_docker(&all, canonical, e);
	r = d ? take_docker(s, d, c, e) : -EINVAL;
	docker_images_free(&all);
	return r;
}

int choose(const struct spool *s, const char *canonical, struct chosen *out, struct err *e)
{
	struct chosen c = { .image = calloc(1, sizeof *c.image) };
	if (!c.image)
		return err_set(e, ENOMEM, "not enough memory");
	/* A newer docker save is both: the OCI half has digests for everything. */
	const struct member *index = spool_find(s, "index.json"), *manifest = spool_find(s, "manifest.json");
	int r;
	if (index)
		r = choose_oci(s, index, canonical, &c, e);
	else if (manifest)
		r = choose_docker(s, manifest, canonical, &c, e);
	else
		r = err_set(e, EINVAL, "neither an OCI layout nor a docker save archive");
	if (r)
		chosen_free(&c);
	else
		*out = c;
	return r;
}

static int check_platform(const struct image *img, struct err *e)
{
	if (img->arch && strcmp(img->arch, HOST_ARCH) && strcmp(img->arch, HOST_ARCH_TOO))
		return err_set(e, EINVAL, "an image for linux/%.40s; this node is linux/" HOST_ARCH, img->arch);
	return 0;
}

static int take_only(const struct spool *s, const struct descriptors *all, struct chosen *c, struct err *e)
{
	if (all->n != 1)
		return err_set(e, EINVAL, "skopeo has written %zu images", all->n);
	if (all->v->kind != DESC_MANIFEST)
		return err_set(e, EINVAL, "its manifest is none of OCI's or of Docker's schema 2");
	int r = take_manifest(s, all->v, c, e);
	return r ? r : check_platform(c->image, e);
}

int choose_pulled(const struct spool *s, struct chosen *out, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct descriptors all = { 0 };
	const struct member *index = spool_find(s, "index.json");
	struct chosen c = { .image = calloc(1, sizeof *c.image) };
	int r = !c.image ? err_set(e, ENOMEM, "not enough memory") :
		!index	 ? err_set(e, EINVAL, "skopeo has written no image") : read_layout(s, index, &text, e);
	if (!r)
		r = json_index(buf_str(&text), text.len, &all, e);
	if (!r)
		r = take_only(s, &all, &c, e);
	descriptors_free(&all);
	if (r)
		chosen_free(&c);
	else
		*out = c;
	return r;
}

int choose_from_index(const char *text, size_t len, char hex[DIGEST_HEX + 1], struct err *e)
{
	struct descriptors all;
	const struct descriptor *d = NULL;
	int r = json_index(text, len, &all, e);
	if (r)
		return r;
	r = pick(&all, "", &d, e);
	if (!r && d->kind != DESC_MANIFEST)
		r = err_set(e, EINVAL, "an index in an index");
	if (!r)
		memcpy(hex, d->hex, DIGEST_HEX + 1);
	descriptors_free(&all);
	return r;
}

void chosen_free(struct chosen *c)
{
	image_free(c->image);
	strs_free(&c->diff_ids);
	free(c->layers);
	*c = (struct chosen){ 0 };
}
