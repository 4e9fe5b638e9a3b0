/* Images that go by themselves: when the file system is full, and layers that nobody has any more.
 *
 * Owns struct gc. Chooses; podfs-image removes. What containers name is never chosen, and a layer that podfs-pod holds is
 * left by podfs-image. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

#define CHECK_MS (5 * 60 * 1000) /* kubelet's */
#define CLEAN_MS 500             /* several that end together are one clean */

struct gc {
	struct engine *en;
	struct timer check, clean;
	bool removing;  /* an image is on its way out */
	bool pressing;
	bool stuck;     /* told that nothing more can go */
	bool stale;     /* there may be layers that no record names */
};

static void go_on(struct gc *g);

/* --- layers without an image --- */

static void clean_later(struct gc *g)
{
	if (g->stale && !g->clean.at_ns && !pulls_keep_layers(g->en))
		timer_arm(g->en->loop, &g->clean, CLEAN_MS);
}

static bool is_known(const struct images *s, const char *id)
{
	for (size_t i = 0; i < images_count(s); i++)
		if (!strcmp(images_at(s, i)->digest, id))
			return true;
	return false;
}

/* Is there a run of an image that was replaced? Its layers will be free one day. */
static bool runs_replaced(const struct engine *en)
{
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			const struct container *c = en->pods[i]->containers[k];
			if (c->image_id && !is_known(en->images, c->image_id))
				return true;
		}
	return en->leaving;
}

static void on_cleaned(void *arg, int result, const struct err *e)
{
	struct gc *g = arg;
	if (result)
		ring_line(&g->en->leaks, e->text);
	g->stale = runs_replaced(g->en);
}

static void on_clean(struct timer *t)
{
	struct gc *g = container_of(t, struct gc, clean);
	struct import *i;
	struct err e = { 0 };
	if (pulls_keep_layers(g->en))
		return;
	if (import_launch(g->en, IMAGE_CLEAN, "", &i, &e))
		ring_line(&g->en->leaks, e.text);
	else
		import_finish(i, on_cleaned, g);
}

void gc_run_ended(struct engine *en)
{
	clean_later(en->priv->gc);
}

void gc_after(struct engine *en, enum image_verb verb, int result)
{
	struct gc *g = en->priv->gc;
	if (verb != IMAGE_CLEAN)
		g->stale = true;
	clean_later(g);
	if (!result && (verb == IMAGE_PULL || verb == IMAGE_IMPORT))
		gc_check(en, false);
	else if (result == -ENOSPC || result == -EDQUOT)
		gc_check(en, true);
}

/* --- the file system is full --- */

static unsigned percent(const struct gc *g)
{
	struct statvfs s;
	return fstatvfs(g->en->state_fd, &s) ? 0 : used_percent(&s);
}

static size_t choose(const struct gc *g)
{
	struct images *s = g->en->images;
	size_t n = images_count(s);
	_cleanup_free_ struct gc_image *v = calloc(n + 1, sizeof *v);
	for (size_t i = 0; v && i < n; i++) {
		const struct image *im = images_at(s, i);
		v[i] = (struct gc_image){ im->used_ns, im->imported_ns, engine_image_users(g->en, im) };
	}
	return v ? gc_choose(v, n, now_real_ns(), g->pressing) : n;
}

static void on_removed(void *arg, int result, const struct err *e)
{
	struct gc *g = arg;
	g->removing = false;
	if (result)
		engine_event(g->en, NULL, NULL, "an image could not be removed to free space: %s", e->text);
	else
		go_on(g);
}

static void stop(struct gc *g, unsigned used)
{
	if (!g->stuck)
		engine_event(g->en, NULL, NULL, "the file system of %s is %u %% full (image_gc_high is %u), but containers name all images, or they have just come",
			     g->en->cfg->state, used, g->en->cfg->image_gc_high);
	g->stuck = true;
	g->pressing = false;
}

/* One image after another, until it is below the low mark. */
static void go_on(struct gc *g)
{
	const struct config *cfg = g->en->cfg;
	unsigned used = percent(g);
	if (used <= cfg->image_gc_low) {
		g->pressing = false;
		return;
	}
	size_t i = choose(g);
	const struct image *im = images_at(g->en->images, i);
	struct err e = { 0 };
	if (!im) {
		stop(g, used);
		return;
	}
	engine_event(g->en, NULL, NULL, "the file system of %s is %u %% full: image %s goes, which nobody names", cfg->state, used,
		     im->written);
	g->removing = true;
	if (engine_image_remove(g->en, im->written, on_removed, g, &e))
		on_removed(g, -e.code, &e);
}

void gc_check(struct engine *en, bool pressing)
{
	struct gc *g = en->priv->gc;
	g->pressing |= pressing;
	if (g->removing)
		return;
	if (g->pressing || percent(g) > en->cfg->image_gc_high)
		go_on(g);
	else
		g->stuck = false;
}

/* --- life --- */

static void on_check(struct timer *t)
{
	struct gc *g = container_of(t, struct gc, check);
	timer_arm(g->en->loop, t, CHECK_MS);
	clean_later(g);
	gc_check(g->en, false);
}

/* The first look comes from the loop, when the pods have told what they run. */
int gc_open(struct engine *en)
{
	struct gc *g = en->priv->gc = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	*g = (struct gc){ .en = en, .check.fn = on_check, .clean.fn = on_clean, .stale = true };
	timer_arm(en->loop, &g->check, CLEAN_MS);
	return 0;
}

void gc_close(struct engine *en)
{
	struct gc *g = en->priv->gc;
	if (!g)
		return;
	timer_stop(en->loop, &g->check);
	timer_stop(en->loop, &g->clean);
	free(take_ptr(en->priv->gc));
}
