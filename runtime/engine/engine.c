/* The engine's root: tables of pods and entities, starting programs, words.
 *
 * Owns struct engine. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include "runtime/base/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* 2026-01-01T00:00:00Z: serials count above the clock, see docs/design.md "Names of things in the tree". */
#define SERIAL_EPOCH 1767225600u
#define SERIAL_MASK ((1ull << 40) - 1)

static size_t hash_of(uint64_t serial)
{
	return (serial * 0x9e3779b97f4a7c15ull) >> 52;
}

void entity_add(struct engine *en, struct entity *e)
{
	struct entity **head = &en->priv->hash[hash_of(e->serial)];
	e->hash_next = *head;
	*head = e;
	if (e->serial >= en->priv->next_serial)
		en->priv->next_serial = e->serial + 1;
}

void entity_drop(struct engine *en, struct entity *e)
{
	for (struct entity **p = &en->priv->hash[hash_of(e->serial)]; *p; p = &(*p)->hash_next)
		if (*p == e) {
			*p = e->hash_next;
			return;
		}
}

struct entity *engine_entity(struct engine *en, uint64_t serial)
{
	for (struct entity *e = en->priv->hash[hash_of(serial)]; e; e = e->hash_next)
		if (e->serial == serial)
			return e;
	return NULL;
}

uint64_t engine_serial(struct engine *en)
{
	return en->priv->next_serial++ & SERIAL_MASK;
}

void engine_changed(struct engine *en, struct pod *p, enum change what)
{
	if (en->on_change)
		en->on_change(en->on_change_arg, p, what);
}

/* The place of name in the sorted table, or where it would stand. */
static size_t pods_place(const struct engine *en, const char *name, bool *found)
{
	size_t lo = 0, hi = en->npods;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(en->pods[mid]->spec->name, name);
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*found = lo < en->npods && !strcmp(en->pods[lo]->spec->name, name);
	return lo;
}

struct pod *engine_pod(struct engine *en, const char *name)
{
	bool found;
	size_t i = pods_place(en, name, &found);
	return found ? en->pods[i] : NULL;
}

/* The table has room for max_pods from the start, so this can't fail. */
void pods_insert(struct engine *en, struct pod *p)
{
	bool found;
	size_t i = pods_place(en, p->spec->name, &found);
	memmove(en->pods + i + 1, en->pods + i, (en->npods - i) * sizeof *en->pods);
	en->pods[i] = p;
	en->npods++;
	en->tree_version++;
}

void pods_remove(struct engine *en, struct pod *p)
{
	bool found;
	size_t i = pods_place(en, p->spec->name, &found);
	if (!found || en->pods[i] != p)
		return;
	en->npods--;
	memmove(en->pods + i, en->pods + i + 1, (en->npods - i) * sizeof *en->pods);
	en->tree_version++;
}

/* Programs lie beside the server when installed, and in runtime/ of the build tree otherwise. */
static int program_path(const struct engine *en, const char *program, char *out, size_t size)
{
	const char *forms[] = { "%s/%s", "%s/../runtime/pod/%s", "%s/../runtime/image/%s", "%s/../runtime/net/%s" };
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int n = snprintf(out, size, forms[i], en->priv->program_dir, program);
#pragma GCC diagnostic pop
		if (n > 0 && (size_t)n < size && !access(out, X_OK))
			return 0;
	}
	return -ENOENT;
}

static int find_program_dir(struct engine_private *priv)
{
	ssize_t n = readlink("/proc/self/exe", priv->program_dir, sizeof priv->program_dir - 1);
	if (n < 0)
		return -errno;
	priv->program_dir[n] = 0;
	char *slash = strrchr(priv->program_dir, '/');
	if (slash)
		*slash = 0;
	return 0;
}

/* Two steps, as a target number may be another's source: everything up out of the way, then down. */
static void place_descriptors(posix_spawn_file_actions_t *fa, const struct spawn *how)
{
	for (int i = 0; i < how->nfds; i++)
		if (how->fds[i] >= 0)
			posix_spawn_file_actions_adddup2(fa, how->fds[i], 1000 + i);
	for (int i = 0; i < how->nfds; i++) {
		if (how->fds[i] < 0) {
			posix_spawn_file_actions_addopen(fa, i, "/dev/null", O_RDWR, 0);
			continue;
		}
		posix_spawn_file_actions_adddup2(fa, 1000 + i, i);
		posix_spawn_file_actions_addclose(fa, 1000 + i);
	}
}

/* SIGCHLD is not ignored here, so that it stays as a zombie at least and its pid can't be another's; whoever ended in
 * that time is reaped by hand. */
static int spawn_known(pid_t *pid, const char *path, const struct spawn *how, const posix_spawn_file_actions_t *fa,
		       const posix_spawnattr_t *at, char *const *env, int *pidfd)
{
	signal(SIGCHLD, SIG_DFL);
	int r = posix_spawn(pid, path, fa, at, how->argv, env);
	if (!r)
		*pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
	signal(SIGCHLD, SIG_IGN);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return r;
}

#define ALSO_MAX 8

pid_t engine_spawn(struct engine *en, const struct spawn *how, int *pidfd)
{
	const char *plain[ALSO_MAX + 2] = { "PATH=" PATH_DEFAULT };
	for (size_t i = 0; how->also && how->also[i] && i < ALSO_MAX; i++)
		plain[i + 1] = how->also[i];
	char *const *env = how->environment ? environ : (char *const *)(uintptr_t)plain;
	char path[sizeof en->priv->program_dir + 64];
	int r = program_path(en, how->program, path, sizeof path);
	if (r)
		return r;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&at);
	place_descriptors(&fa, how);
	sigset_t none, dflt;
	sigemptyset(&none);
	sigemptyset(&dflt);
	sigaddset(&dflt, SIGCHLD);
	sigaddset(&dflt, SIGPIPE);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &dflt);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	pid_t pid;
	if (pidfd)
		r = spawn_known(&pid, path, how, &fa, &at, env, pidfd);
	else
		r = posix_spawn(&pid, path, &fa, &at, how->argv, env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&at);
	return r ? -r : pid;
}

static int open_folder(int *out, const char *base, const char *sub, struct err *e)
{
	char path[4096];
	if (snprintf(path, sizeof path, "%s%s", base, sub) >= (int)sizeof path)
		return err_set(e, ENAMETOOLONG, "%s: path is too long", base);
	int r = mkdir_all(path, 0700);
	if (r)
		return err_sys(e, -r, "%s", path);
	*out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *out < 0 ? err_sys(e, errno, "%s", path) : 0;
}

void instance_name(const struct config *cfg, const char *name, char separator, char *out, size_t size)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (const char *s = cfg->state; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	if (!strcmp(name, "podfs") && strcmp(cfg->state, "/var/lib/podfs"))
		snprintf(out, size, "podfs%c%08x", separator, h);
	else
		snprintf(out, size, "%s", name);
}

/* The folder below each cgroup hierarchy. Two instances with different state folders must not share one, since
 * each removes what it does not know in there: so the usual name is told apart by the state folder. */
static int open_cgroups(struct engine *en, struct err *e)
{
	char parent[300];
	instance_name(en->cfg, en->cfg->cgroup, '-', parent, sizeof parent);
	return cg_open(parent, &en->cg, e);
}

static int open_parts(struct engine *en, const struct predecessor *last, struct err *e)
{
	int r = open_folder(&en->state_fd, en->cfg->state, "", e);
	_cleanup_close_ int pods = -1;
	if (!r)
		r = open_folder(&pods, en->cfg->state, "/pods", e);
	if (!r)
		r = open_folder(&en->run_fd, en->cfg->run, "", e);
	if (!r)
		r = find_program_dir(en->priv) ? err_set(e, ENOENT, "/proc/self/exe: is /proc mounted?") : 0;
	if (!r)
		r = open_cgroups(en, e);
	if (!r)
		r = images_open(en->cfg->state, &en->images, e);
	if (!r)
		r = gc_open(en) || net_open(en) || astray_open(en) ? err_set(e, ENOMEM, "out of memory") : 0;
	if (r)
		return r;
	events_load(en, NULL);
	events_came(en, last);
	en->priv->alive_fd = alive_open(en->state_fd);
	if (en->priv->alive_fd < 0)
		engine_event(en, NULL, NULL, "%s/alive: %s: a podfs-pod whose socket is removed cannot be found", en->cfg->state,
			     strerror(-en->priv->alive_fd));
	r = restore_all(en, e);
	if (!r)
		net_begin_soon(en);
	return r;
}

int engine_open(struct loop *loop, const struct config *cfg, const struct predecessor *last, struct engine **out,
		struct err *e)
{
	struct engine *en = calloc(1, sizeof *en);
	if (!en)
		return err_set(e, ENOMEM, "out of memory");
	*en = (struct engine){ .loop = loop, .cfg = cfg, .state_fd = -1, .run_fd = -1, .started_ns = now_real_ns() };
	ring_init(&en->events, EVENTS_NODE_MAX);
	ring_init(&en->error, ERROR_MAX);
	ring_init(&en->leaks, EVENTS_POD_MAX);
	en->priv = calloc(1, sizeof *en->priv);
	if (en->priv)
		en->priv->alive_fd = -1;
	en->pods = calloc((size_t)cfg->max_pods + 1, sizeof *en->pods);
	if (en->priv)
		en->priv->wire_mem = malloc(PEER_MEM);
	if (!en->priv || !en->pods || !en->priv->wire_mem) {
		engine_close(en);
		return err_set(e, ENOMEM, "out of memory");
	}
	signal(SIGCHLD, SIG_IGN);
	spec_defaults.grace = cfg->grace;
	spec_defaults.restart = cfg->restart;
	spec_defaults.pull = cfg->pull;
	spec_defaults.net = cfg->network;
	en->priv->next_serial = ((en->started_ns / 1000000000u - SERIAL_EPOCH) << 10) & SERIAL_MASK;
	int r = open_parts(en, last, e);
	if (r) {
		engine_close(en);
		return r;
	}
	*out = en;
	return 0;
}

unsigned engine_unsettled(const struct engine *en)
{
	return en->priv->unsettled;
}

static void free_pods(struct engine *en)
{
	while (en->npods) {
		struct pod *p = en->pods[en->npods - 1];
		pods_remove(en, p);
		pod_free(p);
	}
	struct pod **lists[] = { &en->leaving, &en->priv->creating };
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		while (*lists[i]) {
			struct pod *p = *lists[i];
			*lists[i] = p->next_leaving;
			pod_free(p);
		}
}

void engine_close(struct engine *en)
{
	en->on_change = NULL;
	if (en->priv)
		en->priv->closing = true;
	if (en->priv && en->pods) {
		sweep_end(en);
		pulls_free(en);
		free_pods(en);
	}
	if (en->priv) {
		while (en->priv->imports)
			import_abort(en->priv->imports);
		net_close(en);
		gc_close(en);
		astray_close(en);
		reap_free(en);
		strays_free(en);
		free(en->priv->wire_mem);
		close_fd(&en->priv->alive_fd);
	}
	if (en->images)
		images_close(en->images);
	if (en->cg)
		cg_close(en->cg);
	close_fd(&en->state_fd);
	close_fd(&en->run_fd);
	ring_free(&en->events);
	ring_free(&en->error);
	ring_free(&en->leaks);
	free(en->net_info);
	free(en->pods);
	free(en->priv);
	free(en);
}

void engine_refused(struct engine *en, struct pod *p, struct container *c, const char *file, const struct err *e)
{
	struct ring *r = c ? &c->error : p ? &p->error : &en->error;
	char line[sizeof e->text + 300];
	size_t n = strlen(file);
	bool named = !strncmp(e->text, file, n) && (e->text[n] == ':' || e->text[n] == ' ');
	if (named)
		snprintf(line, sizeof line, "%s", e->text);
	else
		snprintf(line, sizeof line, "%s: %s", file, e->text);
	ring_line(r, line);
	engine_changed(en, p, CHANGE_EVENTS);
}
