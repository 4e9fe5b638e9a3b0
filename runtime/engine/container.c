/* Containers: defined, told of, dropped.
 *
 * Owns struct container. Its settings are pod->spec's; its state is what podfs-pod said last.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define START_FAILED 128 /* podfs-pod's code of a run that never got to its command */

struct container *container_new(struct pod *p, struct container_spec *cs)
{
	struct container *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct container){
		.entity = { .kind = ENTITY_CONTAINER, .serial = cs->serial }, .pod = p, .spec = cs,
		.told = { .state = C_WAITING, .exit_code = -1, .root_fd = -1, .last.exit_code = -1 },
	};
	c->status = c->told;
	container_spec_id(cs, c->id);
	ring_init(&c->error, ERROR_MAX);
	entity_add(p->engine, &c->entity);
	p->containers[p->ncontainers++] = c;
	return c;
}

void container_unlink(struct container *c)
{
	struct pod *p = c->pod;
	for (size_t i = 0; i < p->ncontainers; i++)
		if (p->containers[i] == c) {
			memmove(p->containers + i, p->containers + i + 1, (p->ncontainers - i - 1) * sizeof c);
			p->ncontainers--;
			return;
		}
}

void container_free(struct container *c)
{
	container_unlink(c);
	pull_leave(c);
	entity_drop(c->pod->engine, &c->entity);
	if (c->log)
		log_reader_free(c->log);
	ring_free(&c->error);
	free(c->image_id);
	free(c->refusal);
	free(c);
}

struct container *engine_container(struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		if (!strcmp(p->containers[i]->spec->name, name))
			return p->containers[i];
	return NULL;
}

struct container *container_by_id(struct pod *p, const char *id)
{
	for (size_t i = 0; id && i < p->ncontainers; i++)
		if (!strcmp(p->containers[i]->id, id))
			return p->containers[i];
	return NULL;
}

void container_open_log(struct container *c)
{
	char path[256];
	snprintf(path, sizeof path, "pods/%s/logs/%s", c->pod->spec->uid, c->id);
	int fd = openat(c->pod->engine->state_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && c->log)
		log_reader_again(c->log, fd);
	else if (fd >= 0 && log_reader_open(fd, &c->log))
		c->log = NULL;
}

int container_message_add(struct container *c, struct wire_out *o, struct err *e)
{
	int r = cg_create(c->pod->engine->cg, c->pod->spec->uid, c->id, e);
	if (r)
		return r;
	wire_begin(o, W_ADD, 0);
	wire_str(o, K_NAME, c->id);
	plan_cgroup(c, o);
	plan_policy(c->pod, o);
	wire_u64(o, K_LOG_MAX, c->pod->engine->cfg->log_max);
	wire_u64(o, K_LOG_FILES, c->pod->engine->cfg->log_files);
	return 0;
}

/* --- mkdir containers/NAME --- */

int create_apply(struct op *o, struct err *e)
{
	struct pod *p = o->pod;
	if (engine_container(p, o->name))
		return err_set(e, EEXIST, "container %s: exists already", o->name);
	if (p->spec->ncontainers >= CONTAINERS_MAX)
		return err_set(e, ENOSPC, "container %s: a pod has at most %d", o->name, CONTAINERS_MAX);
	struct container_spec *cs = pod_spec_add(p->spec, o->name);
	if (!cs)
		return err_set(e, ENOMEM, "container %s: out of memory", o->name);
	cs->serial = engine_serial(p->engine);
	cs->created_ns = now_real_ns();
	struct container *c = container_new(p, cs);
	if (!c) {
		pod_spec_drop(p->spec, cs);
		return err_set(e, ENOMEM, "container %s: out of memory", o->name);
	}
	o->keep = c;
	return 0;
}

void create_revert(struct op *o)
{
	struct container *c = o->keep;
	struct container_spec *cs = c->spec;
	container_free(c);
	pod_spec_drop(o->pod->spec, cs);
}

int create_message(struct op *o, struct wire_out *out, struct err *e)
{
	return container_message_add(o->keep, out, e);
}

static void create_after(struct op *o)
{
	struct err none = { 0 };
	if (o->done)
		o->done(o->arg, 0, &none);
	engine_changed(o->pod->engine, o->pod, CHANGE_TREE);
}

int container_may_come(struct pod *p, const char *name, struct err *e)
{
	int r = name_check("container", name, e);
	if (!r && engine_session(p, name))
		r = err_set(e, EEXIST, "container %s: a session of exec/ has that name", name);
	return r;
}

int engine_container_create(struct pod *p, const char *name, done_fn *done, void *arg, struct err *e)
{
	int r = container_may_come(p, name, e);
	if (r)
		return r;
	struct op *o = op_new(p, NULL, done, arg);
	if (!o)
		return err_set(e, ENOMEM, "container %s: out of memory", name);
	snprintf(o->name, sizeof o->name, "%s", name);
	o->apply = create_apply;
	o->revert = create_revert;
	o->message = create_message;
	o->after = create_after;
	return op_run(o, e);
}

/* --- rmdir containers/NAME --- */

/* Out of the list while the record without it is on its way, and back if that is refused. */
static int drop_apply(struct op *o, struct err *e UNUSED)
{
	struct container *c = op_container(o);
	struct pod_spec *s = o->pod->spec;
	size_t i = 0;
	while (s->containers[i] != c->spec)
		i++;
	memmove(s->containers + i, s->containers + i + 1, (s->ncontainers - i - 1) * sizeof *s->containers);
	s->ncontainers--;
	o->len = i;
	o->keep = c->spec;
	return 0;
}

static void drop_revert(struct op *o)
{
	struct pod_spec *s = o->pod->spec;
	memmove(s->containers + o->len + 1, s->containers + o->len, (s->ncontainers - o->len) * sizeof *s->containers);
	s->containers[o->len] = o->keep;
	s->ncontainers++;
}

static int drop_message(struct op *o, struct wire_out *out, struct err *e UNUSED)
{
	wire_begin(out, W_DROP, 0);
	wire_str(out, K_NAME, op_container(o)->id);
	wire_u64(out, K_GRACE, o->pod->spec->grace);
	return 0;
}

static void drop_after(struct op *o)
{
	struct container *c = op_container(o);
	struct pod_spec *s = o->pod->spec;
	engine_event(o->pod->engine, o->pod, c, "removed");
	session_end_all(o->pod, c->spec->name);
	/* pod_spec_drop wants it in the list. */
	drop_revert(o);
	container_free(c);
	pod_spec_drop(s, o->keep);
	struct err none = { 0 };
	if (o->done)
		o->done(o->arg, 0, &none);
	engine_changed(o->pod->engine, o->pod, CHANGE_TREE);
}

int engine_container_remove(struct container *c, done_fn *done, void *arg, struct err *e)
{
	struct op *o = op_new(c->pod, c, done, arg);
	if (!o)
		return err_set(e, ENOMEM, "container %s: out of memory", c->spec->name);
	o->apply = drop_apply;
	o->revert = drop_revert;
	o->message = drop_message;
	o->after = drop_after;
	return op_run(o, e);
}

/* --- what podfs-pod says --- */

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void tell_transition(struct container *c, const struct container_status *was)
{
	const struct container_status *s = &c->told;
	struct engine *en = c->pod->engine;
	if (event_known(c))
		return;
	if (s->state == C_RUNNING && (was->state != C_RUNNING || was->pid != s->pid) && was->state != C_PAUSED)
		engine_event(en, c->pod, c, "started (pid %d)", (int)s->pid);
	else if (s->state == C_RUNNING && s->kill_ns && (!was->kill_ns || was->again != s->again))
		engine_event(en, c->pod, c, "%s: SIGKILL in %.0f s", s->again ? "restarting" : "stopping", seconds_until(s->kill_ns));
	else if (s->state == C_PAUSED && was->state != C_PAUSED)
		engine_event(en, c->pod, c, "paused");
	else if (s->state == C_RUNNING && was->state == C_PAUSED)
		engine_event(en, c->pod, c, "unpaused");
	else if (s->state == C_TERMINATED && (was->state != C_TERMINATED || was->finished_ns != s->finished_ns))
		engine_event(en, c->pod, c, "ended: %s, exit code %d%s%s", s->reason, s->exit_code, *s->message ? ": " : "",
			     s->message);
	else if (s->state == C_WAITING && s->next_ns && was->next_ns != s->next_ns)
		engine_event(en, c->pod, c, "%s: ended with %d, next start in %.1f s", s->reason, s->exit_code,
			     seconds_until(s->next_ns));
}

/* podfs-pod says it as an event when it happens, but there may have been no server then. */
static void tell_trouble(struct container *c, const struct wire_in *in)
{
	size_t pos = 0, len;
	uint16_t key;
	const char *text;
	while (c->pod->link->hello && wire_next(in, &pos, &key, &text, &len))
		if (key == K_TROUBLE && !event_said(c, c->told.started_ns, text))
			engine_event(c->pod->engine, c->pod, c, "%s", text);
}

/* What it waits for, or why it got nowhere, says more than podfs-pod knows of one that does not run. */
static void show_beside(struct container *c)
{
	struct container_status *s = &c->status;
	if (s->state == C_RUNNING || s->state == C_PAUSED || c->starting)
		return;
	if (c->held && s->state == C_WAITING) {
		copy_text(s->reason, sizeof s->reason, "ContainerCreating");
		copy_text(s->message, sizeof s->message, c->pod->net.why);
	} else if (c->pull) {
		bool failed = *c->pull->error;
		s->state = C_WAITING;
		s->next_ns = 0;
		copy_text(s->reason, sizeof s->reason, pull_reason(c->pull));
		snprintf(s->message, sizeof s->message, "%s%s", failed ? c->pull->error : "pulling ", failed ? "" : c->pull->reference);
	} else if (c->refusal && s->state == C_WAITING && !s->next_ns) {
		copy_text(s->reason, sizeof s->reason, c->last_error == ECANCELED ? "Cancelled" : "CreateContainerError");
		copy_text(s->message, sizeof s->message, c->refusal);
	}
}

/* Sentences, joined. NULL: none. */
static void add_trouble(struct container_status *s, const char *text)
{
	size_t used = strlen(s->trouble);
	if (text)
		snprintf(s->trouble + used, sizeof s->trouble - used, "%s%s", used ? "; " : "", text);
}

void container_show(struct container *c)
{
	struct container_status *s = &c->status;
	*s = c->told;
	show_beside(c);
	add_trouble(s, astray_words(c));
	if (s->state != C_WAITING || c->told.state != C_TERMINATED)
		return;
	s->last = (struct run_end){
		.exit_code = s->exit_code, .signal = s->signal, .started_ns = s->started_ns, .finished_ns = s->finished_ns,
	};
	copy_text(s->last.reason, sizeof s->last.reason, c->told.reason);
}

static void take_last(struct container_status *s, const struct wire_in *in)
{
	struct run_end *l = &s->last;
	l->exit_code = (int)(int64_t)wire_get_u64(in, K_LAST_CODE, (uint64_t)-1);
	l->signal = (int)wire_get_u64(in, K_LAST_SIGNAL, 0);
	l->started_ns = wire_get_u64(in, K_LAST_STARTED, 0);
	l->finished_ns = wire_get_u64(in, K_LAST_FINISHED, 0);
	copy_text(l->reason, sizeof l->reason, wire_get_str(in, K_LAST_REASON));
	/* It ended, and was stopped before it was started again: there are not two of it. */
	if (s->state == C_TERMINATED && l->finished_ns == s->finished_ns)
		l->exit_code = -1;
}

static void take_trouble(struct container_status *s, const struct wire_in *in)
{
	size_t pos = 0, len;
	uint16_t key;
	const char *text;
	s->trouble[0] = 0;
	while (wire_next(in, &pos, &key, &text, &len))
		if (key == K_TROUBLE)
			add_trouble(s, text);
}

void container_on_state(struct pod *p, struct wire_in *in)
{
	struct container *c = container_by_id(p, wire_get_str(in, K_NAME));
	if (!c)
		return;
	struct container_status was = c->told, *s = &c->told;
	c->known = true;
	uint64_t state = wire_get_u64(in, K_STATE, C_WAITING);
	s->state = state <= C_TERMINATED ? (enum container_state)state : C_WAITING;
	copy_text(s->reason, sizeof s->reason, wire_get_str(in, K_REASON));
	copy_text(s->message, sizeof s->message, wire_get_str(in, K_ERROR));
	s->pid = (pid_t)wire_get_u64(in, K_PID, 0);
	s->exit_code = (int)(int64_t)wire_get_u64(in, K_CODE, (uint64_t)-1);
	s->signal = (int)wire_get_u64(in, K_SIGNAL, 0);
	s->restarts = (unsigned)wire_get_u64(in, K_RESTARTS, 0);
	s->started_ns = wire_get_u64(in, K_STARTED, 0);
	s->finished_ns = wire_get_u64(in, K_FINISHED, 0);
	s->next_ns = wire_get_u64(in, K_NEXT, 0);
	s->kill_ns = wire_get_u64(in, K_KILL_AT, 0);
	s->again = wire_get_u64(in, K_AGAIN, 0);
	s->root_fd = (int)(int64_t)wire_get_u64(in, K_ROOTFD, (uint64_t)-1);
	take_last(s, in);
	take_trouble(s, in);
	const char *image = wire_get_str(in, K_IMAGE);
	free(c->image_id);
	c->image_id = image ? strdup(image) : NULL;
	container_show(c);
	if (!c->log)
		container_open_log(c);
	tell_transition(c, &was);
	tell_trouble(c, in);
	if (s->state == C_RUNNING && (was.state != C_RUNNING || was.pid != s->pid))
		astray_watch(c);
	if (p->link->hello || c->astray) /* one that has just started is where it was put */
		astray_look(c);
	if (s->exit_code == START_FAILED && s->finished_ns != was.finished_ns)
		mend_groups(c); /* podfs-pod may be about to try again */
	engine_changed(p->engine, p, CHANGE_STATE);
}

/* The sandbox is gone, and with it what podfs-pod knew. 137 is what kubelet reports for a container whose end
 * nobody saw (ContainerStatusUnknown). */
void container_lost(struct container *c, const char *reason, const char *message)
{
	struct container_status *s = &c->told;
	bool ran = s->state == C_RUNNING || s->state == C_PAUSED, between = !ran && s->next_ns;
	s->pid = 0;
	s->root_fd = -1;
	s->next_ns = s->kill_ns = 0;
	s->trouble[0] = 0;
	c->astray = false;
	s->again = false;
	if (ran) {
		s->state = C_TERMINATED;
		s->exit_code = 137;
		s->finished_ns = now_real_ns();
		copy_text(s->reason, sizeof s->reason, reason);
		copy_text(s->message, sizeof s->message, message);
	} else if (between) {
		s->state = C_TERMINATED;
		copy_text(s->reason, sizeof s->reason, s->last.exit_code >= 0 ? s->last.reason : "Error");
	}
	container_show(c);
}
