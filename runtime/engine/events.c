/* Events: said, kept on disk, and what the server missed while there was none.
 *
 * Owns the lines of `events`, the pods' and the node's. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#define NODE_FOLDER "."
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define LAST_WORDS "server ends"

static void folder_of(const struct pod *p, char out[64])
{
	snprintf(out, 64, "pods/%s", p->spec->uid);
}

/* podfs-pod is removing the folder, or will in a moment. */
static bool has_folder(const struct pod *p)
{
	return !p->leaving && !p->link->remove_done;
}

static void save(struct engine *en, struct pod *p)
{
	char folder[64];
	ring_save(&en->events, en->state_fd, NODE_FOLDER);
	if (!p || !has_folder(p))
		return;
	folder_of(p, folder);
	ring_save(&p->events, en->state_fd, folder);
}

static void say(struct engine *en, struct pod *p, struct container *c, uint64_t at_ns, const char *fmt, va_list ap)
{
	char text[700], line[900], when[RFC3339_LEN + 1];
	vsnprintf(text, sizeof text, fmt, ap);
	for (char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20)
			*s = '?';
	format_time_s(at_ns, when);
	if (p)
		snprintf(line, sizeof line, "%s %s%s%s %s", when, p->spec->name, c ? "/" : "", c ? c->spec->name : "", text);
	else
		snprintf(line, sizeof line, "%s - %s", when, text);
	ring_line(&en->events, line);
	if (p)
		ring_line(&p->events, line);
	save(en, p);
	engine_changed(en, p, CHANGE_EVENTS);
}

void engine_event(struct engine *en, struct pod *p, struct container *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(en, p, c, now_real_ns(), fmt, ap);
	va_end(ap);
}

/* --- told at W_HELLO: news, or what the last server has said already? --- */

/* A line `TIME POD/CONTAINER WORD…` of that container, not older than what it would be about. */
static bool line_is(const char *line, size_t len, const char *since, const char *who, const char *word)
{
	size_t n = strlen(who);
	return len > 21 + n && memcmp(line, since, 20) >= 0 && line[20] == ' ' && !memcmp(line + 21, who, n) &&
	       memmem(line + 21 + n, len - 21 - n, word, strlen(word));
}

bool event_said(const struct container *c, uint64_t since_ns, const char *words)
{
	const struct ring *r = &c->pod->events;
	char since[RFC3339_LEN + 1], who[2 * SPEC_NAME_MAX + 8];
	format_time_s(since_ns, since);
	snprintf(who, sizeof who, "%s/%s ", c->pod->spec->name, c->spec->name);
	for (size_t at = 0; at < r->len;) {
		const char *line = r->mem + at, *nl = memchr(line, '\n', r->len - at);
		size_t len = nl ? (size_t)(nl - line) : r->len - at;
		if (line_is(line, len, since, who, words))
			return true;
		at += len + 1;
	}
	return false;
}

bool event_known(const struct container *c)
{
	const struct container_status *s = &c->told;
	bool up = s->state == C_RUNNING || s->state == C_PAUSED;
	return c->pod->link->hello && event_said(c, up ? s->started_ns : s->finished_ns, up ? "started (pid" : "ended");
}

/* --- the server's own coming and going --- */

void events_load(struct engine *en, struct pod *p)
{
	char folder[64] = NODE_FOLDER;
	if (p)
		folder_of(p, folder);
	ring_load(p ? &p->events : &en->events, en->state_fd, folder);
}

static bool ends_with_last_words(const struct ring *r)
{
	static const char words[] = " - " LAST_WORDS "\n";
	size_t n = sizeof words - 1;
	return r->len >= n && !memcmp(r->mem + r->len - n, words, n);
}

/* Has the node been started anew since a server was here? Remembers which start this is. */
static bool node_restarted(struct engine *en)
{
	_cleanup_buf_ struct buf now = { 0 }, then = { 0 };
	if (read_file_at(AT_FDCWD, BOOT_ID, 64, &now) || !now.len)
		return false;
	int r = read_file_at(en->state_fd, "boot", 64, &then);
	bool same = !r && then.len == now.len && !memcmp(then.data, now.data, now.len);
	if (!same)
		replace_file_at(en->state_fd, "boot", now.data, now.len, 0600);
	return !same && !r;
}

void events_came(struct engine *en, const struct predecessor *last)
{
	const struct ring *r = &en->events;
	uint64_t now = now_real_ns(), gone_ns = last->ended_ns ? last->ended_ns : r->mtime_ns;
	double away = gone_ns < now ? (double)(now - gone_ns) / 1e9 : 0;
	bool rebooted = node_restarted(en);
	if (last->how)
		engine_event(en, NULL, NULL, "server is back: the last one %s; away for %.3f s", last->how, away);
	else if (!r->len)
		engine_event(en, NULL, NULL, "server starts");
	else if (ends_with_last_words(r))
		engine_event(en, NULL, NULL, "server is back: the last one was ended; away for %.3f s", away);
	else
		engine_event(en, NULL, NULL, "server is back: nobody saw the last one end; its last event was %.3f s ago%s", away,
			     rebooted ? "; the node was restarted meanwhile" : "");
}

void engine_leaves(struct engine *en)
{
	engine_event(en, NULL, NULL, LAST_WORDS);
}
