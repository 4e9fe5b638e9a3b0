/* The jobs of podfs-image but pull: see import.h.
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
#include "runtime/image/progress.h"
#include "runtime/image/record.h"
#include "runtime/image/tar.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
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
	if (!r)
		r = digest_of(ref->canonical, strlen(ref->canonical), hex, e);
	if (!r)
		snprintf(name, RECORD_NAME, "%s.ini", hex);
	return r;
}

/* Layers being unpacked for an image: which of its layers each unpacker has. */
struct store_job {
	struct disk *d;
	struct work *w;
	const struct spool *s;
	const struct chosen *c;
	struct workers *ws;
	unsigned ids[LAYERS_MAX]; /* 0: not started */
	struct progress progress;
};

static int layer_failed(const struct store_job *j, size_t i, struct err *e)
{
	const struct strs *ids = &j->c->diff_ids;
	return err_prefix(e, "layer %zu of %zu (sha256:%.12s)", i + 1, ids->n, ids->v[i]);
}

static bool comes_twice(const struct strs *l, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(l->v[k], l->v[i]))
			return true;
	return false;
}

/* The next layer to be unpacked, from *at on; false: none is left. */
static bool next_missing(const struct store_job *j, size_t *at)
{
	const struct strs *ids = &j->c->diff_ids;
	while (*at < ids->n && (comes_twice(ids, *at) || layer_is_there(j->d, j->w, ids->v[*at])))
		++*at;
	return *at < ids->n;
}

static int start(struct store_job *j, size_t i, struct err *e)
{
	_cleanup_close_ int fd = spool_open(j->s, j->c->layers[i], e);
	int r = fd < 0 ? fd : workers_start(j->ws, fd, false, e);
	if (r < 0)
		return layer_failed(j, i, e);
	j->ids[i] = (unsigned)r;
	return 0;
}

static int check(const struct store_job *j, size_t i, const struct unpacked *u, struct err *e)
{
	if (u->err.code)
		return err_set(e, u->err.code, "%s", u->err.text);
	if (strcmp(u->blob, j->c->layers[i]->hex))
		return err_set(e, EBADMSG, "its SHA-256 is %s, not that of its blob", u->blob);
	if (strcmp(u->diff_id, j->c->diff_ids.v[i]))
		return err_set(e, EBADMSG, "its content has the SHA-256 %s, not its diff id", u->diff_id);
	return layer_keep(j->w, u, e);
}

static int take(struct store_job *j, const struct unpacked *u, struct err *e)
{
	size_t i = 0;
	while (i < j->c->diff_ids.n && j->ids[i] != u->id)
		i++;
	if (i == j->c->diff_ids.n)
		return err_set(e, EINVAL, "an unpacker that nobody started");
	if (check(j, i, u, e))
		return layer_failed(j, i, e);
	spool_drop(j->s, j->c->layers[i]);
	j->progress.done++;
	return 0;
}

static int wait_for_one(struct store_job *j, struct err *e)
{
	struct pollfd p = { .fd = workers_fd(j->ws), .events = POLLIN };
	struct unpacked u;
	int r = 0;
	poll(&p, 1, PROGRESS_MS);
	while (!r && workers_next(j->ws, &u))
		r = take(j, &u, e);
	if (!r && tar_cancelled)
		r = err_set(e, ECANCELED, "cancelled");
	j->progress.bytes = workers_bytes(j->ws);
	progress_say(&j->progress);
	return r;
}

/* Before any is begun: whoever is told -EAGAIN has nothing to wait for. */
static int look_for_placeholders(const struct store_job *j, size_t *missing)
{
	for (size_t at = 0; next_missing(j, &at); at++)
		if (j->c->layers[at]->placeholder) {
			*missing = at;
			return -EAGAIN;
		}
	return 0;
}

/* Side by side, as many as may be. */
static int unpack_layers(struct store_job *j, struct err *e)
{
	size_t at = 0;
	int r = 0;
	while (!r && (next_missing(j, &at) || workers_running(j->ws))) {
		if (at == j->c->diff_ids.n || workers_busy(j->ws))
			r = wait_for_one(j, e);
		else
			r = start(j, at++, e);
	}
	return r;
}

/* Of all its layers, whether they are there, were unpacked on the way, or are still to be. */
static void begin_progress(struct store_job *j)
{
	const struct strs *ids = &j->c->diff_ids;
	for (size_t i = 0; i < ids->n; i++) {
		if (comes_twice(ids, i))
			continue;
		j->progress.layers++;
		j->progress.done += layer_is_there(j->d, j->w, ids->v[i]);
		if (!j->c->layers[i]->placeholder)
			j->progress.total += j->c->layers[i]->size;
	}
	progress_say(&j->progress);
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
static int stack_down(struct disk *d, struct work *w, const struct strs *diff_ids, struct strs *down,
		      struct strs *sizes, uint64_t *size, struct err *e)
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
		char digits[24];
		int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)bytes);
		if (strs_add(down, diff_ids->v[i], DIGEST_HEX) || strs_add(sizes, digits, (size_t)n))
			return err_set(e, ENOMEM, "not enough memory");
		*size += bytes;
	}
	return 0;
}

static int append_reversed(struct strs *to, const struct strs *from, struct err *e)
{
	for (size_t i = from->n; i-- > 0;)
		if (strs_add(to, from->v[i], strlen(from->v[i])))
			return err_set(e, ENOMEM, "not enough memory");
	return 0;
}

static int fill_layers(struct disk *d, struct work *w, struct chosen *c, struct err *e)
{
	struct strs down = { 0 }, sizes = { 0 };
	int r = stack_down(d, w, &c->diff_ids, &down, &sizes, &c->image->size, e);
	if (!r)
		r = append_reversed(&c->image->layers, &down, e);
	if (!r)
		r = append_reversed(&c->image->layer_sizes, &sizes, e);
	strs_free(&down);
	strs_free(&sizes);
	return r;
}

/* One at a time: two that import one name write the same file before they rename it. */
static int commit(struct disk *d, const char *name, const struct buf *record, struct err *e)
{
	int r = flock(d->refs, LOCK_EX) ? -errno : replace_file_at(d->refs, name, buf_str(record), record->len, 0600);
	if (!r && fsync(d->refs))
		r = -errno;
	flock(d->refs, LOCK_UN);
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
static int store_locked(struct store_job *j, struct chosen *c, const char *name, size_t *missing, struct err *e)
{
	_cleanup_buf_ struct buf record = { 0 };
	begin_progress(j);
	int r = look_for_placeholders(j, missing);
	if (!r)
		r = unpack_layers(j, e);
	if (!r)
		r = fill_layers(j->d, j->w, c, e);
	if (!r)
		r = image_record_write(c->image, &record, e);
	if (!r)
		r = layer_publish_all(j->d, j->w, e);
	return r ? r : commit(j->d, name, &record, e);
}

int image_store(struct disk *d, struct work *w, const struct spool *s, struct chosen *c, struct workers *ws,
		const char *reference, size_t *missing, struct err *e)
{
	_cleanup_ref_ struct image_ref ref = { 0 };
	char name[RECORD_NAME];
	struct store_job j = { .d = d, .w = w, .s = s, .c = c, .ws = ws };
	int r = resolve(reference, &ref, name, e);
	if (!r)
		r = fill_names(c, reference, &ref, e);
	if (!r)
		r = disk_lock_shared(d, e);
	if (r)
		return r;
	r = store_locked(&j, c, name, missing, e);
	disk_unlock(d);
	return r;
}

/* The archive is in the work folder. */
static int import_spooled(struct disk *d, struct work *w, const struct spool *s, const struct image_ref *ref,
			  const char *reference, uint64_t image_max, struct err *e)
{
	struct chosen c = { 0 };
	struct workers *ws = NULL;
	size_t missing;
	int r = choose(s, ref->canonical, &c, e);
	if (!r)
		r = workers_new(w, image_max, &ws, e);
	if (!r)
		r = image_store(d, w, s, &c, ws, reference, &missing, e);
	workers_free(ws);
	chosen_free(&c);
	return r;
}

int image_import(struct disk *d, int fd, const char *reference, uint64_t image_max, struct err *e)
{
	_cleanup_ref_ struct image_ref ref = { 0 };
	char name[RECORD_NAME];
	struct work w = { .fd = -1 };
	struct spool s = { .dir = -1 };
	int r = resolve(reference, &ref, name, e);
	if (!r && (ref.dir || ref.local))
		r = err_set(e, EINVAL, "%s is a path, which needs no import", reference);
	if (!r)
		r = work_open(d, &w, e);
	if (r)
		return r;
	r = spool_read(w.fd, fd, image_max, &s, e);
	if (!r)
		r = import_spooled(d, &w, &s, &ref, reference, image_max, e);
	spool_free(&s);
	work_close(d, &w);
	return r;
}

/* Frees its own layers only: others that no record names may be those of an image that was replaced, and
 * still be in use. A record that cannot be read goes too, without its layers. */
static int remove_locked(struct disk *d, const char *name, const char *reference, struct work *aside, struct err *e)
{
	struct image *img = NULL;
	int r = record_load(d->refs, name, &img, NULL);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "%s is not on this node", reference);
	r = 0;
	if (unlinkat(d->refs, name, 0) || fsync(d->refs))
		r = err_sys(e, errno, "cannot remove %s", reference);
	else if (img && disk_collect(d, &img->layers, aside, e))
		r = err_prefix(e, "%s is removed, but not its layers", reference);
	image_free(img);
	return r;
}

int image_remove(struct disk *d, const char *reference, struct err *e)
{
	_cleanup_ref_ struct image_ref ref = { 0 };
	char name[RECORD_NAME];
	struct work aside = { .fd = -1 };
	int r = resolve(reference, &ref, name, e);
	if (!r)
		r = disk_lock_exclusive(d, e);
	if (r)
		return r;
	r = remove_locked(d, name, reference, &aside, e);
	disk_unlock(d);
	work_close(d, &aside);
	return r;
}

int image_clean(struct disk *d, struct err *e)
{
	struct work aside = { .fd = -1 };
	int r = disk_lock_exclusive(d, e);
	if (r)
		return r;
	r = disk_sweep(d, &aside, e);
	if (!r)
		r = disk_collect(d, NULL, &aside, e);
	disk_unlock(d);
	work_close(d, &aside);
	return r;
}
