/* Start-up: records, living podfs-pod processes, and what belongs to nobody any more.
 *
 * What is wanted is in the records, what is comes from podfs-pod; this file compares the two. A pod
 * whose podfs-pod is gone (reboot, crash) gets a new one; its containers start as their policy says.
 */
#include "runtime/engine/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define REAP_RETRY_MS 20
#define REAP_TRIES 500

/* --- cgroups of lost pods --- */

struct reap {
	struct timer timer;
	struct engine *en;
	struct reap *next;
	int tries;
	char uid[37];
};

static void reap_drop(struct reap *r)
{
	for (struct reap **at = &r->en->priv->reaps; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	timer_stop(r->en->loop, &r->timer);
	free(r);
}

static void list_groups(struct engine *en, const char *uid, int result)
{
	char line[400];
	if (!result || result == -ENOENT)
		return;
	snprintf(line, sizeof line, "cgroup %s/%s: %s", en->cfg->cgroup, uid, strerror(-result));
	ring_once(&en->leaks, line);
}

static void on_reap(struct timer *t)
{
	struct reap *r = container_of(t, struct reap, timer);
	int result = cg_destroy(r->en->cg, r->uid);
	if (result == -EBUSY && ++r->tries < REAP_TRIES) {
		timer_arm(r->en->loop, t, REAP_RETRY_MS);
		return;
	}
	list_groups(r->en, r->uid, result);
	reap_drop(r);
}

static bool is_reaped(const struct engine *en, const char *uid)
{
	const struct reap *r = en->priv->reaps;
	while (r && strcmp(r->uid, uid))
		r = r->next;
	return r;
}

void reap_cgroups(struct engine *en, const char *uid)
{
	if (is_reaped(en, uid))
		return;
	int result = cg_destroy(en->cg, uid);
	struct reap *r = result == -EBUSY ? calloc(1, sizeof *r) : NULL;
	if (!r) {
		list_groups(en, uid, result);
		return;
	}
	*r = (struct reap){ .timer = { .fn = on_reap }, .en = en, .next = en->priv->reaps };
	snprintf(r->uid, sizeof r->uid, "%s", uid);
	en->priv->reaps = r;
	timer_arm(en->loop, &r->timer, REAP_RETRY_MS);
}

/* The group is about to be made again. */
void reap_cancel(struct engine *en, const char *uid)
{
	for (struct reap *r = en->priv->reaps, *next; r; r = next) {
		next = r->next;
		if (!strcmp(r->uid, uid))
			reap_drop(r);
	}
}

void reap_free(struct engine *en)
{
	while (en->priv->reaps)
		reap_drop(en->priv->reaps);
}

/* --- a living podfs-pod --- */

/* A change that the last server had asked for may have been carried out after the record was read here: W_HELLO stands behind
 * it. Then the pod is read once more. */
static bool read_again(struct pod *p)
{
	struct engine *en = p->engine;
	_cleanup_buf_ struct buf now = { 0 };
	char path[64], uid[sizeof p->spec->uid];
	snprintf(uid, sizeof uid, "%s", p->spec->uid);
	snprintf(path, sizeof path, "pods/%s/pod.ini", uid);
	if (p->leaving || !p->link->record || read_file_at(en->state_fd, path, SPEC_RECORD_MAX, &now) ||
	    !strcmp(buf_str(&now), p->link->record))
		return false;
	pods_remove(en, p);
	pod_free(p);
	restore_one(en, uid);
	return true;
}

/* The config may say something else by now of how long it backs off. */
static void send_policy(struct pod *p)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_POLICY, 0);
	plan_policy(p, &o);
	link_request(p, &o, NULL, NULL);
	wire_free(&o);
}

static void on_hello(void *arg, int result, struct wire_in *in UNUSED, const struct err *e UNUSED)
{
	struct pod *p = arg;
	if (result >= 0 && read_again(p))
		return;
	pod_settled(p);
	if (result >= 0 && !p->leaving) {
		send_policy(p);
		lost_add(p);
	}
	if (result >= 0 && p->link->nobodys && !p->link->leaves && stray_runs(p))
		return;
	if (result >= 0 && p->leaving && !p->link->leaves)
		leave_again(p);
	if (result >= 0)
		net_resume(p);
	for (size_t i = 0; result >= 0 && !p->leaving && i < p->ncontainers; i++) {
		if (!p->containers[i]->log)
			container_open_log(p->containers[i]);
		container_resume(p->containers[i]);
	}
}

void restore_hello(struct pod *p)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_HELLO, 0);
	pod_unsettled(p);
	if (link_request(p, &o, on_hello, p))
		pod_settled(p);
	wire_free(&o);
}

void engine_assume(struct engine *en)
{
	for (size_t i = 0; i < en->npods; i++) {
		struct pod *p = en->pods[i];
		if (!p->link->hello)
			continue;
		lost_read(p);
		for (size_t j = 0; j < p->ncontainers; j++)
			container_show(p->containers[j]);
		engine_event(en, p, NULL, "its podfs-pod does not answer");
	}
}

/* --- records --- */

int pod_record_read(struct engine *en, const char *uid, struct pod_spec **out, char **as_read, bool *leaving, struct err *e)
{
	static const char *const names[] = { "leaving.ini", "pod.ini" }; /* a removal holds, whatever else is there */
	for (int i = 0; i < 2; i++) {
		char path[128];
		_cleanup_buf_ struct buf text = { 0 };
		snprintf(path, sizeof path, "pods/%s/%s", uid, names[i]);
		int r = read_file_at(en->state_fd, path, SPEC_RECORD_MAX, &text);
		if (r == -ENOENT)
			continue;
		if (r)
			return err_sys(e, -r, "%s", path);
		*leaving = i == 0;
		r = record_read(buf_str(&text), text.len, out, e);
		if (r)
			return err_prefix(e, "%s", path);
		*as_read = take_ptr(text.data);
		return 0;
	}
	return err_set(e, ENOENT, "pods/%s: has no record", uid);
}

static void place(struct engine *en, struct pod *p, bool leaving)
{
	if (!leaving) {
		pods_insert(en, p);
		return;
	}
	p->leaving = true;
	p->leave_by_ns = now_mono_ns() + p->spec->grace * 1000000000ull;
	p->next_leaving = en->leaving;
	en->leaving = p;
}

static void on_brought_back(void *arg, int result, const struct err *e)
{
	struct pod *p = arg;
	if (p->engine->priv->closing || p->leaving)
		return;
	if (result >= 0) {
		lost_start(p);
		return;
	}
	engine_event(p->engine, p, NULL, "could not be brought back: %s", e->text);
	lost_revive(p);
}

void restore_without(struct pod *p)
{
	struct err e = { 0 };
	lost_read(p);
	lost_containers(p, "ContainerStatusUnknown", "the node or its podfs-pod went down");
	if (sandbox_revive(p, on_brought_back, p, &e))
		on_brought_back(p, -e.code, &e);
}

/* As it was made last, until podfs-net says what it should be now. */
static char *read_resolv(struct engine *en, const char *uid)
{
	char path[128];
	_cleanup_buf_ struct buf text = { 0 };
	snprintf(path, sizeof path, "pods/%s/etc/resolv.conf", uid);
	return read_file_at(en->state_fd, path, SPEC_VALUE_MAX, &text) ? NULL : strdup(buf_str(&text));
}

void restore_one(struct engine *en, const char *uid)
{
	struct err e = { 0 };
	struct pod_spec *spec = NULL;
	_cleanup_free_ char *text = NULL;
	bool leaving = false;
	int r = pod_record_read(en, uid, &spec, &text, &leaving, &e);
	if (!r && !leaving && (engine_pod(en, spec->name) || en->npods >= en->cfg->max_pods)) {
		r = err_set(&e, EEXIST, "pods/%s: %s: there is another of that name, or max_pods is reached", uid, spec->name);
		pod_spec_free(spec);
	}
	stray_drop(en, uid);
	if (r == -ENOENT) {
		sweep_pod(en, uid);
		return;
	}
	struct pod *p = r ? NULL : pod_new(en, spec);
	if (!p) {
		stray_unread(en, uid, r ? e.text : "out of memory");
		return;
	}
	for (size_t i = 0; i < spec->ncontainers; i++)
		container_new(p, spec->containers[i]);
	events_load(en, p);
	if (spec->host >= en->priv->next_host)
		en->priv->next_host = spec->host + 1;
	spec->resolv_made = read_resolv(en, uid);
	place(en, p, leaving);
	if (!pod_reconnect(p) && !reach_begin(p))
		pod_without(p);
	/* The one that was written for a new podfs-pod is another. */
	if (p->link->hello)
		p->link->record = take_ptr(text);
}

int restore_all(struct engine *en, struct err *e)
{
	int fd = openat(en->state_fd, "pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_sys(e, errno, "%s/pods", en->cfg->state);
	struct dirent *de;
	while ((de = readdir(d)))
		if (de->d_name[0] != '.' && strlen(de->d_name) == 36)
			restore_one(en, de->d_name);
	sweep_begin(en);
	return 0;
}
