/* One child of podfs-net: see cni_run.h. */
#include "runtime/net/cni_run.h"

#include "runtime/base/util.h"
#include "runtime/net/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHUNK 65536

/* What the child is told; in its own memory after the fork. */
struct start {
	int in, out, err; /* its standard streams */
	pid_t parent;
	const char *path; /* NULL: fn */
	char *const *env;
	int (*fn)(void *arg, struct err *e);
	void *arg;
};

/* --- the child --- */

static void default_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* an ignored one would stay ignored over exec */
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool set_streams(const struct start *s)
{
	/* Three free numbers above them first: one of ours may be 0, 1 or 2. */
	int in = fcntl(s->in, F_DUPFD, 3), out = fcntl(s->out, F_DUPFD, 3), err = fcntl(s->err, F_DUPFD, 3);
	return in >= 0 && out >= 0 && err >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2 &&
	       !syscall(SYS_close_range, 3u, ~0u, 0);
}

static _Noreturn void child(const struct start *s)
{
	setpgid(0, 0);
	if (set_death_signal(SIGKILL) || getppid() != s->parent)
		_exit(127);
	default_signals();
	oom_restore();
	if (!set_streams(s) || chdir("/"))
		_exit(127);
	umask(022);
	if (!s->path) {
		struct err e = { 0 };
		int r = s->fn(s->arg, &e);
		if (r)
			write_all(1, e.text, strlen(e.text));
		_exit(-r);
	}
	execve(s->path, (char *const[]){ (char *)(uintptr_t)s->path, NULL }, s->env);
	dprintf(2, "%s: %s\n", s->path, strerror(errno));
	_exit(127);
}

/* --- what it prints --- */

/* False: there is nothing more for now, or at all. */
static bool read_some(int fd, struct buf *b)
{
	char chunk[CHUNK];
	ssize_t n;
	do {
		n = read(fd, chunk, sizeof chunk);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		buf_put(b, chunk, (size_t)n);
	return n > 0;
}

static void keep_tail(struct buf *b)
{
	if (b->len > CNI_STDERR_MAX)
		buf_drop_front(b, b->len - CNI_STDERR_MAX);
}

static bool take_out(struct cni_run *r)
{
	if (r->too_much || !read_some(r->out.fd, &r->out_text))
		return false;
	if (r->out_text.len > CNI_OUTPUT_MAX || r->out_text.failed) {
		r->too_much = true;
		buf_reset(&r->out_text);
		cni_run_kill(r);
	}
	return true;
}

static bool take_err(struct cni_run *r)
{
	bool more = read_some(r->err.fd, &r->err_text);
	keep_tail(&r->err_text);
	return more;
}

static void close_watch(struct cni_run *r, struct watch *w)
{
	loop_del(r->loop, w);
	close_fd(&w->fd);
}

static void on_out(struct watch *w, uint32_t events)
{
	struct cni_run *r = container_of(w, struct cni_run, out);
	if (!take_out(r))
		close_watch(r, w);
}

static void on_err(struct watch *w, uint32_t events)
{
	struct cni_run *r = container_of(w, struct cni_run, err);
	if (!take_err(r))
		close_watch(r, w);
}

/* A child of its own may hold the pipes for ever: what is in them now was said by it or before its end. */
static void take_the_rest(struct cni_run *r)
{
	for (size_t n = 0; r->out.fd >= 0 && n <= CNI_OUTPUT_MAX / CHUNK && take_out(r); n++)
		;
	for (size_t n = 0; r->err.fd >= 0 && n <= CNI_OUTPUT_MAX / CHUNK && take_err(r); n++)
		;
	close_watch(r, &r->out);
	close_watch(r, &r->err);
}

static void on_child(struct watch *w, uint32_t events)
{
	struct cni_run *r = container_of(w, struct cni_run, child);
	siginfo_t si = { 0 };
	take_the_rest(r); /* before it is reaped, so that its process group is still its own */
	if (waitid(P_PIDFD, (id_t)w->fd, &si, WEXITED | WNOHANG) || !si.si_pid)
		return;
	close_watch(r, w);
	r->pid = 0;
	r->code = si.si_code == CLD_EXITED ? si.si_status : 0;
	r->sig = si.si_code == CLD_EXITED ? 0 : si.si_status;
	r->done(r);
}

/* --- starting and ending --- */

void cni_run_init(struct cni_run *r, struct loop *l, void (*done)(struct cni_run *))
{
	*r = (struct cni_run){
		.loop = l,
		.done = done,
		.child = { .fd = -1, .fn = on_child },
		.out = { .fd = -1, .fn = on_out },
		.err = { .fd = -1, .fn = on_err },
	};
}

static void reap(struct cni_run *r)
{
	siginfo_t si;
	cni_run_kill(r);
	while (r->pid && waitid(P_PID, (id_t)r->pid, &si, WEXITED) && errno == EINTR)
		;
	r->pid = 0;
	close_watch(r, &r->out);
	close_watch(r, &r->err);
	close_watch(r, &r->child);
}

static int watch_child(struct cni_run *r)
{
	r->child.fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->child.fd < 0)
		return -errno;
	int e = loop_add(r->loop, &r->child, EPOLLIN);
	if (!e)
		e = loop_add(r->loop, &r->out, EPOLLIN);
	return e ? e : loop_add(r->loop, &r->err, EPOLLIN);
}

static int spawn(struct cni_run *r, struct start *s)
{
	r->too_much = false;
	buf_reset(&r->out_text);
	buf_reset(&r->err_text);
	s->parent = getpid();
	r->pid = fork();
	if (r->pid < 0) {
		r->pid = 0;
		return -errno;
	}
	if (!r->pid)
		child(s);
	setpgid(r->pid, r->pid); /* whoever comes first: a kill must not miss the group */
	int e = watch_child(r);
	if (e)
		reap(r);
	return e;
}

/* Its streams; ours are in r. */
static int make_streams(struct cni_run *r, struct start *s)
{
	int out[2], err[2];
	if (pipe2(out, O_CLOEXEC))
		return -errno;
	r->out.fd = out[0];
	s->out = out[1];
	if (pipe2(err, O_CLOEXEC))
		return -errno;
	r->err.fd = err[0];
	s->err = err[1];
	return fcntl(out[0], F_SETFL, O_NONBLOCK) || fcntl(err[0], F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int start(struct cni_run *r, struct start *s, struct err *e)
{
	int ret = make_streams(r, s);
	if (!ret)
		ret = spawn(r, s);
	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	if (!ret)
		return 0;
	close_fd(&r->out.fd);
	close_fd(&r->err.fd);
	return err_sys(e, -ret, "a process could not be started");
}

/* A file and not a pipe: nobody has to wait until it is read. */
static int input(const char *in, size_t len)
{
	_cleanup_close_ int fd = memfd_create("cni", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, in, len);
	if (r || lseek(fd, 0, SEEK_SET))
		return r ? r : -errno;
	return take_fd(&fd);
}

int cni_run_plugin(struct cni_run *r, const char *path, char *const *env, const char *in, size_t len, struct err *e)
{
	struct start s = { .in = input(in, len), .out = -1, .err = -1, .path = path, .env = env };
	if (s.in < 0)
		return err_sys(e, -s.in, "memory file");
	return start(r, &s, e);
}

int cni_run_job(struct cni_run *r, int (*fn)(void *arg, struct err *e), void *arg, struct err *e)
{
	struct start s = { .in = open("/dev/null", O_RDONLY | O_CLOEXEC), .out = -1, .err = -1, .fn = fn, .arg = arg };
	if (s.in < 0)
		return err_sys(e, errno, "/dev/null");
	return start(r, &s, e);
}

void cni_run_kill(struct cni_run *r)
{
	if (r->pid)
		kill(-r->pid, SIGKILL);
}

void cni_run_free(struct cni_run *r)
{
	reap(r);
	buf_free(&r->out_text);
	buf_free(&r->err_text);
}
