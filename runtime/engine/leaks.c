/* `leaks`: the list of what could not be freed.
 *
 * Who could not free it has it in mind, and takes it back: podfs-pod (W_LEAK, W_FREED), podfs-net; a sweep finds the rest again.
 * Here are the lines. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <string.h>

#define LEAK_LINE 600
#define OVERDUE_S 15 /* podfs-pod itself gives up on a process ten seconds after SIGKILL */

static void leak_line(const struct pod *p, const char *text, char line[LEAK_LINE])
{
	snprintf(line, LEAK_LINE, "%s %s: %s", p->spec->name, p->spec->uid, text);
}

bool leak_told(struct pod *p, const char *text)
{
	char line[LEAK_LINE];
	struct ring *r = &p->engine->leaks;
	leak_line(p, text, line);
	if (r->len && memmem(r->mem, r->len, line, strlen(line)))
		return false;
	ring_line(r, line);
	return !p->link->hello;
}

void leak_freed(struct pod *p, const struct wire_in *in)
{
	const char *text = wire_get_str(in, K_TEXT);
	char line[LEAK_LINE];
	if (!text)
		return;
	leak_line(p, text, line);
	ring_forget(&p->engine->leaks, line);
	engine_event(p->engine, p, NULL, "freed: %s", text);
	engine_changed(p->engine, p, CHANGE_EVENTS);
}

/* A line stands as long as the pod that it names: podfs-pod takes it back. */
void leaks_forget(struct engine *en)
{
	struct ring *r = &en->leaks;
	_cleanup_free_ char *all = strndup(r->mem ? r->mem : "", r->len);
	char *save = NULL;
	ring_trim(r, r->max);
	for (char *line = all ? strtok_r(all, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		bool stands = false;
		for (size_t i = 0; !stands && i < en->npods; i++)
			stands = strstr(line, en->pods[i]->spec->uid);
		for (struct pod *p = en->leaving; !stands && p; p = p->next_leaving)
			stands = strstr(line, p->spec->uid);
		if (stands)
			ring_line(r, line);
	}
}

void leaks_retry(struct engine *en)
{
	for (size_t i = 0; i < en->npods; i++) {
		struct pod *p = en->pods[i];
		struct wire_out o = { 0 };
		if (!en->leaks.len || !memmem(en->leaks.mem, en->leaks.len, p->spec->uid, strlen(p->spec->uid)) || !link_up(p))
			continue;
		wire_begin(&o, W_SWEEP, 0);
		link_request(p, &o, NULL, NULL);
		wire_free(&o);
	}
}

/* Removed, and its podfs-pod does not get on with it: it is stopped, or hangs. */
void leaks_overdue(struct engine *en)
{
	uint64_t now = now_mono_ns();
	for (struct pod *p = en->leaving; p; p = p->next_leaving) {
		char line[200];
		if (now < p->leave_by_ns + OVERDUE_S * 1000000000ull)
			continue;
		snprintf(line, sizeof line, "%s %s: it was removed, and its podfs-pod (pid %d) has not ended since its grace period did",
			 p->spec->name, p->spec->uid, (int)p->pid);
		ring_once(&en->leaks, line);
	}
}
