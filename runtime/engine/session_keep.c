/* Sessions over the server's end: the note that podfs-pod keeps of each, and the session made anew from it.
 *
 * Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void engine_session_note(struct session *s)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_EXEC_NOTE, 0);
	wire_u64(&o, K_SESSION, s->entity.serial);
	wire_str(&o, K_LABEL, s->name);
	wire_str(&o, K_TARGET, s->container);
	wire_str(&o, K_CMD, s->cmd);
	wire_u64(&o, K_OWNER, s->owner);
	wire_u64(&o, K_GROUP, s->group);
	wire_u64(&o, K_CREATED, s->created_ns);
	wire_u64(&o, K_TTY, s->tty);
	wire_u64(&o, K_ROWS, s->rows);
	wire_u64(&o, K_COLS, s->cols);
	wire_u64(&o, K_MODE, (uint64_t)s->mode);
	for (size_t i = 0; i < s->nopenings; i++)
		wire_u64(&o, K_OPENING, s->openings[i]);
	uint64_t asking = s->pod->engine->asking;
	s->pod->engine->asking = 0; /* it completes nothing */
	link_request(s->pod, &o, NULL, NULL);
	s->pod->engine->asking = asking;
	wire_free(&o);
}

/* --- who has it open --- */

static size_t place(const struct session *s, uint64_t fh)
{
	size_t i = 0;
	while (i < s->nopenings && s->openings[i] != fh)
		i++;
	return i;
}

static int add_opening(struct session *s, uint64_t fh)
{
	if (place(s, fh) < s->nopenings)
		return 0;
	uint64_t *v = reallocarray(s->openings, s->nopenings + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	s->openings = v;
	v[s->nopenings++] = fh;
	return 0;
}

int engine_session_opened(struct session *s, uint64_t fh, int mode)
{
	bool known = place(s, fh) < s->nopenings;
	int r = add_opening(s, fh);
	s->mode = mode;
	if (!r && !known)
		engine_session_note(s);
	return r;
}

size_t engine_session_closed(struct session *s, uint64_t fh)
{
	size_t i = place(s, fh);
	if (i < s->nopenings) {
		s->openings[i] = s->openings[--s->nopenings];
		engine_session_note(s);
	}
	return s->nopenings;
}

struct session *engine_session_of(struct pod *p, uint64_t fh)
{
	struct session *s = p->sessions;
	while (s && (*s->name || place(s, fh) == s->nopenings))
		s = s->next;
	return s;
}

/* --- made anew --- */

static void take_text(char *to, size_t size, const struct wire_in *in, enum wire_key key)
{
	const char *text = wire_get_str(in, key);
	snprintf(to, size, "%s", text ? text : "");
}

static void take_openings(struct session *s, const struct wire_in *in)
{
	size_t pos = 0, len;
	uint16_t key;
	const char *data;
	while (wire_next(in, &pos, &key, &data, &len)) {
		uint64_t fh;
		if (key != K_OPENING || len != sizeof fh)
			continue;
		memcpy(&fh, data, sizeof fh);
		add_opening(s, fh);
	}
}

/* Each with its name, in the same order. */
void session_take_streams(struct session *s, struct wire_in *in)
{
	size_t pos = 0, len;
	uint16_t key;
	const char *name;
	for (int i = 0; i < in->nfds && wire_next(in, &pos, &key, &name, &len);) {
		if (key != K_TEXT)
			continue;
		int *to = !strcmp(name, "out") ? &s->out : !strcmp(name, "err") ? &s->err : &s->in;
		fcntl(in->fds[i], F_SETFL, fcntl(in->fds[i], F_GETFL) | O_NONBLOCK);
		close_fd(to);
		*to = take_fd(&in->fds[i++]);
	}
	if (s->tty && s->in >= 0 && s->out < 0)
		s->out = fcntl(s->in, F_DUPFD_CLOEXEC, 3);
}

static void take_run(struct session *s, struct wire_in *in)
{
	uint64_t state = wire_get_u64(in, K_STATE, WIRE_SESSION_NEW);
	const char *cmd = wire_get_str(in, K_CMD);
	s->state = state == WIRE_SESSION_NEW ? S_NEW : state == WIRE_SESSION_ENDED ? S_ENDED : S_RUNNING;
	s->exit_code = (int)wire_get_u64(in, K_CODE, 0);
	/* A command that podfs-pod was never given is one that was never written: the write comes again. */
	if (s->state != S_NEW && cmd)
		s->cmd = strdup(cmd);
	session_take_streams(s, in);
}

bool session_restore(struct pod *p, struct wire_in *in)
{
	struct session *s = wire_get_str(in, K_LABEL) ? calloc(1, sizeof *s) : NULL;
	if (!s)
		return false;
	*s = (struct session){
		.entity = { .kind = ENTITY_SESSION, .serial = wire_get_u64(in, K_SESSION, 0) }, .pod = p,
		.owner = (uid_t)wire_get_u64(in, K_OWNER, 0), .group = (gid_t)wire_get_u64(in, K_GROUP, 0),
		.created_ns = wire_get_u64(in, K_CREATED, 0), .tty = wire_get_u64(in, K_TTY, 0),
		.rows = (unsigned)wire_get_u64(in, K_ROWS, 0), .cols = (unsigned)wire_get_u64(in, K_COLS, 0),
		.mode = (int)wire_get_u64(in, K_MODE, 0), .in = -1, .out = -1, .err = -1, .next = p->sessions,
	};
	take_text(s->name, sizeof s->name, in, K_LABEL);
	take_text(s->container, sizeof s->container, in, K_TARGET);
	take_openings(s, in);
	take_run(s, in);
	p->sessions = s;
	entity_add(p->engine, &s->entity);
	engine_changed(p->engine, p, CHANGE_SESSION);
	return true;
}
