/* Texts of images: .node/images/REF, .node/pull and .node/df.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/image_name.h"
#include "fs/show_text.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

#define NAMES_SHOWN 3 /* of who waits for a pull */

/* At most 100: what a registry says of itself may be wrong. */
static unsigned percent(uint64_t part, uint64_t whole)
{
	return part >= whole ? 100 : (unsigned)((double)part / (double)whole * 100);
}

/* The containers that wait for it, and `node` when it was asked for in .node/pull. */
static void put_waiters(const struct engine *en, const struct pull *p, struct buf *out)
{
	unsigned all = engine_pull_waiters(en, p), shown = 0;
	if (p->by_node)
		buf_puts(out, all ? "node," : "node");
	for (size_t i = 0; i < en->npods && shown < all && shown < NAMES_SHOWN; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers && shown < NAMES_SHOWN; k++) {
			const struct container *c = en->pods[i]->containers[k];
			if (c->pull == p)
				buf_printf(out, "%s%s/%s", shown++ ? "," : "", en->pods[i]->spec->name, c->spec->name);
		}
	if (all > shown)
		buf_printf(out, ",+%u", all - shown);
}

/* --- one image --- */

static void put_pull(const struct engine *en, const struct pull *p, struct buf *out)
{
	buf_puts(out, "Pull:        ");
	pull_show(p, out);
	buf_puts(out, "\nFor:         ");
	put_waiters(en, p, out);
	buf_putc(out, '\n');
}

int show_image(const struct ref *r, struct buf *out)
{
	const struct image *i = image_at(r->en, r->path);
	const struct pull *p = image_pull_at(r->en, r->path);
	if (!i && !p)
		return -ENOENT;
	if (i)
		image_show(i, out);
	else
		buf_printf(out, "Image:       %s\nName:        %s\n", p->reference, p->canonical);
	if (p)
		put_pull(r->en, p, out);
	return buf_status(out);
}

/* --- pulls --- */

static void or_none(struct table *t)
{
	if (t->cells.len == t->begun)
		buf_putc(&t->cells, '-');
	table_next(t);
}

static void progress_cells(struct table *t, const struct pull *p)
{
	if (p->layers) /* the one under way, as pull_show has it */
		buf_printf(&t->cells, "%u/%u", p->layers_done < p->layers ? p->layers_done + 1 : p->layers, p->layers);
	or_none(t);
	if (p->bytes || p->total)
		put_size(&t->cells, p->bytes);
	if (p->total) {
		buf_putc(&t->cells, '/');
		put_size(&t->cells, p->total);
	}
	or_none(t);
	if (p->total)
		buf_printf(&t->cells, "%u%%", percent(p->bytes, p->total));
	or_none(t);
	if (p->bytes) {
		put_size(&t->cells, p->rate);
		buf_puts(&t->cells, "/s");
	}
	or_none(t);
	show_age(p->started_ns, &t->cells);
	or_none(t);
}

static void pull_cells(struct table *t, const struct engine *en, const struct pull *p)
{
	bool fetching = p->state == PULL_FETCHING;
	table_cell(t, p->reference);
	table_cell(t, !fetching ? "BackOff" : p->queued ? "Queued" : "Pulling");
	if (fetching)
		progress_cells(t, p);
	for (int i = 0; !fetching && i < 5; i++)
		or_none(t);
	put_waiters(en, p, &t->cells);
	if (!fetching) {
		buf_puts(&t->cells, ": ");
		pull_show(p, &t->cells);
	}
	or_none(t);
}

int show_pull(const struct ref *r, struct buf *out)
{
	static const char *const heads[] = { "REFERENCE", "STATE", "LAYER", "BYTES", "%", "RATE", "TIME", "FOR" };
	struct table t;
	if (!engine_pulls(r->en))
		return 0;
	table_begin(&t, heads, ARRAY_LEN(heads));
	for (const struct pull *p = engine_pulls(r->en); p; p = p->next)
		pull_cells(&t, r->en, p);
	return table_end(&t, out);
}

/* --- df --- */

struct use {
	size_t total, active;
	uint64_t bytes, active_bytes;
};

static size_t index_of(const struct images *s, const struct image *im)
{
	size_t i = 0;
	while (i < images_count(s) && images_at(s, i) != im)
		i++;
	return i;
}

/* One look at each container: as many as there are, so an image is not asked who uses it. */
static void image_use(const struct engine *en, bool *used, struct use *u)
{
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			const char *reference = en->pods[i]->containers[k]->spec->image;
			const struct image *im = reference ? images_find(en->images, reference) : NULL;
			if (im)
				used[index_of(en->images, im)] = true;
		}
	u->total = images_count(en->images);
	for (size_t i = 0; i < u->total; i++)
		u->active += used[i];
	u->bytes = images_bytes(en->images, NULL);
	u->active_bytes = images_bytes(en->images, used);
}

static void log_use(const struct engine *en, struct use *u)
{
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			const struct container *c = en->pods[i]->containers[k];
			if (!c->log)
				continue;
			uint64_t bytes = log_size(c->log, LOG_ALL) - log_oldest(c->log, LOG_ALL);
			bool active = c->status.state == C_RUNNING || c->status.state == C_PAUSED;
			u->total++;
			u->active += active;
			u->bytes += bytes;
			u->active_bytes += active ? bytes : 0;
		}
}

static void use_cells(struct table *t, const char *type, const struct use *u)
{
	uint64_t rest = u->bytes > u->active_bytes ? u->bytes - u->active_bytes : 0;
	table_cell(t, type);
	table_count(t, u->total);
	table_count(t, u->active);
	put_size(&t->cells, u->bytes);
	table_next(t);
	put_size(&t->cells, rest);
	buf_printf(&t->cells, " (%u%%)", u->bytes ? percent(rest, u->bytes) : 0);
	table_next(t);
}

static int put_store(const struct engine *en, struct buf *out)
{
	static const char *const heads[] = { "TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE" };
	_cleanup_free_ bool *used = calloc(images_count(en->images) + 1, sizeof *used);
	struct use images = { 0 }, logs = { 0 };
	struct table t;
	if (!used)
		return -ENOMEM;
	image_use(en, used, &images);
	log_use(en, &logs);
	table_begin(&t, heads, ARRAY_LEN(heads));
	use_cells(&t, "Images", &images);
	use_cells(&t, "Logs", &logs);
	return table_end(&t, out);
}

/* As df(1) counts: what only root may still write is neither used nor available. */
static int put_file_system(const struct engine *en, struct buf *out)
{
	static const char *const heads[] = { "STATE", "SIZE", "USED", "AVAIL", "USE%", "GC" };
	struct statvfs v;
	struct table t;
	if (fstatvfs(en->state_fd, &v))
		return -errno;
	table_begin(&t, heads, ARRAY_LEN(heads));
	table_cell(&t, en->cfg->state);
	put_size(&t.cells, (uint64_t)v.f_blocks * v.f_frsize);
	table_next(&t);
	put_size(&t.cells, (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize);
	table_next(&t);
	put_size(&t.cells, (uint64_t)v.f_bavail * v.f_frsize);
	table_next(&t);
	buf_printf(&t.cells, "%u%%", used_percent(&v));
	table_next(&t);
	if (en->cfg->image_gc_high < 100)
		buf_printf(&t.cells, "above %u%%, down to %u%%", en->cfg->image_gc_high, en->cfg->image_gc_low);
	else
		buf_puts(&t.cells, "never");
	table_next(&t);
	return table_end(&t, out);
}

int show_df(const struct ref *r, struct buf *out)
{
	int result = put_store(r->en, out);
	buf_putc(out, '\n');
	return result ? result : put_file_system(r->en, out);
}
