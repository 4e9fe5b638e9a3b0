/* Exec sessions: a command in a container, its streams and its exit code.
 *
 * Owns struct session and the server's ends of its pipes. podfs-pod runs the command.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

static struct session *session_by_serial(struct pod *p, uint64_t serial)
{
	for (struct session *s = p->sessions; s; s = s->next)
		if (s->entity.serial == serial)
			return s;
	return NULL;
}

struct session *engine_session(struct pod *p, const char *name)
{
	for (struct session *s = p->sessions; s; s = s->next)
		if (*s->name && !strcmp(s->name, name))
			return s;
	return NULL;
}

static int may_create(struct pod *p, const char *name, struct err *e)
{
	int r = *name ? name_check("session", name, e) : 0;
	if (r)
		return r;
	if (*name && engine_session(p, name))
		return err_set(e, EEXIST, "session %s: exists already", name);
	if (*name && engine_container(p, name))
		return err_set(e, EEXIST, "session %s: a container has that name", name);
	unsigned n = 0;
	for (struct session *s = p->sessions; s; s = s->next)
		n++;
	return n < SESSIONS_MAX ? 0 : err_set(e, ENOSPC, "session %s: a pod has at most %d", name, SESSIONS_MAX);
}

int engine_session_create(struct pod *p, const char *name, uid_t uid, gid_t gid, struct session **out, struct err *e)
{
	int r = may_create(p, name, e);
	if (r)
		return r;
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(e, ENOMEM, "session %s: out of memory", name);
	*s = (struct session){
		.entity = { .kind = ENTITY_SESSION, .serial = engine_serial(p->engine) }, .pod = p, .owner = uid,
		.group = gid, .created_ns = now_real_ns(), .in = -1, .out = -1, .err = -1, .next = p->sessions,
	};
	snprintf(s->name, sizeof s->name, "%s", name);
	p->sessions = s;
	entity_add(p->engine, &s->entity);
	if (*name)
		engine_session_note(s);
	*out = s;
	return 0;
}

void session_free(struct session *s)
{
	struct pod *p = s->pod;
	for (struct session **at = &p->sessions; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	entity_drop(p->engine, &s->entity);
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	free(s->cmd);
	free(s->openings);
	free(s);
	engine_changed(p->engine, p, CHANGE_SESSION);
}

static void tell(struct pod *p, uint64_t serial, enum wire_op op)
{
	struct wire_out o = { 0 };
	wire_begin(&o, op, 0);
	wire_u64(&o, K_SESSION, serial);
	link_request(p, &o, NULL, NULL);
	wire_free(&o);
}

void engine_session_remove(struct session *s)
{
	tell(s->pod, s->entity.serial, W_EXEC_END);
	session_free(s);
}

void engine_session_close_in(struct session *s)
{
	if (s->in < 0 || s->tty)
		return;
	close_fd(&s->in);
	tell(s->pod, s->entity.serial, W_EXEC_CLOSE);
}

int engine_session_winsize(struct session *s, unsigned rows, unsigned cols, struct err *e)
{
	struct winsize w = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols };
	if (s->state == S_RUNNING && s->tty && s->in >= 0 && ioctl(s->in, TIOCSWINSZ, &w))
		return err_sys(e, errno, "winsize");
	s->rows = rows;
	s->cols = cols;
	return 0;
}

/* --- running a command --- */

struct run {
	struct engine *en;
	uint64_t serial;
	done_fn *done;
	void *arg;
};

static void ended(struct session *s, int code)
{
	s->state = S_ENDED;
	s->exit_code = code;
	engine_changed(s->pod->engine, s->pod, CHANGE_SESSION);
}

/* As if nothing had been asked: the reason was not the command's, and the next one may have none. */
static void refused(struct session *s)
{
	s->state = S_NEW;
	free(take_ptr(s->cmd));
	engine_changed(s->pod->engine, s->pod, CHANGE_SESSION);
}

static void take_streams(struct session *s, struct wire_in *in)
{
	int *to[] = { &s->in, &s->out, &s->err };
	for (int i = 0; i < in->nfds; i++) {
		fcntl(in->fds[i], F_SETFL, fcntl(in->fds[i], F_GETFL) | O_NONBLOCK);
		close_fd(to[i]);
		*to[i] = take_fd(&in->fds[i]);
	}
	if (s->tty && s->out < 0)
		s->out = fcntl(s->in, F_DUPFD_CLOEXEC, 3);
}

static void on_run(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct run r = *(struct run *)arg;
	free(arg);
	struct entity *ent = engine_entity(r.en, r.serial);
	if (ent) {
		struct session *s = container_of(ent, struct session, entity);
		int code = in ? (int)wire_get_u64(in, K_CODE, 0) : 0;
		if (result >= 0)
			take_streams(s, in);
		else if (code)
			ended(s, code);
		else
			refused(s);
	}
	if (r.done)
		r.done(r.arg, result, e);
}

static struct container *target(struct session *s, struct err *e)
{
	struct pod *p = s->pod;
	struct container *c = *s->container ? engine_container(p, s->container) : p->ncontainers ? p->containers[0] : NULL;
	if (!c) {
		err_set(e, ENOENT, *s->container ? "exec: pod %s has no container %s" : "exec: pod %s has no containers%s",
			p->spec->name, s->container);
		return NULL;
	}
	if (c->status.state == C_RUNNING || c->status.state == C_PAUSED)
		return c;
	err_set(e, ESRCH, "exec: container %s does not run (it is %s)", c->spec->name, container_state_name(c));
	return NULL;
}

int engine_session_run(struct session *s, const struct strs *words, bool merge, done_fn *done, void *arg, struct err *e)
{
	struct container *c = target(s, e);
	if (!c)
		return -e->code;
	if (!words->n)
		return err_set(e, EINVAL, "cmd: no command");
	astray_exec(c);
	struct run *run = malloc(sizeof *run);
	if (!run)
		return err_set(e, ENOMEM, "exec: out of memory");
	*run = (struct run){ s->pod->engine, s->entity.serial, done, arg };
	struct wire_out o = { 0 };
	wire_begin(&o, W_EXEC, 0);
	wire_u64(&o, K_SESSION, s->entity.serial);
	wire_str(&o, K_NAME, c->id);
	for (size_t i = 0; i < words->n; i++)
		wire_str(&o, K_ARG, words->v[i]);
	if (s->tty) {
		wire_u64(&o, K_TTY, 1);
		wire_u64(&o, K_ROWS, s->rows ? s->rows : 24);
		wire_u64(&o, K_COLS, s->cols ? s->cols : 80);
	} else if (merge) {
		wire_u64(&o, K_MERGE, 1);
	}
	int r = link_request(s->pod, &o, on_run, run);
	wire_free(&o);
	if (r) {
		free(run);
		return err_sys(e, -r, "exec: pod %s", s->pod->spec->name);
	}
	s->state = S_RUNNING;
	snprintf(s->container, sizeof s->container, "%s", c->spec->name);
	return 0;
}

void session_on_event(struct pod *p, struct wire_in *in)
{
	uint64_t serial = wire_get_u64(in, K_SESSION, 0);
	struct session *s = session_by_serial(p, serial);
	if (s && wire_get_u64(in, K_STATE, 0) == WIRE_SESSION_ENDED) {
		ended(s, (int)wire_get_u64(in, K_CODE, 0));
		return;
	}
	if (s && in->nfds) {
		session_take_streams(s, in);
		engine_changed(p->engine, p, CHANGE_SESSION);
	}
	if (s || session_restore(p, in))
		return;
	/* Of a server that is gone, and without a note: nobody can reach it any more. */
	tell(p, serial, W_EXEC_END);
}

void session_end_all(struct pod *p, const char *container)
{
	for (struct session *s = p->sessions, *next; s; s = next) {
		next = s->next;
		if (s->state == S_RUNNING && (!container || !strcmp(s->container, container)))
			ended(s, 137);
	}
}
