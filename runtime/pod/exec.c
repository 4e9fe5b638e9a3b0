/* Exec sessions: a command in a running container, its three pipes or its terminal.
 *
 * Owns the sessions. Their streams are the server's business: it gets one end of each, and the duplicates kept here
 * see to it that its death ends nothing; the next server gets them again.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define HANGUP_MS 1000 /* between SIGHUP and SIGKILL */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP /* Linux 6.9; not in Debian 12's headers */
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

struct session *session_find(struct pod *p, uint64_t serial)
{
	for (struct session *s = p->sessions; s; s = s->next)
		if (s->serial == serial && !s->forgotten)
			return s;
	return NULL;
}

static void session_free(struct session *s)
{
	for (struct session **at = &s->pod->sessions; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	timer_stop(&s->pod->loop, &s->timer);
	loop_del(&s->pod->loop, &s->status);
	close_fd(&s->status.fd);
	for (int i = 0; i < 3; i++)
		close_fd(&s->fds[i]);
	close_fd(&s->group);
	free(s->failure);
	free(s);
}

static void put_fds(const struct session *s, struct wire_out *o)
{
	static const char *const names[] = { "in", "out", "err" };
	for (int i = 0; i < 3; i++)
		if (s->fds[i] >= 0) {
			wire_str(o, K_TEXT, s->tty ? "tty" : names[i]);
			wire_fd(o, s->fds[i]);
		}
}

void session_put(const struct session *s, struct wire_out *o, bool with_fds)
{
	wire_begin(o, W_SESSION, 0);
	wire_u64(o, K_SESSION, s->serial);
	wire_str(o, K_NAME, s->container);
	wire_u64(o, K_STATE, s->ended ? WIRE_SESSION_ENDED : WIRE_SESSION_RUNNING);
	if (s->ended)
		wire_u64(o, K_CODE, (uint64_t)s->code);
	if (s->tty)
		wire_u64(o, K_TTY, 1);
	if (with_fds)
		put_fds(s, o);
}

static void session_tell(struct session *s, bool with_fds)
{
	struct wire_out o = { 0 };
	session_put(s, &o, with_fds);
	link_send(s->pod, &o);
}

/* --- the end --- */

/* A command that cannot be executed has had its session. Where it never came to that the session is as if nothing had been
 * asked, unless another server has been told of it meanwhile. */
static void answer_failure(struct session *s, bool lost)
{
	static const struct err died = { .code = EIO, .text = "its process ended before exec" };
	const struct err *why = s->failure ? s->failure : &died;
	bool commands = s->failure_code == EXIT_NOT_FOUND || s->failure_code == EXIT_NOT_EXECUTABLE;
	s->forgotten |= !commands && !lost;
	if (commands)
		link_reply_exit(s->pod, &s->asker, s->failure_code, why);
	else
		link_reply(s->pod, &s->asker, -why->code, why);
}

/* As report_read: 1, 0 at the end, -EAGAIN. */
static int take_report(struct session *s)
{
	struct report rep;
	int r = report_read(s->status.fd, &rep);
	if (r <= 0)
		return r;
	if (rep.err.code && !s->failure && (s->failure = malloc(sizeof *s->failure)))
		*s->failure = rep.err;
	if (rep.err.code)
		s->failure_code = rep.code;
	s->came_up = !rep.err.code;
	if (s->tty && s->fds[0] < 0)
		s->fds[0] = take_fd(&rep.fd);
	close_fd(&rep.fd);
	return 1;
}

static void close_status(struct session *s)
{
	if (s->status.fd < 0)
		return;
	loop_del(&s->pod->loop, &s->status);
	close_fd(&s->status.fd);
	bool lost = s->asker.link != s->pod->link.number;
	if (s->came_up)
		link_reply_fds(s->pod, &s->asker, s->fds, s->tty ? 1 : s->nfds);
	if (s->came_up && lost)
		session_tell(s, true); /* who asked is gone; the next server was told before there was a terminal */
	else if (!s->came_up)
		answer_failure(s, lost);
}

static void on_status(struct watch *w, uint32_t events UNUSED)
{
	struct session *s = container_of(w, struct session, status);
	int r = take_report(s);
	if (r <= 0 && r != -EAGAIN)
		close_status(s);
}

static void on_exited(struct child *ch, int code, int sig UNUSED)
{
	struct session *s = container_of(ch, struct session, child);
	struct pod *p = s->pod;
	while (s->status.fd >= 0 && take_report(s) > 0)
		;
	close_status(s);
	s->ended = true;
	s->code = code;
	if (!s->forgotten)
		session_tell(s, false);
	else if (!s->timer.at_ns)
		session_free(s);
	leave_step(p);
}

/* By pidfd, so that the group is meant whose number may long be another's. Before Linux 6.9 there is no such
 * signal, and the number is safe only until the leader is reaped. */
static void signal_group(struct session *s, int sig)
{
	if (!syscall(SYS_pidfd_send_signal, s->group, sig, NULL, PIDFD_SIGNAL_PROCESS_GROUP) || errno != EINVAL)
		return;
	if (s->child.pid)
		kill(-s->child.pid, sig);
}

static void on_hangup_over(struct timer *t)
{
	struct session *s = container_of(t, struct session, timer);
	struct pod *p = s->pod;
	signal_group(s, SIGKILL);
	child_signal(&s->child, SIGKILL);
	if (s->ended)
		session_free(s);
	leave_step(p);
}

void session_end(struct session *s)
{
	s->forgotten = true;
	for (int i = 0; i < 3; i++)
		close_fd(&s->fds[i]);
	signal_group(s, SIGHUP);
	timer_arm(&s->pod->loop, &s->timer, HANGUP_MS);
}

void session_close_in(struct session *s)
{
	if (!s->tty)
		close_fd(&s->fds[0]);
}

void sessions_end_all(struct pod *p)
{
	for (struct session *s = p->sessions, *next; s; s = next) {
		next = s->next;
		if (!s->forgotten)
			session_end(s);
	}
}

/* Without containers there is nothing left that a signal could be meant for. */
void sessions_free_ended(struct pod *p)
{
	for (struct session *s = p->sessions, *next; s; s = next) {
		next = s->next;
		if (s->ended)
			session_free(s);
	}
}

/* --- the beginning --- */

static int make_pipes(struct session *s, bool merge, int theirs[3])
{
	s->nfds = merge ? 2 : 3;
	for (int i = 0; i < s->nfds; i++) {
		int fds[2];
		if (pipe2(fds, O_CLOEXEC))
			return -errno;
		s->fds[i] = fds[i ? 0 : 1];
		theirs[i] = fds[i ? 1 : 0];
		if (fcntl(s->fds[i], F_SETFL, O_NONBLOCK))
			return -errno;
	}
	return 0;
}

static int clone_session(struct session *s, struct container *c, const struct wire_in *in, int report, const int theirs[3],
			 bool merge, struct err *e)
{
	struct pod *p = s->pod;
	struct launch l = {
		.pod = p, .container = c->name, .plan = plan_view(c->plan), .args = *in, .report = report,
		.stdio = { theirs[0], theirs[1], merge ? theirs[1] : theirs[2] }, .join = c->init.watch.fd, .tty = s->tty,
		.rows = (unsigned)wire_get_u64(in, K_ROWS, 24), .cols = (unsigned)wire_get_u64(in, K_COLS, 80),
	};
	_cleanup_close_ int group = cgroup_clone_fd(&l.plan, e);
	if (group < -1)
		return group;
	int r = child_clone(p, &s->child, 0, group, c->init.watch.fd, launch_session, &l);
	if (r)
		return err_sys(e, -r, "container %s", c->label);
	s->child.exited = on_exited;
	s->group = fcntl(s->child.watch.fd, F_DUPFD_CLOEXEC, 3);
	child_watch(p, &s->child);
	return 0;
}

static int spawn(struct session *s, struct container *c, const struct wire_in *in, struct err *e)
{
	int theirs[3] = { -1, -1, -1 }, sv[2];
	bool merge = wire_get_u64(in, K_MERGE, 0);
	int r = s->tty ? 0 : make_pipes(s, merge, theirs);
	if (!r)
		r = wire_socketpair(sv);
	if (r)
		err_sys(e, -r, "pipe");
	if (!r) {
		s->status = (struct watch){ .fd = sv[0], .fn = on_status };
		r = clone_session(s, c, in, sv[1], theirs, merge, e);
		close(sv[1]);
	}
	for (int i = 0; i < 3; i++)
		close_fd(&theirs[i]);
	if (!r)
		loop_add(&s->pod->loop, &s->status, EPOLLIN);
	return r;
}

static struct session *session_new(struct pod *p, const struct container *c, const struct wire_in *in, struct asker a)
{
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	*s = (struct session){
		.pod = p, .next = p->sessions, .serial = wire_get_u64(in, K_SESSION, 0), .child.watch.fd = -1, .status.fd = -1,
		.asker = a, .fds = { -1, -1, -1 }, .group = -1, .tty = wire_get_u64(in, K_TTY, 0), .timer.fn = on_hangup_over,
	};
	snprintf(s->container, sizeof s->container, "%s", c->name);
	p->sessions = s;
	return s;
}

int session_start(struct pod *p, const struct wire_in *in, struct asker a, struct err *e)
{
	const char *name = wire_get_str(in, K_NAME);
	struct container *c = container_find(p, name);
	if (!c)
		return err_set(e, ENOENT, "container %.*s: there is none", name ? (int)strcspn(name, ".") : 0, name);
	if (c->state == PAUSED)
		return err_set(e, EBUSY, "container %s is paused", c->label);
	if (c->state != RUNNING && !(c->init.pid && c->root_run == c->run && (c->state == STOPPING || c->state == RESTARTING)))
		return err_set(e, ESRCH, "container %s does not run", c->label);
	if (session_find(p, wire_get_u64(in, K_SESSION, 0)))
		return err_set(e, EEXIST, "session exists already");
	struct session *s = session_new(p, c, in, a);
	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	int r = spawn(s, c, in, e);
	if (r)
		session_free(s);
	return r;
}
