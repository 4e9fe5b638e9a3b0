/* Pulls: one a reference, whoever asks.
 *
 * Owns struct pull. One is there while somebody wants it: containers (those whose `pull` points to it; there is no other list)
 * or .node/pull. It fetches, backs off, and tries again; what follows for containers is start.c's. Runs in podfs-server;
 * the work is podfs-image's.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define FETCHES_MAX 8        /* at the same time, also those that were told to stop; the others wait for their turn */
#define FETCHES_OF_ONE 4     /* of them for one user other than root */
#define NODE_RETRIES 5       /* for .node/pull alone; containers are tried for as long as they wait */
#define FRESH_MS 1000        /* how long a failure is ErrImagePull, before it is ImagePullBackOff */

struct pull_private {
	struct pull pull;
	struct engine *en;
	struct import *job;  /* NULL: it backs off, or its turn has not come */
	struct timer timer;
	uid_t uid;           /* who asked for what job does */
	uint64_t retry_ns;   /* CLOCK_MONOTONIC */
	bool fresh;          /* the failure is */
	struct rate rate;
};

static void attempt(struct pull *p);

/* --- finding --- */

const struct pull *engine_pulls(const struct engine *en)
{
	return en->priv->pulls;
}

static struct pull *find(const struct engine *en, const char *reference)
{
	struct image_ref ref;
	struct pull *p = en->priv->pulls;
	if (parse_reference(reference, strlen(reference), &ref, NULL))
		return NULL;
	while (p && strcmp(p->canonical, ref.canonical))
		p = p->next;
	image_ref_free(&ref);
	return p;
}

const struct pull *engine_pull_find(const struct engine *en, const char *reference)
{
	return find(en, reference);
}

/* Calls fn for each container that waits for it; fn may take it off. How many there were. */
static unsigned each_waiter(const struct engine *en, const struct pull *p, void (*fn)(struct container *c, void *arg), void *arg)
{
	unsigned n = 0;
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			struct container *c = en->pods[i]->containers[k];
			if (c->pull != p)
				continue;
			n++;
			if (fn)
				fn(c, arg);
		}
	return n;
}

static struct container *first_waiter(const struct pull *p)
{
	const struct engine *en = p->priv->en;
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++)
			if (en->pods[i]->containers[k]->pull == p)
				return en->pods[i]->containers[k];
	return NULL;
}

unsigned engine_pull_waiters(const struct engine *en, const struct pull *p)
{
	return each_waiter(en, p, NULL, NULL);
}

static void tell_waiter(struct container *c, void *text)
{
	engine_event(c->pod->engine, c->pod, c, "%s", (const char *)text);
}

/* Into the events of those who wait; of nobody's pull into the node's. */
static void __attribute__((format(printf, 2, 3))) tell(struct pull *p, const char *fmt, ...)
{
	struct engine *en = p->priv->en;
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!each_waiter(en, p, tell_waiter, text))
		engine_event(en, NULL, NULL, "%s", text);
}

static void show_waiter(struct container *c, void *code)
{
	if (code)
		c->last_error = *(int *)code;
	container_show(c);
	engine_changed(c->pod->engine, c->pod, CHANGE_STATE);
}

const char *pull_reason(const struct pull *p)
{
	if (p->state == PULL_BACKOFF && !p->priv->fresh)
		return "ImagePullBackOff";
	return p->attempts ? "ErrImagePull" : "ContainerCreating";
}

/* --- coming and going --- */

static struct pull *pull_new(struct engine *en, const char *reference, struct err *e)
{
	struct image_ref ref;
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (r)
		return NULL;
	struct pull_private *priv = calloc(1, sizeof *priv);
	char *written = strdup(reference_name(reference));
	if (!priv || !written) {
		free(priv);
		free(written);
		image_ref_free(&ref);
		err_set(e, ENOMEM, "%s: out of memory", reference);
		return NULL;
	}
	priv->en = en;
	priv->pull = (struct pull){ .reference = written, .canonical = take_ptr(ref.canonical), .priv = priv };
	image_ref_free(&ref);
	struct pull **at = &en->priv->pulls;
	while (*at)
		at = &(*at)->next;
	return *at = &priv->pull;
}

static void pull_unlink(struct pull *p)
{
	for (struct pull **at = &p->priv->en->priv->pulls; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
}

static void pull_free(struct pull *p)
{
	timer_stop(p->priv->en->loop, &p->priv->timer);
	free(p->reference);
	free(p->canonical);
	free(p->priv);
}

/* --- whose turn it is --- */

/* Of .node/pull and of pods of root it is root. */
static uid_t asker(const struct pull *p)
{
	const struct container *c = p->by_node ? NULL : first_waiter(p);
	return c ? c->pod->spec->owner : 0;
}

/* Nobody but root takes all places, however slow his registry is. */
static bool has_place(const struct pull *p)
{
	const struct engine *en = p->priv->en;
	uid_t uid = asker(p);
	unsigned his = 0;
	for (const struct pull *o = en->priv->pulls; o; o = o->next)
		his += o->priv->job && o->priv->uid == uid;
	return imports_running(en, IMAGE_PULL) < FETCHES_MAX && (!uid || his < FETCHES_OF_ONE);
}

static struct pull *first_in_turn(const struct engine *en)
{
	struct pull *p = en->priv->pulls;
	while (p && !(p->queued && has_place(p)))
		p = p->next;
	return p;
}

/* One that cannot be begun makes room for another. */
void pulls_next(struct engine *en)
{
	struct pull *p;
	while ((p = first_in_turn(en)))
		attempt(p);
}

static void pull_end(struct pull *p)
{
	struct engine *en = p->priv->en;
	struct import *job = p->priv->job;
	pull_unlink(p);
	pull_free(p);
	if (job)
		import_cancel(job);
	engine_changed(en, NULL, CHANGE_IMAGES);
}

/* One that failed half-way goes on from the layers that it has finished; of a full disk they are the wrong half. */
bool pulls_keep_layers(const struct engine *en)
{
	for (const struct pull *p = en->priv->pulls; p; p = p->next)
		if (p->state == PULL_FETCHING || (p->layers_done && p->code != ENOSPC && p->code != EDQUOT))
			return true;
	return false;
}

static bool wanted(const struct pull *p)
{
	return p->by_node || first_waiter(p);
}

/* --- the image is there --- */

void pulls_free(struct engine *en)
{
	struct pull *p;
	struct container *c;
	while ((p = en->priv->pulls)) {
		while ((c = first_waiter(p)))
			c->pull = NULL;
		pull_unlink(p);
		pull_free(p);
	}
}

/* One whose `image` is being written anew, or that is being stopped, is none of ours any more. */
static bool still_meant(struct engine *en, const struct container *c, const char *canonical)
{
	const struct image *im = c->spec->start_pending ? images_find(en->images, c->spec->image) : NULL;
	return im && !strcmp(im->canonical, canonical);
}

/* p is gone afterwards: out of the list at once, so that whoever asks anew begins another. */
static void arrived(struct pull *p)
{
	struct engine *en = p->priv->en;
	struct container *c;
	pull_unlink(p);
	while ((c = first_waiter(p))) {
		c->pull = NULL;
		if (still_meant(en, c, p->canonical))
			container_start(c);
		container_show(c);
		engine_changed(en, c->pod, CHANGE_STATE);
	}
	pull_end(p);
}

void pulls_imported(struct engine *en, const char *reference)
{
	struct pull *p = find(en, reference);
	if (p && images_find(en->images, reference))
		arrived(p);
}

/* --- attempts --- */

static void on_timer(struct timer *t)
{
	struct pull_private *priv = container_of(t, struct pull_private, timer);
	uint64_t now = now_mono_ns();
	if (now >= priv->retry_ns) {
		attempt(&priv->pull);
		return;
	}
	priv->fresh = false;
	each_waiter(priv->en, &priv->pull, show_waiter, NULL);
	timer_arm(priv->en->loop, t, (priv->retry_ns - now + 999999) / 1000000);
}

static void back_off(struct pull *p)
{
	struct pull_private *priv = p->priv;
	const struct config *cfg = priv->en->cfg;
	uint64_t ms = pull_backoff_ms(p->attempts, cfg->pull_backoff_base, cfg->pull_backoff_cap);
	p->state = PULL_BACKOFF;
	p->next_ns = now_real_ns() + ms * 1000000;
	priv->retry_ns = now_mono_ns() + ms * 1000000;
	priv->fresh = true;
	tell(p, "back-off pulling image %s: next try in %.1f s", p->reference, (double)ms / 1e3);
	each_waiter(priv->en, p, show_waiter, &p->code);
	priv->timer.fn = on_timer;
	timer_arm(priv->en->loop, &priv->timer, ms / 2 < FRESH_MS ? ms / 2 : FRESH_MS);
}

/* A sentence that names the image first: whoever reads it knows that already. */
static const char *without_name(const struct pull *p, const char *text)
{
	size_t n = strlen(p->reference);
	return !strncmp(text, p->reference, n) && !strncmp(text + n, ": ", 2) ? text + n + 2 : text;
}

/* p may be gone afterwards. */
static void failed(struct pull *p, const struct err *e)
{
	struct engine *en = p->priv->en;
	p->attempts++;
	p->code = e->code;
	snprintf(p->error, sizeof p->error, "%s", without_name(p, e->text));
	tell(p, "failed to pull image %s: %s", p->reference, p->error);
	if (p->by_node && (pull_hopeless(e->code) || p->attempts > NODE_RETRIES)) {
		struct err named;
		err_set(&named, e->code, "%s: %s", p->reference, p->error);
		engine_refused(en, NULL, NULL, "pull", &named);
		p->by_node = false;
	}
	if (wanted(p))
		back_off(p);
	else
		pull_end(p);
}

static void on_progress(void *arg, const struct import_progress *now)
{
	struct pull *p = arg;
	p->layers_done = now->layers_done;
	p->layers = now->layers;
	p->bytes = now->bytes;
	p->total = now->total;
	p->rate = rate_add(&p->priv->rate, now_mono_ns(), now->bytes);
}

static void on_pulled(void *arg, int result, const struct err *e)
{
	struct pull *p = arg;
	struct engine *en = p->priv->en;
	struct err odd = { 0 };
	p->priv->job = NULL;
	if (!result && !images_find(en->images, p->canonical))
		result = err_set(&odd, EIO, "%s: podfs-image says that it is there, but it is not", p->reference);
	if (result) {
		failed(p, odd.code ? &odd : e);
	} else {
		tell(p, "pulled image %s in %.1f s", p->reference, (double)(now_real_ns() - p->started_ns) / 1e9);
		arrived(p);
	}
}

/* p may be gone afterwards. */
static void attempt(struct pull *p)
{
	struct pull_private *priv = p->priv;
	struct err e = { 0 };
	timer_stop(priv->en->loop, &priv->timer);
	p->state = PULL_FETCHING;
	p->started_ns = now_real_ns();
	p->layers_done = p->layers = 0;
	p->bytes = p->total = p->rate = p->next_ns = 0;
	priv->rate = (struct rate){ 0 };
	rate_add(&priv->rate, now_mono_ns(), 0);
	each_waiter(priv->en, p, show_waiter, NULL);
	p->queued = !has_place(p);
	if (p->queued)
		return;
	priv->uid = asker(p);
	tell(p, "pulling image %s", p->reference);
	if (import_launch(priv->en, IMAGE_PULL, p->reference, &priv->job, &e)) {
		failed(p, &e);
		return;
	}
	import_watch(priv->job, on_progress, p);
	import_finish(priv->job, on_pulled, p);
}

/* --- asking --- */

bool pull_possible(void)
{
	return in_path("skopeo");
}

int pull_join(struct container *c, struct err *e)
{
	struct engine *en = c->pod->engine;
	struct pull *p = find(en, c->spec->image);
	bool fresh = !p;
	if (!p)
		p = pull_new(en, c->spec->image, e);
	if (!p)
		return -e->code;
	struct pull *old = c->pull;
	c->pull = p;
	c->last_error = 0;
	if (old && old != p && !wanted(old))
		pull_end(old);
	if (fresh || p->state == PULL_BACKOFF)
		attempt(p);
	else
		engine_event(en, c->pod, c, "pulling image %s: under way already", p->reference);
	container_show(c);
	engine_changed(en, c->pod, CHANGE_STATE);
	return 0;
}

void pull_leave(struct container *c)
{
	struct pull *p = take_ptr(c->pull);
	if (p && !wanted(p))
		pull_end(p);
}

int engine_pull(struct engine *en, const char *reference, bool by_root, struct err *e)
{
	struct image_ref ref;
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (r)
		return r;
	bool local = ref.local;
	image_ref_free(&ref);
	if (local && !by_root)
		return err_set(e, EPERM, "%s: what is on the host is for root only", reference);
	if (!pull_possible())
		return err_set(e, ENOSYS, "%s: skopeo, which would fetch it, is not installed", reference);
	struct pull *p = find(en, reference);
	bool fresh = !p;
	if (!p)
		p = pull_new(en, reference, e);
	if (!p)
		return -e->code;
	p->by_node = true;
	if (fresh || p->state == PULL_BACKOFF)
		attempt(p);
	engine_changed(en, NULL, CHANGE_IMAGES);
	return 0;
}

int engine_pull_cancel(struct engine *en, const char *reference, struct err *e)
{
	struct pull *p = find(en, reference);
	if (!p)
		return err_set(e, ENOENT, "%s: is not being pulled", reference);
	tell(p, "pull of image %s cancelled", p->reference);
	char words[300];
	snprintf(words, sizeof words, "the pull of %s was cancelled", p->reference);
	struct container *c;
	pull_unlink(p);
	while ((c = first_waiter(p))) {
		c->pull = NULL;
		container_give_up(c, ECANCELED, words);
	}
	pull_end(p);
	return 0;
}
