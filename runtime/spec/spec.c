/* Pods and containers as they are wanted: making, finding and freeing them; names. */
#include "runtime/spec/spec.h"

#include "runtime/parse/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spec_defaults spec_defaults = { .grace = 30, .restart = RESTART_NEVER, .pull = PULL_IF_NOT_PRESENT };

struct pod_spec *pod_spec_new(void)
{
	struct pod_spec *p = calloc(1, sizeof *p);
	if (p) {
		p->grace = spec_defaults.grace;
		p->restart = spec_defaults.restart;
		p->net = spec_defaults.net;
		p->rate_in = p->rate_out = LIMIT_MAX;
	}
	return p;
}

static void container_spec_free(struct container_spec *c)
{
	free(c->image);
	free(c->workdir);
	free(c->user);
	strs_free(&c->command);
	strs_free(&c->args);
	strs_free(&c->env);
	free(c);
}

void pod_spec_free(struct pod_spec *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->ncontainers; i++)
		container_spec_free(p->containers[i]);
	free(p->containers);
	strs_free(&p->labels);
	strs_free(&p->annotations);
	strs_free(&p->ip);
	strs_free(&p->ports);
	free(p->hosts);
	free(p->resolv);
	free(p->resolv_made);
	free(p);
}

struct container_spec *pod_spec_add(struct pod_spec *p, const char *name)
{
	struct container_spec **all = realloc(p->containers, (p->ncontainers + 1) * sizeof(struct container_spec *));
	if (!all)
		return NULL;
	p->containers = all;
	struct container_spec *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	strncpy(c->name, name, SPEC_NAME_MAX);
	p->containers[p->ncontainers++] = c;
	return c;
}

void pod_spec_drop(struct pod_spec *p, struct container_spec *c)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		if (p->containers[i] == c) {
			p->ncontainers--;
			memmove(&p->containers[i], &p->containers[i + 1],
				(p->ncontainers - i) * sizeof(struct container_spec *));
			container_spec_free(c);
			return;
		}
}

struct container_spec *pod_spec_find(const struct pod_spec *p, const char *name)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		if (!strcmp(p->containers[i]->name, name))
			return p->containers[i];
	return NULL;
}

const char *restart_policy_name(enum restart_policy p)
{
	static const char *const names[] = {
		[RESTART_NEVER] = "Never", [RESTART_ON_FAILURE] = "OnFailure", [RESTART_ALWAYS] = "Always",
	};
	return names[p];
}

static const char *const pull_names[] = {
	[PULL_IF_NOT_PRESENT] = "IfNotPresent", [PULL_ALWAYS] = "Always", [PULL_NEVER] = "Never",
};

const char *pull_policy_name(enum pull_policy p)
{
	return pull_names[p];
}

int pull_policy_read(const char *text, size_t len, enum pull_policy *out)
{
	for (enum pull_policy p = PULL_IF_NOT_PRESENT; p <= PULL_NEVER; p++)
		if (span_is((struct span){ text, len }, pull_names[p])) {
			*out = p;
			return 0;
		}
	return -EINVAL;
}

enum pull_policy container_pull_policy(const struct container_spec *c)
{
	return c->has_pull ? c->pull : spec_defaults.pull;
}

int name_check(const char *what, const char *name, struct err *e)
{
	size_t n = strlen(name);
	struct clip c = clip((struct span){ name, n });
	if (!n)
		return err_set(e, EINVAL, "the name of a %s is empty", what);
	if (n > SPEC_NAME_MAX)
		return err_set(e, EINVAL, "%s: the name of a %s has at most %d bytes", c.s, what, SPEC_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		if (!is_lower(name[i]) && !is_digit(name[i]) && name[i] != '-')
			return err_set(e, EINVAL, "%s: the name of a %s has only a-z, 0-9 and -", c.s, what);
	if (name[0] == '-' || name[n - 1] == '-')
		return err_set(e, EINVAL, "%s: the name of a %s neither begins nor ends with -", c.s, what);
	return 0;
}
