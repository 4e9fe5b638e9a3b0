/* Children of podfs-pod: see child.h.
 *
 * Owns pidfds and jobs. A child is known by its pidfd alone; SIGCHLD has its default and wakes nobody.
 */
#include "runtime/pod/child.h"

#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STACK (128 * 1024) /* of the child: what the stages of a launch need */

static void on_pidfd(struct watch *w, uint32_t events)
{
	struct child *c = container_of(w, struct child, watch);
	siginfo_t si = { 0 };
	if (waitid(P_PIDFD, (id_t)w->fd, &si, WEXITED | WNOHANG | __WALL) == 0 && !si.si_pid)
		return; /* not yet */
	loop_del(&pod_self.loop, w);
	close_fd(&w->fd);
	c->pid = 0;
	bool exited = si.si_code == CLD_EXITED;
	c->exited(c, exited ? si.si_status : 128 + si.si_status, exited ? 0 : si.si_status);
}

/* PR_SET_PDEATHSIG comes too late when the parent is gone already, and getppid(2) is 0 in a
 * PID namespace of its own: our pidfd tells. */
void child_follow_parent(const struct pod *p)
{
	struct pollfd parent = { .fd = p->self, .events = POLLIN };
	set_death_signal(SIGKILL);
	if (poll(&parent, 1, 0) != 0)
		_exit(EXIT_START_FAILED);
}

struct cloning {
	struct pod *pod;
	struct clone_args args;
	int pidfd;
	long pid; /* or -errno */
	void (*run)(void *arg);
	void *arg;
};

static void do_clone(struct cloning *cl)
{
	long pid = syscall(SYS_clone3, &cl->args, sizeof cl->args);
	if (!pid) {
		signal(SIGHUP, SIG_IGN); /* our door's handler is nobody else's */
		child_follow_parent(cl->pod);
		cl->run(cl->arg);
		_exit(0);
	}
	cl->pid = pid < 0 ? -errno : pid;
}

static int in_between(void *arg)
{
	do_clone(arg);
	_exit(0);
}

/* A PID namespace can be made only by one who lives in the one around it (clone(2), EINVAL). So a process
 * in between is cloned into ns, as vfork(2) does: it borrows our memory and descriptors, clones the child as its
 * sibling, and is gone. */
static __attribute__((noinline)) void clone_nested(struct cloning *cl)
{
	_Alignas(64) char stack[STACK];
	pid_t between = clone(in_between, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES, cl);
	if (between < 0)
		cl->pid = -errno;
	else
		while (waitpid(between, NULL, __WALL) < 0 && errno == EINTR)
			;
}

/* clone3 counts in the caller's PID namespace, and that was another. */
static pid_t pid_of(int pidfd)
{
	char path[40];
	_cleanup_buf_ struct buf info = { 0 };
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	read_file_at(AT_FDCWD, path, 4096, &info);
	const char *pid = strstr(buf_str(&info), "\nPid:\t");
	return pid ? (pid_t)atoi(pid + 6) : 0;
}

/* No descriptors or no memory to learn its pid with. */
static int undo_clone(struct child *c)
{
	siginfo_t si;
	syscall(SYS_pidfd_send_signal, c->watch.fd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)c->watch.fd, &si, WEXITED | __WALL) && errno == EINTR)
		;
	close_fd(&c->watch.fd);
	c->pid = 0;
	return -EMFILE;
}

int child_clone(struct pod *p, struct child *c, uint64_t flags, int into, int ns, void (*run)(void *), void *arg)
{
	struct cloning cl = { .pod = p, .pidfd = -1, .run = run, .arg = arg };
	bool nested = ns >= 0 && (flags & CLONE_NEWPID);
	cl.args = (struct clone_args){
		.flags = flags | CLONE_PIDFD | (into >= 0 ? CLONE_INTO_CGROUP : 0) | (nested ? CLONE_PARENT : 0),
		.pidfd = (uint64_t)(uintptr_t)&cl.pidfd,
		.exit_signal = nested ? 0 : SIGCHLD, /* with CLONE_PARENT it is the caller's */
		.cgroup = into >= 0 ? (uint64_t)into : 0,
	};
	if (ns >= 0 && setns(ns, CLONE_NEWPID))
		return -errno;
	if (nested)
		clone_nested(&cl);
	else
		do_clone(&cl);
	if (ns >= 0 && setns(p->self, CLONE_NEWPID))
		abort(); /* our own namespace: it can't be refused, and nothing may be forked in the wrong one */
	if (cl.pid < 0)
		return (int)cl.pid;
	c->watch = (struct watch){ .fd = cl.pidfd, .fn = on_pidfd };
	c->pid = nested ? pid_of(cl.pidfd) : (pid_t)cl.pid;
	return c->pid > 0 ? 0 : undo_clone(c);
}

void child_watch(struct pod *p, struct child *c)
{
	loop_add(&p->loop, &c->watch, EPOLLIN);
}

int child_signal(const struct child *c, int sig)
{
	if (!c->pid)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, c->watch.fd, sig, NULL, 0) ? -errno : 0;
}

int child_end(struct pod *p, struct child *c, int ms)
{
	siginfo_t si;
	struct pollfd end = { .fd = c->watch.fd, .events = POLLIN };
	int n;
	if (child_signal(c, SIGKILL) == -ESRCH)
		return 0;
	while ((n = poll(&end, 1, ms)) < 0 && errno == EINTR)
		;
	if (n != 1)
		return -ETIMEDOUT;
	waitid(P_PIDFD, (id_t)c->watch.fd, &si, WEXITED | WNOHANG | __WALL);
	loop_del(&p->loop, &c->watch);
	close_fd(&c->watch.fd);
	c->pid = 0;
	return 0;
}

int report_send(int sock, int result, int code, const struct err *e, int fd)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_REPLY, 0);
	wire_result(&o, result);
	wire_u64(&o, K_CODE, (uint64_t)code);
	if (result)
		wire_str(&o, K_ERROR, e->text);
	if (fd >= 0)
		wire_fd(&o, fd);
	int r = wire_send(sock, &o);
	wire_free(&o);
	return r;
}

int report_read(int sock, struct report *rep)
{
	char mem[1024];
	struct wire_in in;
	int r = wire_recv(sock, mem, sizeof mem, &in);
	if (r <= 0)
		return r;
	const char *text = wire_get_str(&in, K_ERROR);
	rep->fd = take_fd(&in.fds[0]);
	rep->code = (int)wire_get_u64(&in, K_CODE, EXIT_START_FAILED);
	rep->err = (struct err){ .code = -in.head.result };
	if (in.head.result)
		snprintf(rep->err.text, sizeof rep->err.text, "%s", text ? text : strerror(rep->err.code));
	wire_in_close(&in);
	return 1;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void close_all_but(int *keep, size_t n)
{
	qsort(keep, n, sizeof *keep, by_number);
	unsigned from = 3;
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0);
}

/* --- jobs --- */

static void job_end(struct job *j)
{
	struct pod *p = j->pod;
	for (struct job **at = &p->jobs; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			break;
		}
	j->done(j->arg, &j->err);
	free(j);
	leave_step(p);
}

static void job_exited(struct child *c, int code, int sig)
{
	struct job *j = container_of(c, struct job, child);
	struct report rep;
	if (report_read(j->status, &rep) > 0)
		j->err = rep.err;
	else
		err_set(&j->err, EIO, "helper process ended with %d", sig ? 128 + sig : code);
	close_fd(&j->status);
	job_end(j);
}

static void job_child(void *arg)
{
	struct job *j = arg;
	struct err e = { 0 };
	int r = j->run(j->arg, &e);
	report_send(j->report, r, 0, &e, -1);
}

/* The report waits in the socket until the child is reaped, so the socket itself is not watched. */
static int job_spawn(struct job *j)
{
	int sv[2];
	int r = wire_socketpair(sv);
	if (r)
		return r;
	j->report = sv[1];
	r = child_clone(j->pod, &j->child, 0, -1, -1, job_child, j);
	close_fd(&j->report);
	if (r) {
		close(sv[0]);
		return r;
	}
	j->child.exited = job_exited;
	j->status = sv[0];
	child_watch(j->pod, &j->child);
	return 0;
}

void job_start(struct pod *p, int (*run)(void *, struct err *), void (*done)(void *, const struct err *), void *arg)
{
	struct job *j = calloc(1, sizeof *j);
	struct err e = { 0 };
	int r = j ? 0 : -ENOMEM;
	if (!r) {
		*j = (struct job){ .next = p->jobs, .pod = p, .status = -1, .report = -1, .run = run, .done = done, .arg = arg };
		r = job_spawn(j);
	}
	if (r) {
		free(j);
		err_sys(&e, -r, "fork");
		done(arg, &e);
		return;
	}
	p->jobs = j;
}
