/* What the texts of the tree have in common: see show_text.h. */
#include "fs/show_text.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#define GAP 3
#define COLS_MAX 16

void table_begin(struct table *t, const char *const *heads, size_t n)
{
	*t = (struct table){ .ncols = n };
	for (size_t i = 0; i < n; i++)
		table_cell(t, heads[i]);
}

void table_next(struct table *t)
{
	if (t->cells.len == t->begun)
		buf_puts(&t->cells, "<none>");
	buf_putc(&t->cells, 0);
	t->begun = t->cells.len;
	t->ncells++;
}

void table_cell(struct table *t, const char *text)
{
	buf_puts(&t->cells, text);
	table_next(t);
}

void table_count(struct table *t, uint64_t n)
{
	buf_printf(&t->cells, "%llu", (unsigned long long)n);
	table_next(t);
}

/* Characters, for text that is UTF-8. */
static size_t width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void measure(const struct table *t, size_t *widths)
{
	const char *cell = buf_str(&t->cells);
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		size_t w = width(cell);
		if (w > widths[i % t->ncols])
			widths[i % t->ncols] = w;
	}
}

int table_end(struct table *t, struct buf *out)
{
	_cleanup_buf_ struct buf cells = t->cells;
	size_t widths[COLS_MAX] = { 0 };
	if (buf_status(&cells))
		return -ENOMEM;
	measure(t, widths);
	const char *cell = buf_str(&cells);
	for (size_t i = 0; i < t->ncells; i++, cell += strlen(cell) + 1) {
		size_t col = i % t->ncols;
		buf_puts(out, cell);
		if (col + 1 == t->ncols)
			buf_putc(out, '\n');
		else
			buf_printf(out, "%*s", (int)(widths[col] + GAP - width(cell)), "");
	}
	return buf_status(out);
}

void put_user(struct buf *out, uid_t uid)
{
	_cleanup_file_ FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;
	while (f && (pw = fgetpwent(f))) {
		if (pw->pw_uid == uid) {
			buf_puts(out, pw->pw_name);
			return;
		}
	}
	buf_printf(out, "%u", (unsigned)uid);
}

void put_group(struct buf *out, gid_t gid)
{
	_cleanup_file_ FILE *f = fopen("/etc/group", "re");
	struct group *gr;
	while (f && (gr = fgetgrent(f))) {
		if (gr->gr_gid == gid) {
			buf_puts(out, gr->gr_name);
			return;
		}
	}
	buf_printf(out, "%u", (unsigned)gid);
}

/* As duration.HumanDuration of Kubernetes' apimachinery rounds: two units while the second one matters. */
static void put_age(struct buf *out, uint64_t s)
{
	static const struct {
		uint64_t below; /* in units of `big` */
		uint64_t big, small; /* seconds; small 0: not shown */
		char big_name, small_name;
	} steps[] = {
		{ 120, 1, 0, 's', 0 },            { 10, 60, 1, 'm', 's' },       { 180, 60, 0, 'm', 0 },
		{ 8, 3600, 60, 'h', 'm' },        { 48, 3600, 0, 'h', 0 },       { 8, 86400, 3600, 'd', 'h' },
		{ 730, 86400, 0, 'd', 0 },        { 8, 31536000, 86400, 'y', 'd' },
		{ UINT64_MAX, 31536000, 0, 'y', 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		uint64_t n = s / steps[i].big;
		if (n >= steps[i].below)
			continue;
		buf_printf(out, "%llu%c", (unsigned long long)n, steps[i].big_name);
		uint64_t rest = steps[i].small ? s % steps[i].big / steps[i].small : 0;
		if (rest)
			buf_printf(out, "%llu%c", (unsigned long long)rest, steps[i].small_name);
		return;
	}
}

void show_age(uint64_t since_real_ns, struct buf *out)
{
	uint64_t now = now_real_ns();
	put_age(out, now > since_real_ns ? (now - since_real_ns) / 1000000000 : 0);
}

void put_bytes(struct buf *out, uint64_t bytes)
{
	if (bytes < 1024 * 1024)
		buf_printf(out, "%lluKi", (unsigned long long)(bytes / 1024));
	else
		buf_printf(out, "%lluMi", (unsigned long long)(bytes / 1024 / 1024));
}

bool container_ready(const struct container *c)
{
	return c->status.state == C_RUNNING;
}

/* NULL: nothing is amiss. */
static const char *container_word(const struct container *c)
{
	const struct container_status *s = &c->status;
	switch (s->state) {
	case C_RUNNING:
		return NULL;
	case C_PAUSED:
		return "Paused";
	case C_TERMINATED:
		return s->reason[0] ? s->reason : "Error";
	case C_WAITING:
		/* Without an image nothing is being made: the phase, Pending, says it better. */
		return c->spec->image && s->reason[0] ? s->reason : NULL;
	}
	return NULL;
}

const char *pod_word(const struct pod *p)
{
	if (!p->pid && p->lost[0])
		return "SandboxLost";
	const char *word = NULL;
	bool running = false;
	for (size_t i = p->ncontainers; i-- > 0;) {
		const char *w = container_word(p->containers[i]);
		word = w ? w : word;
		running = running || p->containers[i]->status.state == C_RUNNING;
	}
	if (!word)
		return pod_phase_name(pod_phase(p));
	/* One has done its work, others are still at theirs. */
	return running && !strcmp(word, "Completed") ? "Running" : word;
}

void put_ip(struct buf *out, const struct pod *p)
{
	char ip[POD_IPS][46];
	if (pod_ips(p, ip))
		buf_puts(out, ip[0]);
}

static void put_exit(struct buf *out, const struct container_status *s)
{
	if (s->exit_code < 0)
		return;
	buf_printf(out, " (exit code %d", s->exit_code);
	if (s->signal)
		buf_printf(out, ", %s", signal_name(s->signal));
	buf_putc(out, ')');
}

static void put_next(struct buf *out, uint64_t next_ns)
{
	uint64_t now = now_real_ns();
	uint64_t left = next_ns > now ? (next_ns - now + 999999999) / 1000000000 : 0;
	buf_printf(out, ": next start in %llu s", (unsigned long long)left);
}

void put_state_rest(struct buf *out, const struct container *c)
{
	const struct container_status *s = &c->status;
	bool runs = s->state == C_RUNNING || s->state == C_PAUSED;
	if (!runs && s->reason[0])
		buf_printf(out, " %s", s->reason);
	if (s->state == C_TERMINATED)
		put_exit(out, s);
	if (runs && s->kill_ns)
		buf_printf(out, ": being %s, SIGKILL in %.0f s", s->again ? "restarted" : "stopped", seconds_until(s->kill_ns));
	if (runs && *s->trouble)
		buf_printf(out, ": %s", s->trouble);
	if (c->pull) {
		buf_printf(out, ": %s: ", c->pull->reference);
		pull_show(c->pull, out);
	}
	if (runs || c->pull)
		return;
	if (s->state == C_WAITING && s->next_ns)
		put_next(out, s->next_ns);
	else if (s->message[0])
		buf_printf(out, ": %s", s->message);
	else if (s->state == C_WAITING && !c->spec->image)
		buf_puts(out, ": no image yet");
}
