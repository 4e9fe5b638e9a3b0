/* Containers as objects: made, told of, taken apart.
 *
 * Owns struct container, its folders on disk and the last descriptor of its root. What happens to it and
 * when stands in life.c.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TIDY_MS 20
#define SWEEP_MS 10
#define SWEEPS_MAX 1000 /* ten seconds: a killed process that does not end in that time hangs in the kernel */

struct container *container_find(struct pod *p, const char *name)
{
	for (struct container *c = p->containers; name && c; c = c->next)
		if (c->state != DROPPING && !strcmp(c->name, name))
			return c;
	return NULL;
}

struct container *container_new(struct pod *p, const char *name)
{
	struct container *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct container){
		.pod = p, .policy = p->policy, .init.watch.fd = -1, .status.fd = -1, .root_fd = -1, .old_root = -1,
		.exit_code = -1, .last.code = -1, .mounts.watch.fd = -1,
	};
	for (int i = 0; i < 2; i++)
		c->out[i] = (struct output){ .watch.fd = -1, .stream = i ? LOG_STDERR : LOG_STDOUT, .container = c };
	snprintf(c->name, sizeof c->name, "%s", name);
	snprintf(c->label, sizeof c->label, "%.*s", (int)strcspn(name, "."), name);
	life_init(c);
	struct container **at = &p->containers;
	while (*at)
		at = &(*at)->next;
	*at = c;
	return c;
}

void container_free(struct container *c)
{
	struct pod *p = c->pod;
	for (struct container **at = &p->containers; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	timer_stop(&p->loop, &c->timer);
	timer_stop(&p->loop, &c->sweep);
	timer_stop(&p->loop, &c->tidy);
	timer_stop(&p->loop, &c->log_well);
	close_fd(&c->root_fd);
	close_fd(&c->old_root);
	plan_free(c->plan);
	plan_free(c->want);
	free(c->failure);
	free(c->trouble);
	free(c);
}

/* --- what the server is told --- */

static enum wire_state shown_state(const struct container *c)
{
	static const enum wire_state states[LIFE_STATES] = {
		[DEFINED] = WIRE_WAITING, [STARTING] = WIRE_WAITING, [RUNNING] = WIRE_RUNNING, [PAUSED] = WIRE_PAUSED,
		[STOPPING] = WIRE_RUNNING, [RESTARTING] = WIRE_RUNNING, [BACKOFF] = WIRE_WAITING, [ENDED] = WIRE_TERMINATED,
		[DROPPING] = WIRE_RUNNING,
	};
	if (c->state == DROPPING && !c->init.pid)
		return WIRE_TERMINATED;
	return states[c->state];
}

static const char *shown_reason(const struct container *c, enum wire_state state)
{
	if (state == WIRE_WAITING)
		return c->state == BACKOFF && c->tries > 1 ? "CrashLoopBackOff" : "ContainerCreating";
	return state == WIRE_TERMINATED ? ran_reason(c) : NULL;
}

static bool is_stopping(const struct container *c)
{
	return c->state == STOPPING || c->state == RESTARTING || c->state == DROPPING;
}

static void container_put(const struct container *c, struct wire_out *o)
{
	enum wire_state state = shown_state(c);
	wire_begin(o, W_CONTAINER, 0);
	wire_str(o, K_NAME, c->name);
	wire_u64(o, K_STATE, state);
	wire_str(o, K_REASON, shown_reason(c, state));
	if (c->init.pid && state != WIRE_WAITING)
		wire_u64(o, K_PID, (uint64_t)c->init.pid);
	if (c->exit_code >= 0 && state != WIRE_RUNNING && state != WIRE_PAUSED) {
		wire_u64(o, K_CODE, (uint64_t)c->exit_code);
		wire_u64(o, K_SIGNAL, (uint64_t)c->exit_signal);
	}
	wire_u64(o, K_RESTARTS, c->restarts);
	wire_u64(o, K_STARTED, c->started_ns);
	wire_u64(o, K_FINISHED, c->finished_ns);
	wire_u64(o, K_NEXT, c->next_ns);
	if (is_stopping(c) && c->init.pid)
		wire_u64(o, K_KILL_AT, c->kill_ns);
	if (is_stopping(c) && c->want)
		wire_u64(o, K_AGAIN, 1);
	if (state == WIRE_RUNNING || state == WIRE_PAUSED) {
		wire_str(o, K_TROUBLE, c->trouble);
		logs_put_trouble(c, o);
	}
	ran_put(c, o);
	if (c->root_fd >= 0)
		wire_u64(o, K_ROOTFD, (uint64_t)c->root_fd);
	struct wire_in plan = plan_view(c->plan);
	if (c->failed && c->failure)
		wire_str(o, K_ERROR, c->failure->text);
	else if (c->inherited)
		wire_str(o, K_ERROR, wire_get_str(&plan, K_ERROR));
	wire_str(o, K_IMAGE, wire_get_str(&plan, K_IMAGE));
}

void container_tell(struct container *c)
{
	struct wire_out o = { 0 };
	enum wire_state state = shown_state(c);
	if (!c->inherited)
		ran_write(c, is_stopping(c) && !c->want && state == WIRE_RUNNING ? RAN_STOPPING : (int)state, shown_reason(c, state));
	if (c->pod->link.watch.fd < 0)
		return;
	container_put(c, &o);
	link_send(c->pod, &o);
}

/* --- folders --- */

struct trees {
	struct pod *pod;
	const char *name; /* valid in the child */
	unsigned next;    /* the run whose folders are made; 0: none */
	char path[sizeof((struct container *)0)->name + 32]; /* what is removed; "": nothing */
};

/* The folders of a run: made before it is asked for, because three mkdir(2) on a disk take a tenth of a start. */
static void make_run(int dir_fd, const char *name, unsigned run)
{
	char path[sizeof((struct container *)0)->name + 40];
	static const char *const parts[] = { "", "/upper", "/work" };
	snprintf(path, sizeof path, "c/%s", name);
	mkdirat(dir_fd, "c", 0700);
	mkdirat(dir_fd, path, 0700);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof path, "c/%s/%u%s", name, run, parts[i]);
		mkdirat(dir_fd, path, 0700);
	}
}

static int remove_below(const struct pod *p, const char *path, struct err *e)
{
	int r = remove_tree_at(p->dir_fd, path);
	return r ? err_sys(e, -r, "pods/%s/%s", p->uid, path) : 0;
}

static int change_trees(void *arg, struct err *e)
{
	const struct trees *t = arg;
	if (t->next)
		make_run(t->pod->dir_fd, t->name, t->next);
	return *t->path ? remove_below(t->pod, t->path, e) : 0;
}

static void trees_changed(void *arg, const struct err *e)
{
	struct trees *t = arg;
	if (e->code)
		leak_folder(t->pod, t->path, e->text);
	free(t);
}

/* The child inherits our descriptor of the root: the last of it ends there, because taking a large overlay's
 * dentries apart takes time that the loop does not have. Failing for want of memory is harmless: what is left goes with the
 * container. */
static void change_runs(struct container *c, unsigned remove)
{
	struct trees *t = calloc(1, sizeof *t);
	if (!t)
		return;
	*t = (struct trees){ .pod = c->pod, .name = c->name, .next = c->run + 1 };
	if (remove)
		snprintf(t->path, sizeof t->path, "c/%s/%u", c->name, remove);
	job_start(c->pod, change_trees, trees_changed, t);
}

void container_prepare(struct container *c)
{
	change_runs(c, 0);
}

static void tidy(struct container *c)
{
	timer_stop(&c->pod->loop, &c->tidy);
	change_runs(c, c->old_run);
	close_fd(&c->old_root);
}

static void on_tidy(struct timer *t)
{
	tidy(container_of(t, struct container, tidy));
}

/* Later, as it would take the processor from the command that has just begun, and from us who wait for its end. */
void container_new_root(struct container *c, int fd)
{
	if (c->tidy.at_ns)
		tidy(c);
	c->old_root = c->root_fd;
	c->old_run = c->root_run;
	c->root_fd = fd;
	c->root_run = c->run;
	c->tidy.fn = on_tidy;
	timer_arm(&c->pod->loop, &c->tidy, TIDY_MS);
}

void container_failed_run(struct container *c)
{
	if (c->root_run != c->run)
		change_runs(c, c->run);
}

/* --- the end of a dropped one --- */

static void dropped(struct container *c)
{
	struct pod *p = c->pod;
	struct wire_out o = { 0 };
	wire_begin(&o, W_DROPPED, 0);
	wire_str(&o, K_NAME, c->name);
	container_free(c);
	link_send(p, &o);
	leave_step(p);
}

static void on_sweep(struct timer *t)
{
	struct container *c = container_of(t, struct container, sweep);
	struct err busy = { 0 };
	if (cgroup_remove(c->plan, &busy)) {
		if (++c->sweeps <= SWEEPS_MAX) {
			timer_arm(&c->pod->loop, t, SWEEP_MS);
			return;
		}
		leak_groups(c->pod, take_ptr(c->plan), busy.text);
	}
	dropped(c);
}

static int remove_container(void *arg, struct err *e)
{
	const struct container *c = arg;
	char path[sizeof c->name + 16];
	snprintf(path, sizeof path, "logs/%s", c->name);
	int r = remove_below(c->pod, path, e);
	snprintf(path, sizeof path, "c/%s", c->name);
	struct err mine = { 0 };
	int s = remove_below(c->pod, path, &mine);
	if (s)
		*e = mine;
	return s ? s : r;
}

static void container_removed(void *arg, const struct err *e)
{
	struct container *c = arg;
	char path[sizeof c->name + 16];
	snprintf(path, sizeof path, "c/%s", c->name);
	if (e->code)
		leak_folder(c->pod, path, e->text);
	c->sweep.fn = on_sweep;
	c->sweeps = 0;
	on_sweep(&c->sweep);
}

void container_dispose(struct container *c)
{
	timer_stop(&c->pod->loop, &c->tidy);
	mounts_release(c);
	job_start(c->pod, remove_container, container_removed, c);
	close_fd(&c->root_fd);
	close_fd(&c->old_root);
}
