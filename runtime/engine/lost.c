/* A lost sandbox: what becomes of its containers, and when it is made anew.
 *
 * podfs-pod was killed, or the node went down. What it knew of each container's last run is in this server's memory or on disk
 * (runtime/pod/ran.c). What ran is started again as `restart` says, in a new sandbox; what had ended stays as it was.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define AGAIN_MS 20    /* until the groups of the lost one are empty */
#define AGAIN_TRIES 500

/* --- what was asked of it last --- */

static struct container_spec *spec_of(const struct pod_spec *s, uint64_t serial)
{
	for (size_t i = 0; i < s->ncontainers; i++)
		if (s->containers[i]->serial == serial)
			return s->containers[i];
	return NULL;
}

static bool has_container(const struct pod *p, uint64_t serial)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		if (p->containers[i]->entity.serial == serial)
			return true;
	return false;
}

static void take_spec(struct pod *p, struct pod_spec *spec)
{
	for (size_t i = p->ncontainers; i--;) {
		struct container *c = p->containers[i];
		struct container_spec *cs = spec_of(spec, c->entity.serial);
		if (!cs) {
			container_free(c);
			continue;
		}
		cs->start_pending |= c->spec->start_pending; /* may be newer than any record */
		c->spec = cs;
	}
	for (size_t i = 0; i < spec->ncontainers; i++)
		if (!has_container(p, spec->containers[i]->serial))
			container_new(p, spec->containers[i]);
	spec->resolv_made = take_ptr(p->spec->resolv_made);
	pod_spec_free(p->spec);
	p->spec = spec;
}

/* Its last change may be on disk though nobody said so: what the next server would read holds for this one too. */
void lost_record(struct pod *p)
{
	struct err e = { 0 };
	struct pod_spec *spec = NULL;
	_cleanup_free_ char *text = NULL;
	bool leaving = false;
	if (pod_record_read(p->engine, p->spec->uid, &spec, &text, &leaving, &e))
		return;
	if (leaving)
		pod_spec_free(spec);
	else
		take_spec(p, spec);
}

/* --- its containers --- */

/* It would go on running, or run again. */
static bool is_up(const struct container_status *s)
{
	bool ends = s->kill_ns && !s->again;
	return ((s->state == C_RUNNING || s->state == C_PAUSED) && !ends) || s->next_ns;
}

/* The second line; an older podfs wrote none. */
static void read_run_before(struct run_end *l, const char *text)
{
	const char *nl = strchr(text, '\n');
	struct run_end r;
	if (nl && sscanf(nl + 1, "%d %d %" SCNu64 " %" SCNu64 " %39s", &r.exit_code, &r.signal, &r.started_ns, &r.finished_ns,
			 r.reason) == 5)
		*l = r;
}

/* False: nothing is known; it may never have run. */
static bool read_last_run(struct container *c)
{
	struct container_status *s = &c->told;
	_cleanup_buf_ struct buf line = { 0 };
	char path[192];
	int state, code, sig;
	snprintf(path, sizeof path, "pods/%s/logs/%s/last", c->pod->spec->uid, c->id);
	if (read_file_at(c->pod->engine->state_fd, path, 512, &line) ||
	    sscanf(buf_str(&line), "%d %u %d %d %" SCNu64 " %" SCNu64 " %39s", &state, &s->restarts, &code, &sig, &s->started_ns,
		   &s->finished_ns, s->reason) != 7)
		return false;
	s->state = state == WIRE_TERMINATED ? C_TERMINATED : state == WIRE_WAITING ? C_WAITING : C_RUNNING;
	s->next_ns = state == WIRE_WAITING ? now_real_ns() : 0; /* one that backs off is to come again */
	s->kill_ns = state == RAN_STOPPING ? now_real_ns() : 0;
	s->exit_code = code;
	s->signal = sig;
	read_run_before(&s->last, buf_str(&line));
	return true;
}

static void read_one(struct container *c)
{
	if (!read_last_run(c) && c->spec->image && !c->spec->start_pending)
		c->told.state = C_RUNNING; /* as far as anybody knew */
}

void lost_read(struct pod *p)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		read_one(p->containers[i]);
}

static void lose(struct container *c, const char *reason, const char *message)
{
	bool begun = c->last_error == ENODEV; /* a start that podfs-pod took with it */
	bool again = (is_up(&c->told) || begun) && c->pod->spec->restart != RESTART_NEVER;
	pull_leave(c);
	c->told.restarts += again;
	container_lost(c, reason, message);
	/* In the record of the new sandbox: should this server die meanwhile, the next one goes on. */
	c->spec->start_pending |= again;
}

void lost_containers(struct pod *p, const char *reason, const char *message)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		lose(p->containers[i], reason, message);
}

/* The last server made the sandbox anew and died before it had told all of it. */
void lost_add(struct pod *p)
{
	for (size_t i = 0; i < p->ncontainers; i++) {
		struct container *c = p->containers[i];
		struct err e = { 0 };
		if (c->known)
			continue;
		read_one(c);
		lose(c, "SandboxLost", "its podfs-pod ended unexpectedly, and its containers with it");
		if (sandbox_add(c, &e))
			engine_event(p->engine, p, c, "%s", e.text);
	}
}

static void put_last(const struct run_end *l, struct wire_out *o)
{
	if (l->exit_code < 0)
		return;
	wire_u64(o, K_LAST_CODE, (uint64_t)l->exit_code);
	wire_u64(o, K_LAST_SIGNAL, (uint64_t)l->signal);
	wire_u64(o, K_LAST_STARTED, l->started_ns);
	wire_u64(o, K_LAST_FINISHED, l->finished_ns);
	wire_str(o, K_LAST_REASON, l->reason);
}

void lost_put(const struct container *c, struct wire_out *o)
{
	const struct container_status *s = &c->told;
	put_last(&s->last, o);
	if (s->state != C_TERMINATED)
		return;
	wire_str(o, K_REASON, s->reason);
	wire_str(o, K_ERROR, s->message);
	wire_u64(o, K_CODE, (uint64_t)s->exit_code);
	wire_u64(o, K_SIGNAL, (uint64_t)s->signal);
	wire_u64(o, K_RESTARTS, s->restarts);
	wire_u64(o, K_STARTED, s->started_ns);
	wire_u64(o, K_FINISHED, s->finished_ns);
}

void lost_start(struct pod *p)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		container_resume(p->containers[i]);
}

/* --- made anew --- */

static void arm(struct pod *p, uint64_t ms)
{
	p->revive_ns = now_real_ns() + ms * 1000000u;
	timer_arm(p->engine->loop, &p->link->revive, ms);
}

/* As podfs-pod counts restarts: at once, then base, doubling to cap. */
static void next_try(struct pod *p)
{
	struct pod_link *l = p->link;
	const struct config *cfg = p->engine->cfg;
	/* Only one that stood so long begins a new count: not one that could never be made. */
	if (l->revived_ns && now_mono_ns() - l->revived_ns >= cfg->backoff_reset * 1000000ull)
		l->revivals = 0;
	l->revived_ns = 0;
	l->revive_tries = 0;
	arm(p, l->revivals ? pull_backoff_ms(l->revivals, cfg->backoff_base, cfg->backoff_cap) : 0);
	l->revivals++;
}

/* Once, as long as it stays the same. */
static void tell_failure(struct pod *p, const char *why)
{
	struct pod_link *l = p->link;
	if (l->revive_error && !strcmp(l->revive_error, why))
		return;
	free(l->revive_error);
	l->revive_error = strdup(why);
	engine_event(p->engine, p, NULL, "could not be made anew: %s", why);
}

static void on_made_anew(void *arg, int result, const struct err *e)
{
	struct pod *p = arg;
	if (p->engine->priv->closing || p->leaving)
		return;
	if (result < 0) {
		tell_failure(p, e->text);
		next_try(p);
		return;
	}
	free(take_ptr(p->link->revive_error));
	p->link->revived_ns = now_mono_ns();
	lost_start(p);
}

static void on_revive(struct timer *t)
{
	struct pod_link *l = container_of(t, struct pod_link, revive);
	struct pod *p = l->pod;
	struct err e = { 0 };
	if (p->leaving || link_up(p) || l->revival)
		return;
	if (cg_destroy(p->engine->cg, p->spec->uid) == -EBUSY && ++l->revive_tries < AGAIN_TRIES) {
		arm(p, AGAIN_MS);
		return;
	}
	if (sandbox_revive(p, on_made_anew, p, &e))
		on_made_anew(p, -e.code, &e);
}

void lost_revive(struct pod *p)
{
	bool wanted = false;
	for (size_t i = 0; i < p->ncontainers; i++)
		wanted |= p->containers[i]->spec->start_pending;
	if (!wanted)
		return;
	p->link->revive.fn = on_revive;
	next_try(p);
}

void lost_no_more(struct pod *p)
{
	p->revive_ns = 0;
	timer_stop(p->engine->loop, &p->link->revive);
}
