/* What carries our names and belongs to nobody: found, removed, or listed in `leaks` and tried again.
 *
 * At start, on request (`echo retry > .node/leaks`) and every minute while something is listed. Of nobody is what has no record: a folder,
 * a group, a socket. What still runs without one, or has one that cannot be read, is not removed, but listed (stray.c).
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include "runtime/base/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define RETRY_MS 60000
#define UID_LEN 36
#define ARGS_MAX 16384

/* podfs-pod [-remove] UID NAME …; false: they are none of a podfs-pod's. */
static bool read_args(struct buf *args, char uid[UID_LEN + 1], char name[SPEC_NAME_MAX + 1])
{
	const char *at = buf_str(args), *end = at + args->len;
	const char *word[4] = { "", "", "", "" };
	for (size_t i = 0; i < ARRAY_LEN(word) && at < end; at += strlen(at) + 1)
		word[i++] = at;
	const char *const *own = word + 1 + !strcmp(word[1], "-remove");
	if (strlen(own[0]) != UID_LEN || strlen(own[1]) > SPEC_NAME_MAX)
		return false;
	memcpy(uid, own[0], UID_LEN + 1);
	snprintf(name, SPEC_NAME_MAX + 1, "%s", own[1]);
	return true;
}

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

/* How podfs-pod says in its arguments that the pod is called, if one lives. */
static void read_name(struct engine *en, const char *uid, char name[SPEC_NAME_MAX + 1])
{
	char path[40], is[UID_LEN + 1];
	_cleanup_buf_ struct buf args = { 0 };
	pid_t pid = alive_pid(en->priv->alive_fd, uid);
	snprintf(name, SPEC_NAME_MAX + 1, "-");
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	if (pid && !read_file_at(AT_FDCWD, path, ARGS_MAX, &args) && read_args(&args, is, name) && strcmp(is, uid))
		snprintf(name, SPEC_NAME_MAX + 1, "-");
}

static struct pod *nobodys(struct engine *en, const char *uid)
{
	struct pod_spec *spec = pod_spec_new();
	if (!spec)
		return NULL;
	snprintf(spec->uid, sizeof spec->uid, "%s", uid);
	read_name(en, uid, spec->name);
	spec->serial = engine_serial(en);
	spec->grace = 0;
	struct pod *p = pod_new(en, spec);
	if (!p) {
		pod_spec_free(spec);
		return NULL;
	}
	p->leaving = true;
	p->link->nobodys = true;
	p->next_leaving = en->leaving;
	en->leaving = p;
	return p;
}

/* A podfs-pod that lives says whether it leaves, or stands (on_hello in restore.c). */
void sweep_pod(struct engine *en, const char *uid)
{
	struct pod *p = nobodys(en, uid);
	if (!p || pod_reconnect(p) || reach_begin(p))
		return;
	engine_event(en, NULL, NULL, "pods/%s has no record: what is left of it is removed", uid);
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

/* One that has neither folder nor socket. */
static void on_alive(void *arg, uint64_t place, pid_t pid)
{
	struct engine *en = arg;
	char path[40], uid[UID_LEN + 1], name[SPEC_NAME_MAX + 1];
	_cleanup_buf_ struct buf args = { 0 };
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	if (place == alive_place(ALIVE_NET) || read_file_at(AT_FDCWD, path, ARGS_MAX, &args) || !read_args(&args, uid, name))
		return;
	if (alive_place(uid) == place && !is_known(en, uid) && !has_folder(en, uid))
		sweep_pod(en, uid);
}

static void sweep_groups(struct engine *en)
{
	struct strs uids = { 0 };
	if (!cg_list(en->cg, &uids))
		for (size_t i = 0; i < uids.n; i++)
			if (!is_known(en, uids.v[i]) && !has_folder(en, uids.v[i]) && !alive_pid(en->priv->alive_fd, uids.v[i]))
				reap_cgroups(en, uids.v[i]);
	strs_free(&uids);
}

/* --- when --- */

void engine_sweep(struct engine *en)
{
	mend_records(en);
	leaks_forget(en);
	leaks_overdue(en);
	leaks_retry(en);
	sweep_folders(en);
	sweep_sockets(en);
	alive_each(en->priv->alive_fd, on_alive, en);
	sweep_groups(en);
	engine_changed(en, NULL, CHANGE_EVENTS);
}

static void on_retry(struct timer *t)
{
	struct engine_private *priv = container_of(t, struct engine_private, retry);
	leaks_overdue(priv->engine);
	mend_records(priv->engine);
	if (priv->engine->leaks.len)
		engine_sweep(priv->engine);
	timer_arm(priv->engine->loop, t, RETRY_MS);
}

void sweep_begin(struct engine *en)
{
	sweep_sockets(en);
	alive_each(en->priv->alive_fd, on_alive, en);
	sweep_groups(en);
	en->priv->engine = en;
	en->priv->retry.fn = on_retry;
	timer_arm(en->loop, &en->priv->retry, RETRY_MS);
}

void sweep_end(struct engine *en)
{
	timer_stop(en->loop, &en->priv->retry);
}
