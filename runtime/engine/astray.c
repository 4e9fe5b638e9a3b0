/* Containers that others took out of their cgroups: their limits hold no more, though the files read as if they did.
 *
 * A group can be removed only when nobody is in it, so whoever removes one has moved the processes away first: inotify tells of
 * it. Processes that are only moved away tell nobody: that is seen when a limit is written, a command is run, or a server comes.
 * Put back they are when somebody writes a limit, and not before: whoever moved them may have had his reasons.
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

static bool is_up(const struct container *c)
{
	return (c->told.state == C_RUNNING || c->told.state == C_PAUSED) && c->told.pid > 0;
}

const char *astray_words(const struct container *c)
{
	return c->astray && is_up(c) ? "others took it out of its cgroup: its limits do not hold until it is restarted or a limit is written" : NULL;
}

void astray_look(struct container *c)
{
	struct pod *p = c->pod;
	int in = is_up(c) && !p->leaving ? cg_holds(p->engine->cg, p->spec->uid, c->id, c->told.pid) : 1;
	if (in < 0 || c->astray == !in)
		return;
	c->astray = !in;
	if (c->astray && !(p->link->hello && event_said(c, c->told.started_ns, astray_words(c))))
		engine_event(p->engine, p, c, "%s", astray_words(c));
	else if (!c->astray && is_up(c) && !c->told.kill_ns)
		engine_event(p->engine, p, c, "it is in its cgroup again");
	container_show(c);
	engine_changed(p->engine, p, CHANGE_STATE);
}

/* --- groups that are removed --- */

static void look_at(struct engine *en, const char *group)
{
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			struct container *c = en->pods[i]->containers[k];
			if (!group || (!strncmp(group, "c.", 2) && !strcmp(group + 2, c->id)))
				astray_look(c);
		}
}

static void on_groups(struct watch *w, uint32_t events UNUSED)
{
	struct engine *en = container_of(w, struct engine_private, groups)->engine;
	_Alignas(struct inotify_event) char mem[4096];
	ssize_t n;
	while ((n = read(w->fd, mem, sizeof mem)) > 0)
		for (const char *at = mem; at < mem + n;) {
			const struct inotify_event *e = (const void *)at;
			at += sizeof *e + e->len;
			if (e->mask & IN_Q_OVERFLOW)
				look_at(en, NULL);
			else if (e->mask & IN_DELETE)
				look_at(en, e->name);
		}
}

int astray_open(struct engine *en)
{
	struct watch *w = &en->priv->groups;
	*w = (struct watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .fn = on_groups };
	return w->fd < 0 ? 0 : loop_add(en->loop, w, EPOLLIN); /* without it less is noticed, and nothing else is missing */
}

void astray_close(struct engine *en)
{
	struct watch *w = &en->priv->groups;
	if (!w->fn)
		return;
	loop_del(en->loop, w);
	close_fd(&w->fd);
}

/* Of the pod's folders, one watch each however many containers it has; they go with the folders. */
void astray_watch(const struct container *c)
{
	struct engine *en = c->pod->engine;
	struct strs dirs = { 0 };
	if (en->priv->groups.fd >= 0 && !cg_dirs(en->cg, c->pod->spec->uid, NULL, &dirs))
		for (size_t i = 0; i < dirs.n; i++)
			inotify_add_watch(en->priv->groups.fd, dirs.v[i], IN_DELETE | IN_ONLYDIR);
	strs_free(&dirs);
}

/* --- put back --- */

struct gathering {
	struct engine *en;
	uint64_t serial;
};

static void on_gathered(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct gathering g = *(struct gathering *)arg;
	free(arg);
	struct entity *ent = engine_entity(g.en, g.serial);
	struct container *c = ent ? container_of(ent, struct container, entity) : NULL;
	if (!c || result == -ENODEV)
		return;
	if (result < 0)
		engine_event(g.en, c->pod, c, "it could not be put back into its cgroup: %s", e->text);
	astray_look(c);
}

static void gather(struct container *c)
{
	struct engine *en = c->pod->engine;
	struct gathering *g = malloc(sizeof *g);
	struct wire_out o = { 0 };
	if (!g)
		return;
	*g = (struct gathering){ en, c->entity.serial };
	wire_begin(&o, W_GATHER, 0);
	wire_str(&o, K_NAME, c->id);
	uint64_t asking = en->asking;
	en->asking = 0; /* the limit is what was asked for */
	if (link_request(c->pod, &o, on_gathered, g))
		free(g);
	en->asking = asking;
	wire_free(&o);
}

void astray_exec(struct container *c)
{
	astray_look(c);
	if (c->astray)
		mend_groups(c);
}

void astray_mend(struct pod *p, struct container *only)
{
	for (size_t i = 0; i < p->ncontainers; i++) {
		struct container *c = p->containers[i];
		if (only && c != only)
			continue;
		astray_look(c);
		if (!c->astray)
			continue;
		mend_groups(c);
		astray_watch(c);
		gather(c);
	}
}
