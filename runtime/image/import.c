/* The three jobs of podfs-image: see import.h.
 *
 * An import: spool the archive (no lock: it takes as long as its sender), choose the image, then
 * under the shared lock unpack the layers that are missing, make all of it durable, and commit by the record.
 * Until the record is renamed into place nothing refers to what was written, and a crash leaves
 * a work folder that is swept, or layers that nobody names, which `clean` removes.
 */
#include "runtime/image/import.h"

#include "runtime/base/util.h"
#include "runtime/image/choose.h"
#include "runtime/image/layer.h"
#include "runtime/image/record.h"
#include "runtime/image/unpack.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void cleanup_ref(struct image_ref *r)
{
	image_ref_free(r);
}
#define _cleanup_ref_ __attribute__((cleanup(cleanup_ref)))

#define RECORD_NAME (DIGEST_HEX + sizeof ".ini")

/* What the reference is called in the store. */
static int resolve(const char *reference, struct image_ref *ref, char name[RECORD_NAME], struct err *e)
{
	char hex[DIGEST_HEX + 1];
	int r = parse_reference(reference, strlen(reference), ref, e);
	if (!r && ref->dir)
		r = err_set(e, EINVAL, "%s is a folder, which needs no import", reference);
	if (!r)
		r = digest_of(ref->canonical, strlen(ref->canonical), hex, e);
	if (!r)
		snprintf(name, RECORD_NAME, "%s.ini", hex);
	return r;
}

static int unpack_layers(struct disk *d, struct work *w, const struct spool *s, const struct chosen *c,
			 uint64_t image_max, bool *any, struct err *e)
{
	struct layer_budget budget = { image_max, UNPACK_ENTRIES_MAX };
	for (size_t i = 0; i < c->diff_ids.n; i++) {
		int r = layer_unpack(d, w, s, c->layers[i], c->diff_ids.v[i], &budget, e);
		if (r < 0)
			return err_prefix(e, "layer %zu of %zu (sha256:%.12s)", i + 1, c->diff_ids.n, c->diff_ids.v[i]);
		*any = *any || r;
	}
	return 0;
}

/* All files are on disk before their layer gets its name. */
static int publish_layers(struct disk *d, struct work *w, const struct chosen *c, struct err *e)
{
	if (syncfs(w->fd))
		return err_sys(e, errno, "cannot write the layers to disk");
	for (size_t i = 0; i < c->diff_ids.n; i++) {
		int r = layer_publish(d, w, c->diff_ids.v[i], e);
		if (r)
			return r;
	}
	return fsync(d->layers) ? err_sys(e, errno, "cannot write the layers to disk") : 0;
}

static bool has(const struct strs *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i], s))
			return true;
	return false;
}

/* What is to be stacked, from the top down: a layer that comes twice counts where it lies highest
 * (overlayfs takes a folder only once, and the lower one adds nothing), and below a layer that
 * hides everything nothing is looked at (overlayfs does not heed an opaque root). */
static int stack_down(struct disk *d, struct work *w, const struct strs *diff_ids, struct strs *down, uint64_t *size,
		      struct err *e)
{
	bool hides = false;
	*size = 0;
	for (size_t i = diff_ids->n; i-- > 0 && !hides;) {
		uint64_t bytes;
		if (has(down, diff_ids->v[i]))
			continue;
		int r = layer_look(d, w, diff_ids->v[i], &bytes, &hides, e);
		if (r)
			return r;
		if (strs_add(down, diff_ids->v[i], DIGEST_HEX))
			return err_set(e, ENOMEM, "not enough memory");
		*size += bytes;
	}
	return 0;
}

static int fill_layers(struct disk *d, struct work *w, struct chosen *c, struct err *e)
{
	struct strs down = { 0 };
	int r = stack_down(d, w, &c->diff_ids, &down, &c->image->size, e);
	for (size_t i = down.n; !r && i-- > 0;)
		if (strs_add(&c->image->layers, down.v[i], DIGEST_HEX))
			r = err_set(e, ENOMEM, "not enough memory");
	strs_free(&down);
	return r;
}

static int commit(struct disk *d, const char *name, const struct buf *record, struct err *e)
{
	int r = replace_file_at(d->refs, name, buf_str(record), record->len, 0600);
	if (!r && fsync(d->refs))
		r = -errno;
	return r ? err_sys(e, -r, "cannot write the image record") : 0;
}

static int fill_names(struct chosen *c, const char *reference, const struct image_ref *ref, struct err *e)
{
	c->image->written = strdup(reference);
	c->image->canonical = strdup(ref->canonical);
	c->image->imported_ns = now_real_ns();
	return c->image->written && c->image->canonical ? 0 : err_set(e, ENOMEM, "not enough memory");
}

/* Under the shared lock: layers that are there stay there until the record names them. */
static int store_image(struct disk *d, struct work *w, const struct spool *s, struct chosen *c, uint64_t image_max,
		       const char *name, struct err *e)
{
	_cleanup_buf_ struct buf record = { 0 };
	bool any = false;
	int r = disk_lock_shared(d, e);
	if (r)
		return r;
	r = unpack_layers(d, w, s, c, image_max, &any, e);
	if (!r)
		r = fill_layers(d, w, c, e);
	if (!r)
		r = image_record_write(c->image, &record, e);
	if (!r && any)
		r = publish_layers(d, w, c, e);
	if (!r)
		r = commit(d, name, &record, e);
	disk_unlock(d);
	return r;
}

int image_import(struct disk *d, int fd, const char *reference, uint64_t image_max, struct err *e)
{
	_cleanup_ref_ struct image_ref ref = { 0 };
	char name[RECORD_NAME];
	struct work w = { .fd = -1 };
	struct spool s = { .dir = -1 };
	struct chosen c = { 0 };
	int r = resolve(reference, &ref, name, e);
	if (!r)
		r = work_open(d, &w, e);
	if (r)
		return r;
	r = spool_read(w.fd, fd, image_max, &s, e);
	if (!r)
		r = choose(&s, ref.canonical, &c, e);
	if (!r)
		r = fill_names(&c, reference, &ref, e);
	if (!r)
		r = store_image(d, &w, &s, &c, image_max, name, e);
	chosen_free(&c);
	spool_free(&s);
	work_close(d, &w);
	return r;
}

/* Frees its own layers only: others that no record names may be those of an image that was replaced, and
 * still be in use. A record that cannot be read goes too, without its layers. */
static int remove_locked(struct disk *d, const char *name, const char *reference, struct err *e)
{
	struct image *img = NULL;
	int r = record_load(d->refs, name, &img, NULL);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "%s is not on this node", reference);
	r = 0;
	if (unlinkat(d->refs, name, 0) || fsync(d->refs))
		r = err_sys(e, errno, "cannot remove %s", reference);
	else if (img && disk_collect(d, &img->layers, e))
		r = err_prefix(e, "%s is removed, but not its layers", reference);
	image_free(img);
	return r;
}

int image_remove(struct disk *d, const char *reference, struct err *e)
{
	_cleanup_ref_ struct image_ref ref = { 0 };
	char name[RECORD_NAME];
	int r = resolve(reference, &ref, name, e);
	if (!r)
		r = disk_lock_exclusive(d, e);
	if (r)
		return r;
	r = remove_locked(d, name, reference, e);
	disk_unlock(d);
	return r;
}

int image_clean(struct disk *d, struct err *e)
{
	int r = disk_lock_exclusive(d, e);
	if (r)
		return r;
	r = disk_sweep(d, e);
	if (!r)
		r = disk_collect(d, NULL, e);
	disk_unlock(d);
	return r;
}
