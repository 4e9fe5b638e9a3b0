/* What carries our names and belongs to nobody: found, removed, or listed in `leaks` and tried again.
 *
 * At start, on request (`echo retry > .node/leaks`) and every minute while something is listed. Of nobody is what has no record: a folder,
 * a group, a socket, a podfs-pod whose folder somebody took away. A record that cannot be read is not removed, but listed.
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RETRY_MS 60000
#define UID_LEN 36

static bool in_list(const struct pod *p, const char *uid)
{
	while (p && strcmp(p->spec->uid, uid))
		p = p->next_leaving;
	return p;
}

static bool is_known(const struct engine *en, const char *uid)
{
	for (size_t i = 0; i < en->npods; i++)
		if (!strcmp(en->pods[i]->spec->uid, uid))
			return true;
	return in_list(en->leaving, uid) || in_list(en->priv->creating, uid);
}

static bool has_folder(struct engine *en, const char *uid)
{
	char path[64];
	snprintf(path, sizeof path, "pods/%.40s", uid);
	return !faccessat(en->state_fd, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static struct pod *nobodys(struct engine *en, const char *uid)
{
	struct pod_spec *spec = pod_spec_new();
	if (!spec)
		return NULL;
	snprintf(spec->uid, sizeof spec->uid, "%s", uid);
	snprintf(spec->name, sizeof spec->name, "-");
	spec->serial = engine_serial(en);
	spec->grace = 0;
	struct pod *p = pod_new(en, spec);
	if (!p) {
		pod_spec_free(spec);
		return NULL;
	}
	p->leaving = true;
	p->next_leaving = en->leaving;
	en->leaving = p;
	return p;
}

void sweep_pod(struct engine *en, const char *uid)
{
	struct pod *p = nobodys(en, uid);
	if (!p)
		return;
	engine_event(en, NULL, NULL, "pods/%s has no record: what is left of it is removed", uid);
	if (!pod_reconnect(p))
		pod_start_removal(p);
}

/* --- the three places --- */

static void sweep_folders(struct engine *en)
{
	int fd = openat(en->state_fd, "pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	while (d && (de = readdir(d)))
		if (*de->d_name != '.' && strlen(de->d_name) == UID_LEN && !is_known(en, de->d_name))
			restore_one(en, de->d_name);
}

/* A socket that nobody listens at any more, or that a podfs-pod without a folder does. */
static void sweep_socket(struct engine *en, const char *name)
{
	char uid[UID_LEN + 1];
	snprintf(uid, sizeof uid, "%.*s", UID_LEN, name);
	if (is_known(en, uid) || has_folder(en, uid))
		return;
	int sock = wire_connect(en->run_fd, name);
	if (sock == -ECONNREFUSED)
		unlinkat(en->run_fd, name, 0);
	else if (sock >= 0)
		sweep_pod(en, uid);
	close_fd(&sock);
}

static void sweep_sockets(struct engine *en)
{
	int fd = openat(en->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	while (d && (de = readdir(d)))
		if (strlen(de->d_name) == UID_LEN + 5 && !strcmp(de->d_name + UID_LEN, ".sock"))
			sweep_socket(en, de->d_name);
}

static void sweep_groups(struct engine *en)
{
	struct strs uids = { 0 };
	if (!cg_list(en->cg, &uids))
		for (size_t i = 0; i < uids.n; i++)
			if (!is_known(en, uids.v[i]) && !has_folder(en, uids.v[i]))
				reap_cgroups(en, uids.v[i]);
	strs_free(&uids);
}

/* --- when --- */

void engine_sweep(struct engine *en)
{
	leaks_forget(en);
	leaks_overdue(en);
	leaks_retry(en);
	sweep_folders(en);
	sweep_sockets(en);
	sweep_groups(en);
	engine_changed(en, NULL, CHANGE_EVENTS);
}

static void on_retry(struct timer *t)
{
	struct engine_private *priv = container_of(t, struct engine_private, retry);
	leaks_overdue(priv->engine);
	if (priv->engine->leaks.len)
		engine_sweep(priv->engine);
	timer_arm(priv->engine->loop, t, RETRY_MS);
}

void sweep_begin(struct engine *en)
{
	sweep_sockets(en);
	sweep_groups(en);
	en->priv->engine = en;
	en->priv->retry.fn = on_retry;
	timer_arm(en->loop, &en->priv->retry, RETRY_MS);
}

void sweep_end(struct engine *en)
{
	timer_stop(en->loop, &en->priv->retry);
}
