/* Strays: pods that live though this server cannot know what they are, as their record cannot be read, or is gone.
 *
 * They are left alone and listed, their links and their host numbers stay theirs, and each sweep looks whether there is a record
 * again, or the podfs-pod has ended. Runs in podfs-server.
 */
#include "runtime/engine/net_link.h"

#include "runtime/base/alive.h"

#include <errno.h>
#include <string.h>

struct stray {
	struct stray *next;
	char uid[37];
	uint64_t host; /* 0: not known; then podfs-net, which has it attached, lets nobody else have it */
};

static struct stray **find(struct engine *en, const char *uid)
{
	struct stray **at = &en->priv->strays;
	while (*at && strcmp((*at)->uid, uid))
		at = &(*at)->next;
	return at;
}

bool stray_is(struct engine *en, const char *uid)
{
	return *find(en, uid);
}

void stray_drop(struct engine *en, const char *uid)
{
	struct stray **at = find(en, uid), *s = *at;
	if (!s)
		return;
	*at = s->next;
	free(s);
}

void strays_free(struct engine *en)
{
	while (en->priv->strays)
		stray_drop(en, en->priv->strays->uid);
}

/* The line `host = N` of a record that is no whole one. */
static uint64_t scan_host(const char *text)
{
	unsigned long long n;
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (sscanf(line, " host = %llu", &n) == 1)
			return n;
	return 0;
}

static uint64_t find_host(struct engine *en, const char *uid)
{
	static const char *const names[] = { "pod.ini", "leaving.ini", ".pod.ini" };
	uint64_t host = 0;
	for (size_t i = 0; !host && i < ARRAY_LEN(names); i++) {
		char path[64];
		_cleanup_buf_ struct buf text = { 0 };
		snprintf(path, sizeof path, "pods/%.36s/%s", uid, names[i]);
		if (!read_file_at(en->state_fd, path, SPEC_RECORD_MAX, &text))
			host = scan_host(buf_str(&text));
	}
	return host;
}

/* True: it was none before. */
static bool add(struct engine *en, const char *uid)
{
	bool fresh = !stray_is(en, uid);
	struct stray *s = fresh ? calloc(1, sizeof *s) : *find(en, uid);
	if (!s)
		return false;
	s->host = find_host(en, uid);
	if (fresh) {
		snprintf(s->uid, sizeof s->uid, "%s", uid);
		s->next = en->priv->strays;
		en->priv->strays = s;
	}
	if (s->host >= en->priv->next_host)
		en->priv->next_host = s->host + 1;
	return fresh;
}

static void list(struct engine *en, const char *line)
{
	ring_once(&en->leaks, line);
	engine_changed(en, NULL, CHANGE_EVENTS);
}

void stray_unread(struct engine *en, const char *uid, const char *why)
{
	pid_t pid = alive_pid(en->priv->alive_fd, uid);
	char line[900];
	if (pid)
		snprintf(line, sizeof line, "%s; its podfs-pod (pid %d) and its containers run on", why, (int)pid);
	else
		snprintf(line, sizeof line, "%s", why);
	list(en, line);
	if (add(en, uid) && pid)
		engine_event(en, NULL, NULL, "%s", line);
}

static bool has_record(const struct pod *p, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "pods/%s/%s", p->spec->uid, name);
	return !faccessat(p->engine->state_fd, path, F_OK, 0);
}

bool stray_runs(struct pod *p)
{
	struct engine *en = p->engine;
	char line[300];
	if (has_record(p, "pod.ini") || has_record(p, "leaving.ini"))
		return false;
	snprintf(line, sizeof line, "pods/%s: %s: its record pod.ini is gone; its podfs-pod (pid %d) and its containers run on until that is killed",
		 p->spec->uid, p->spec->name, (int)p->pid);
	list(en, line);
	if (add(en, p->spec->uid))
		engine_event(en, NULL, NULL, "%s", line);
	leave_forget(p);
	return true;
}

/* --- what is theirs --- */

void strays_put(struct engine *en, struct wire_out *o)
{
	for (struct stray *s = en->priv->strays; s; s = s->next)
		if (alive_pid(en->priv->alive_fd, s->uid))
			net_str(o, K_UID, s->uid);
}

size_t strays_count(const struct engine *en)
{
	size_t n = 0;
	for (const struct stray *s = en->priv->strays; s; s = s->next)
		n++;
	return n;
}

size_t strays_hosts(const struct engine *en, uint64_t *taken, size_t n)
{
	for (const struct stray *s = en->priv->strays; s; s = s->next)
		if (s->host)
			taken[n++] = s->host;
	return n;
}
