/* What could not be freed: told to each server, tried again when one asks, taken back when it is free.
 *
 * Owns the list, and the plan of a container that left groups behind. What a removed pod leaves is the server's: podfs-pod ends.
 */
#include "runtime/pod/pod.h"

#include <stdio.h>
#include <string.h>

#define LEAKS_MAX 64 /* of one pod; more are told once and not tried again */

struct leak {
	struct leak *next;
	struct pod *pod;
	const void *of;     /* whose end frees it: a container with a process that does not end; NULL: it is tried again */
	struct plan *plan;  /* whose groups are to be removed; NULL: none */
	char *path;         /* below the pod's folder, to be removed; NULL: none */
	bool trying;
	char text[];
};

static void tell(struct pod *p, enum wire_op op, const char *text)
{
	struct wire_out o = { 0 };
	wire_begin(&o, op, 0);
	wire_str(&o, K_TEXT, text);
	link_send(p, &o);
}

static void leak_free(struct leak *l)
{
	struct leak **at = &l->pod->leaks;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	l->pod->nleaks--;
	tell(l->pod, W_FREED, l->text);
	plan_free(l->plan);
	free(l->path);
	free(l);
}

static struct leak *find(struct pod *p, const char *text)
{
	struct leak *l = p->leaks;
	while (l && strcmp(l->text, text))
		l = l->next;
	return l;
}

static struct leak *add(struct pod *p, const char *text)
{
	tell(p, W_LEAK, text);
	struct leak *l = p->nleaks < LEAKS_MAX && !find(p, text) ? calloc(1, sizeof *l + strlen(text) + 1) : NULL;
	if (!l)
		return NULL;
	*l = (struct leak){ .next = p->leaks, .pod = p };
	strcpy(l->text, text);
	p->leaks = l;
	p->nleaks++;
	return l;
}

void leak_process(struct container *c, int pid)
{
	char text[128];
	snprintf(text, sizeof text, "process %d of container %s does not end", pid, c->label);
	struct leak *l = add(c->pod, text);
	if (l)
		l->of = c;
}

void leak_folder(struct pod *p, const char *path, const char *why)
{
	struct leak *l = add(p, why);
	if (l)
		l->path = strdup(path);
}

void leak_groups(struct pod *p, struct plan *plan, const char *why)
{
	struct leak *l = add(p, why);
	if (l)
		l->plan = plan;
	else
		plan_free(plan);
}

void leak_ended(const struct container *c)
{
	for (struct leak *l = c->pod->leaks, *next; l; l = next) {
		next = l->next;
		if (l->of == c)
			leak_free(l);
	}
}

void leaks_tell(struct pod *p)
{
	for (struct leak *l = p->leaks; l; l = l->next)
		tell(p, W_LEAK, l->text);
}

static int remove_folder(void *arg, struct err *e)
{
	const struct leak *l = arg;
	int r = remove_tree_at(l->pod->dir_fd, l->path);
	return r ? err_sys(e, -r, "%s", l->path) : 0;
}

static void on_removed(void *arg, const struct err *e)
{
	struct leak *l = arg;
	l->trying = false;
	if (!e->code)
		leak_free(l);
}

void leaks_retry(struct pod *p)
{
	struct err busy = { 0 };
	for (struct leak *l = p->leaks, *next; l; l = next) {
		next = l->next;
		if (l->path && !l->trying) {
			l->trying = true;
			job_start(p, remove_folder, on_removed, l);
		} else if (l->plan && !cgroup_remove(l->plan, &busy)) {
			leak_free(l);
		}
	}
}
