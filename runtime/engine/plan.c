/* The launch plan: what podfs-pod needs to know to start a container, and start it again.
 *
 * Combines the container's settings with its image's config as Kubernetes does
 * (kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container).
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* What the image brings; of a folder that `dir:` names only that. */
struct source {
	const struct image *image; /* NULL: not on the node, or a folder */
	struct image_ref ref;
};

/* A `dir:` that turned out to be the transport's image was fetched into the store under its name. */
static int find_source(const struct container *c, struct source *s, struct err *e)
{
	const char *text = c->spec->image;
	if (!text)
		return err_set(e, ENOENT, "image: container %s has none yet", c->spec->name);
	int r = parse_reference(text, strlen(text), &s->ref, e);
	if (!r)
		s->image = images_find(c->pod->engine->images, text);
	return r;
}

static int not_here(const struct container *c, const struct source *s, const char *why, struct err *e)
{
	return err_set(e, ENOENT, "image: %s (%s) is not on this node%s", c->spec->image, s->ref.canonical, why);
}

/* command replaces ENTRYPOINT and makes CMD void; args replaces CMD. */
static size_t put_argv(const struct container_spec *cs, const struct image *im, struct wire_out *o)
{
	static const struct strs none;
	const struct strs *first = cs->has_command ? &cs->command : im ? &im->entrypoint : &none;
	const struct strs *rest = cs->has_args ? &cs->args : !cs->has_command && im ? &im->cmd : &none;
	for (size_t i = 0; o && i < first->n; i++)
		wire_str(o, K_ARG, first->v[i]);
	for (size_t i = 0; o && i < rest->n; i++)
		wire_str(o, K_ARG, rest->v[i]);
	return first->n + rest->n;
}

static void put_env(const struct container_spec *cs, const struct image *im, struct wire_out *o)
{
	for (size_t i = 0; im && i < im->env.n; i++) {
		const char *line = im->env.v[i], *eq = strchr(line, '=');
		char key[256];
		if (eq && (size_t)(eq - line) < sizeof key) {
			memcpy(key, line, (size_t)(eq - line));
			key[eq - line] = 0;
			if (strs_lookup(&cs->env, key))
				continue;
		}
		wire_str(o, K_ENV, line);
	}
	for (size_t i = 0; i < cs->env.n; i++)
		wire_str(o, K_ENV, cs->env.v[i]);
}

static int put_layers(const struct container *c, const struct source *s, struct wire_out *o, struct err *e)
{
	if (!s->image) {
		wire_str(o, K_LAYER, s->ref.dir);
		return 0;
	}
	wire_u64(o, K_HOLD, 1);
	wire_str(o, K_IMAGE, s->image->digest);
	struct strs layers = { 0 };
	int r = images_layers(c->pod->engine->images, s->image, &layers);
	for (size_t i = 0; !r && i < layers.n; i++)
		wire_str(o, K_LAYER, layers.v[i]);
	strs_free(&layers);
	return r ? err_sys(e, -r, "image: %s", c->spec->image) : 0;
}

void plan_cgroup(struct container *c, struct wire_out *o)
{
	struct engine *en = c->pod->engine;
	struct strs dirs = { 0 };
	if (!cg_dirs(en->cg, c->pod->spec->uid, c->id, &dirs))
		for (size_t i = 0; i < dirs.n; i++)
			wire_str(o, K_CGDIR, dirs.v[i]);
	strs_free(&dirs);
	wire_u64(o, K_CGVERSION, (uint64_t)cg_version(en->cg));
	struct cg_plan plan = { 0 };
	if (cg_plan(en->cg, c->pod->spec->uid, c->id, &plan))
		return;
	wire_str(o, K_OOM, plan.oom);
	wire_str(o, K_FREEZE, plan.freeze);
	wire_str(o, K_FREEZE_ON, plan.freeze_on);
	wire_str(o, K_FREEZE_OFF, plan.freeze_off);
	cg_plan_free(&plan);
}

void plan_policy(const struct pod *p, struct wire_out *o)
{
	const struct config *cfg = p->engine->cfg;
	wire_u64(o, K_RESTART, p->spec->restart);
	wire_u64(o, K_GRACE, p->spec->grace);
	wire_u64(o, K_BACKOFF_BASE, cfg->backoff_base);
	wire_u64(o, K_BACKOFF_CAP, cfg->backoff_cap);
	wire_u64(o, K_BACKOFF_RESET, cfg->backoff_reset);
}

static int no_command(const struct container *c, struct err *e)
{
	return err_set(e, EINVAL, "image: %s has neither ENTRYPOINT nor CMD, and command is not set", c->spec->image);
}

/* A folder that `dir:` names is there or not, whatever the policy. */
static int decide(const struct container *c, const struct source *s, enum start_how *how, struct err *e)
{
	bool folder = s->ref.dir && !s->image;
	*how = folder ? START_NOW : start_how(container_pull_policy(c->spec), s->image);
	if (*how == START_NOW)
		return put_argv(c->spec, s->image, NULL) ? 0 : no_command(c, e);
	if (*how == START_REFUSED)
		return not_here(c, s, ", and pull is Never (ErrImageNeverPull): cp its archive to .node/images/", e);
	if (pull_possible())
		return 0;
	if (s->image)
		return err_set(e, ENOENT, "image: pull is Always, but skopeo is not installed to fetch %s", c->spec->image);
	return not_here(c, s, " and skopeo, which would fetch it, is not installed: cp its archive to .node/images/, or install skopeo", e);
}

int plan_check(const struct container *c, bool by_root, enum start_how *how, struct err *e)
{
	struct source s = { 0 };
	int r = find_source(c, &s, e);
	if (!r && s.ref.local && !by_root)
		r = err_set(e, EPERM, "image: %s names what is on the host, which is for root only", c->spec->image);
	if (!r)
		r = decide(c, &s, how, e);
	image_ref_free(&s.ref);
	return r;
}

static int stop_signal(const struct image *im)
{
	int sig = SIGTERM;
	if (im && im->stopsignal)
		parse_signal(im->stopsignal, strlen(im->stopsignal), &sig, NULL);
	return sig;
}

int plan_message(struct container *c, struct wire_out *o, struct err *e)
{
	struct source s = { 0 };
	int r = find_source(c, &s, e);
	if (!r && !s.image && !s.ref.dir)
		r = not_here(c, &s, "", e);
	if (r) {
		image_ref_free(&s.ref);
		return r;
	}
	const struct container_spec *cs = c->spec;
	const struct image *im = s.image;
	wire_begin(o, W_START, 0);
	wire_str(o, K_NAME, c->id);
	if (!put_argv(cs, im, o))
		r = no_command(c, e);
	put_env(cs, im, o);
	wire_str(o, K_CWD, cs->workdir ? cs->workdir : im && im->workdir && *im->workdir ? im->workdir : "/");
	wire_str(o, K_USER, cs->user ? cs->user : im && im->user ? im->user : "");
	wire_u64(o, K_STOPSIGNAL, (uint64_t)stop_signal(im));
	plan_policy(c->pod, o);
	plan_cgroup(c, o);
	wire_u64(o, K_LOG_MAX, c->pod->engine->cfg->log_max);
	wire_u64(o, K_LOG_FILES, c->pod->engine->cfg->log_files);
	if (!r)
		r = put_layers(c, &s, o, e);
	image_ref_free(&s.ref);
	return r;
}
