/* See podctl.h. */
#include "tests/unit/pod/podctl.h"

#include "runtime/spec/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void rig_die(const char *what)
{
	fprintf(stderr, "podctl: %s: %s\n", what, strerror(errno));
	abort();
}

/* A test that failed leaves its podfs-pod behind, which would outlive us. */
static pid_t left_running;

static void end_left_running(void)
{
	if (left_running > 0)
		kill(left_running, SIGKILL);
	left_running = 0;
}

void rig_spawn(struct rig *r, const char *mode)
{
	static const char *program;
	char state[80], run[80], num[8];
	int sv[2];
	program = getenv("PODFS_POD") ? getenv("PODFS_POD") : "podfs-pod";
	if (wire_socketpair(sv))
		rig_die("socketpair");
	rig_path(r, state, sizeof state, "state");
	rig_path(r, run, sizeof run, "run");
	int theirs = fcntl(sv[1], F_DUPFD, 10);
	snprintf(num, sizeof num, "%d", theirs);
	char *argv[8], *none = NULL;
	int n = 0;
	argv[n++] = (char *)"podfs-pod";
	if (mode)
		argv[n++] = (char *)mode;
	argv[n++] = r->uid;
	argv[n++] = (char *)"web";
	argv[n++] = state;
	argv[n++] = run;
	argv[n++] = num;
	argv[n] = NULL;
	if (posix_spawn(&r->pid, program, NULL, NULL, argv, &none))
		rig_die(program);
	left_running = r->pid;
	close(theirs);
	close(sv[1]);
	r->sock = sv[0];
	r->closed = false;
	r->ready = r->gone = 0;
}

void rig_open_on(struct rig *r, bool sandbox, int version)
{
	*r = (struct rig){ .sock = -1 };
	end_left_running();
	atexit(end_left_running);
	if (geteuid()) {
		fprintf(stderr, "needs root\n");
		exit(77); /* meson: skipped */
	}
	snprintf(r->base, sizeof r->base, "%s/podfs-pod-test.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(r->base))
		rig_die("mkdtemp");
	r->mem = malloc(WIRE_MAX);
	rig_new_uid(r);
	rig_find_groups(r, version);
	rig_make_root(r);
	rig_spawn(r, NULL);
	if (sandbox && rig_sandbox(r))
		rig_die(r->error);
}

void rig_open(struct rig *r, bool sandbox)
{
	rig_open_on(r, sandbox, 1);
}

int rig_sandbox(struct rig *r)
{
	return rig_sandbox_in(r, -1);
}

void rig_sandbox_message(struct rig *r, struct wire_out *o)
{
	rig_begin(r, o, W_SANDBOX);
	wire_str(o, K_HOSTNAME, "web");
	wire_str(o, K_SHARE, "ipc net uts");
	wire_u64(o, K_GRACE, 5);
	wire_u64(o, K_RESTART, RESTART_NEVER);
	rig_put_groups(r, o, NULL);
	wire_str(o, K_RECORD, "[pod]\nname = web\n");
	wire_str(o, K_HOSTS, "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	wire_str(o, K_RESOLV, "nameserver 192.0.2.1\n");
}

int rig_sandbox_in(struct rig *r, int netns)
{
	struct wire_out o = { 0 };
	rig_sandbox_message(r, &o);
	if (netns >= 0)
		wire_fd(&o, netns);
	return rig_call(r, &o);
}

/* --- messages --- */

struct seen *rig_container(struct rig *r, const char *name)
{
	for (struct seen *s = r->containers; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	struct seen *s = calloc(1, sizeof *s);
	snprintf(s->name, sizeof s->name, "%s", name);
	s->next = r->containers;
	s->state = -1;
	return r->containers = s;
}

struct seen_session *rig_session(struct rig *r, uint64_t serial)
{
	for (struct seen_session *s = r->sessions; s; s = s->next)
		if (s->serial == serial)
			return s;
	struct seen_session *s = calloc(1, sizeof *s);
	*s = (struct seen_session){ .serial = serial, .state = -1, .fds = { -1, -1, -1 }, .next = r->sessions };
	return r->sessions = s;
}

static void text(char *out, size_t size, const struct wire_in *in, enum wire_key key)
{
	const char *s = wire_get_str(in, key);
	snprintf(out, size, "%s", s ? s : "");
}

static void on_container(struct rig *r, const struct wire_in *in)
{
	struct seen *s = rig_container(r, wire_get_str(in, K_NAME));
	s->known = true;
	s->tells++;
	s->state = (int)wire_get_u64(in, K_STATE, 99);
	s->code = (int)wire_get_u64(in, K_CODE, (uint64_t)-1);
	s->signal = (int)wire_get_u64(in, K_SIGNAL, 0);
	s->last_code = (int)wire_get_u64(in, K_LAST_CODE, (uint64_t)-1);
	s->pid = (int)wire_get_u64(in, K_PID, 0);
	s->root_fd = (int)wire_get_u64(in, K_ROOTFD, (uint64_t)-1);
	s->restarts = (unsigned)wire_get_u64(in, K_RESTARTS, 0);
	s->next_ns = wire_get_u64(in, K_NEXT, 0);
	s->started_ns = wire_get_u64(in, K_STARTED, 0);
	s->finished_ns = wire_get_u64(in, K_FINISHED, 0);
	text(s->reason, sizeof s->reason, in, K_REASON);
	text(s->error, sizeof s->error, in, K_ERROR);
}

static void on_session(struct rig *r, struct wire_in *in)
{
	struct seen_session *s = rig_session(r, wire_get_u64(in, K_SESSION, 0));
	s->tells++;
	s->state = (int)wire_get_u64(in, K_STATE, 99);
	s->code = (int)wire_get_u64(in, K_CODE, (uint64_t)-1);
	for (int i = 0; i < in->nfds; i++)
		s->fds[i] = take_fd(&in->fds[i]);
	s->nfds = in->nfds;
}

static void on_reply(struct rig *r, struct wire_in *in)
{
	if (in->head.seq != r->waiting)
		return;
	r->answered = true;
	r->result = in->head.result;
	text(r->error, sizeof r->error, in, K_ERROR);
	r->nfds = in->nfds;
	for (int i = 0; i < 3; i++)
		r->fds[i] = i < in->nfds ? take_fd(&in->fds[i]) : -1;
}

static void on_message(struct rig *r, struct wire_in *in)
{
	switch (in->head.op) {
	case W_REPLY: on_reply(r, in); break;
	case W_READY:
		r->ready++;
		r->leaving = wire_get_u64(in, K_LEAVING, 0);
		text(r->note, sizeof r->note, in, K_TEXT);
		break;
	case W_CONTAINER: on_container(r, in); break;
	case W_SESSION: on_session(r, in); break;
	case W_DROPPED: r->dropped++; break;
	case W_LOG: r->logs++; break;
	case W_GONE: r->gone++; break;
	case W_EVENT:
		strncat(r->events, wire_get_str(in, K_TEXT), sizeof r->events - strlen(r->events) - 2);
		strcat(r->events, "\n");
		break;
	case W_LEAK:
		r->leaks++;
		text(r->last_leak, sizeof r->last_leak, in, K_TEXT);
		break;
	default: break;
	}
}

bool rig_step(struct rig *r, uint64_t end_ns)
{
	uint64_t now = now_mono_ns();
	struct pollfd p = { .fd = r->sock, .events = POLLIN };
	if (r->closed || now >= end_ns || poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) <= 0)
		return false;
	struct wire_in in;
	int got = wire_recv(r->sock, r->mem, WIRE_MAX, &in);
	if (got == -EAGAIN)
		return true;
	if (got <= 0) {
		r->closed = true;
		return false;
	}
	on_message(r, &in);
	wire_in_close(&in);
	return true;
}

void rig_begin(struct rig *r, struct wire_out *o, enum wire_op op)
{
	wire_begin(o, op, ++r->seq);
}

void rig_send(struct rig *r, struct wire_out *o)
{
	r->waiting = ((struct wire_head *)(void *)o->b.data)->seq;
	r->answered = false;
	int s = wire_send(r->sock, o);
	wire_free(o);
	if (s)
		r->closed = true;
}

int rig_answer(struct rig *r)
{
	return RIG_UNTIL(r, r->answered) ? r->result : -ETIMEDOUT;
}

int rig_call(struct rig *r, struct wire_out *o)
{
	rig_send(r, o);
	return rig_answer(r);
}

int rig_simple(struct rig *r, enum wire_op op, const char *name)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, op);
	wire_str(&o, K_NAME, name);
	return rig_call(r, &o);
}

void rig_reconnect(struct rig *r)
{
	char run[80], name[64];
	rig_path(r, run, sizeof run, "run");
	snprintf(name, sizeof name, "%s.sock", r->uid);
	_cleanup_close_ int dir = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close_fd(&r->sock);
	r->sock = wire_connect(dir, name);
	if (r->sock < 0)
		rig_die("reconnect");
	r->closed = false;
	r->ready = 0;
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_HELLO);
	if (rig_call(r, &o))
		rig_die("hello");
}

/* --- containers --- */

int rig_add(struct rig *r, const char *name)
{
	struct wire_out o = { 0 };
	rig_make_groups(r, name);
	rig_begin(r, &o, W_ADD);
	wire_str(&o, K_NAME, name);
	rig_put_groups(r, &o, name);
	return rig_call(r, &o);
}

void rig_plan_argv(struct rig *r, struct wire_out *o, const char *name, char *const *argv)
{
	char root[80];
	rig_path(r, root, sizeof root, "root");
	rig_begin(r, o, W_START);
	wire_str(o, K_NAME, name);
	for (; *argv; argv++)
		wire_str(o, K_ARG, *argv);
	wire_str(o, K_LAYER, root);
	rig_put_groups(r, o, name);
}

void rig_plan(struct rig *r, struct wire_out *o, const char *name, const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	rig_plan_argv(r, o, name, argv);
}

int rig_run(struct rig *r, const char *name, const char *script)
{
	struct wire_out o = { 0 };
	if (!rig_container(r, name)->known && rig_add(r, name))
		return r->result;
	rig_plan(r, &o, name, script);
	return rig_call(r, &o);
}

bool rig_wait(struct rig *r, const char *name, int state)
{
	struct seen *s = rig_container(r, name);
	return RIG_UNTIL(r, s->state == state);
}

/* --- the end --- */

static void check_nothing_left(struct rig *r)
{
	char path[256];
	snprintf(path, sizeof path, "%s/state/pods/%s", r->base, r->uid);
	bool tree = !access(path, F_OK);
	snprintf(path, sizeof path, "%s/run/%s.sock", r->base, r->uid);
	bool sock = !access(path, F_OK);
	if (tree || sock || r->leaks) {
		fprintf(stderr, "left over:%s%s %u leaks %s\n", tree ? " tree" : "", sock ? " socket" : "", r->leaks, r->last_leak);
		abort();
	}
	rig_no_groups(r);
}

static void free_seen(struct rig *r)
{
	while (r->containers) {
		struct seen *s = r->containers;
		r->containers = s->next;
		free(s);
	}
	while (r->sessions) {
		struct seen_session *s = r->sessions;
		r->sessions = s->next;
		for (int i = 0; i < 3; i++)
			close_fd(&s->fds[i]);
		free(s);
	}
}

void rig_close(struct rig *r)
{
	struct wire_out o = { 0 };
	int status;
	if (!r->gone) {
		rig_begin(r, &o, W_DELETE);
		wire_u64(&o, K_GRACE, 0);
		if (rig_call(r, &o) || !RIG_UNTIL(r, r->gone))
			rig_die("delete");
	}
	waitpid(r->pid, &status, 0);
	left_running = 0;
	check_nothing_left(r);
	close_fd(&r->sock);
	free_seen(r);
	free(r->mem);
	remove_tree_at(AT_FDCWD, r->base);
}
