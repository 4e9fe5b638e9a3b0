/* Keeping a server behind the mount: see keep.h. */
#include "tools/keep.h"
#include "tools/provide.h"
#include "tools/row.h"

#include "runtime/base/loop.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define END_MS 5000        /* what the server may take to end */
#define AWAY_MS 1000       /* what it may take to notice by itself that it was unmounted */
#define READY_MS 60000     /* what it may take to begin: it reads every record */

/* What the keeper is about, in the order of a life:
 *
 *   state     server ended            mount gone too     timer             SIGTERM            not listed
 *   SERVING   -> PAUSING, or LOST     -> over            -                 unmount -> ENDING  -> AWAY
 *   PAUSING   -                       -> over            start -> SERVING  unmount -> over    over
 *   AWAY      -> over                 -> over            end it -> ENDING  unmount -> ENDING  -
 *   ENDING    -> over                 -> over            kill the server   -                  -
 *   LOST      over, with an error: nobody has /dev/fuse any more, the mount stays
 *
 * Not listed: it was unmounted here, while a copy in somebody's mount namespace keeps the connection alive.
 */
enum keep_state { SERVING, PAUSING, AWAY, ENDING, LOST };

struct keep {
	struct loop loop;
	struct watch server, signals, mounts;
	struct timer timer;
	enum keep_state state;
	const struct options *o;
	struct mount *m;
	int lock_fd, log_fd;
	int ledger_fd, hand_fd; /* fs/ledger.h: what one server leaves to the next */
	pid_t pid; /* of the server; 0: none. Its pidfd is server.fd */
	struct life life;    /* of this server, or of the last one */
	struct row row;      /* of ends, one after another */
	uint64_t ready_ns;   /* when the server became ready */
	uint64_t ended_ns;   /* when the last server ended, CLOCK_REALTIME; 0: there was none */
	char how[80];        /* and how */
	bool hand_over;      /* SIGHUP came */
	bool replacing;      /* the server ends because a new one takes its place */
};

static void note(const struct keep *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(const struct keep *k, const char *fmt, ...)
{
	char when[21];
	va_list ap;
	format_time_s(now_real_ns(), when);
	dprintf(k->log_fd, "%s podfs: %s: ", when, k->m->path);
	va_start(ap, fmt);
	vdprintf(k->log_fd, fmt, ap);
	va_end(ap);
	dprintf(k->log_fd, "\n");
}

/* --- start --- */

static void forget_server(struct keep *k)
{
	loop_del(&k->loop, &k->server);
	close_fd(&k->server.fd);
	k->pid = 0;
}

/* Notes when and how the server ended, in words. Reaps it. */
static void reap(struct keep *k)
{
	int status = 0;
	k->ended_ns = now_real_ns();
	waitpid(k->pid, &status, 0);
	k->life.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	k->life.ms = k->life.ready ? (now_mono_ns() - k->ready_ns) / 1000000 : 0;
	forget_server(k);
	put_status(k->how, sizeof k->how, status);
}

/* Given the time to take with it what is its own and not a pod's. */
static void end_server(struct keep *k)
{
	if (!k->pid)
		return;
	struct pollfd p = { .fd = k->server.fd, .events = POLLIN };
	/* A child that has not been reaped keeps its number. */
	kill(k->pid, SIGTERM);
	if (p.fd < 0 || poll(&p, 1, END_MS) <= 0)
		kill(k->pid, SIGKILL);
	reap(k);
}

/* Up to a newline or the end of it; in pieces, as they come. */
static int read_line(struct keep *k, int fd, char *line, size_t size, struct err *e)
{
	size_t len = 0;
	uint64_t deadline = now_mono_ns() + READY_MS * 1000000ull;
	while (len < size - 1) {
		struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = k->signals.fd, .events = POLLIN } };
		uint64_t now = now_mono_ns();
		int n = now < deadline ? poll(p, ARRAY_LEN(p), (int)((deadline - now) / 1000000) + 1) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (!p[0].revents && p[1].revents)
			return err_set(e, ECANCELED, "asked to end while the server was starting");
		if (n <= 0)
			return err_set(e, ETIMEDOUT, "podfs-server was not ready after %d seconds", READY_MS / 1000);
		ssize_t got = read(fd, line + len, size - 1 - len);
		if (got <= 0)
			break;
		len += (size_t)got;
		if (memchr(line, '\n', len))
			break;
	}
	line[len] = 0;
	line[strcspn(line, "\n")] = 0;
	return 0;
}

/* "0", or why not. */
static int read_ready(struct keep *k, int fd, struct err *e)
{
	char line[512];
	int r = read_line(k, fd, line, sizeof line, e);
	k->life.hung = r == -ETIMEDOUT;
	if (r || !strcmp(line, "0"))
		return r;
	if (*line)
		return err_set(e, EIO, "%s", line);
	/* It has ended, or is just doing so. Not one that closes what it was given and stays. */
	end_server(k);
	return err_set(e, EIO, "podfs-server %s before it was ready; %s/podfs.log may say why", k->how, k->o->cfg.state);
}

static int start_server(struct keep *k, bool again, struct err *e)
{
	struct provision p = { .o = k->o, .fuse_fd = k->m->fd, .lock_fd = k->lock_fd, .log_fd = k->log_fd, .ledger_fd = k->ledger_fd,
			       .hand_fd = k->hand_fd, .again = again, .ended_ns = k->ended_ns };
	_cleanup_close_ int ready = -1;
	memcpy(p.how, k->how, sizeof p.how);
	k->life = (struct life){ 0 };
	int r = provide(&p, &ready, e);
	if (r < 0)
		return r;
	k->pid = r;
	k->server.fd = pidfd_open(k->pid, 0);
	r = k->server.fd < 0 ? err_sys(e, errno, "pidfd_open") : read_ready(k, ready, e);
	if (r)
		end_server(k);
	k->life.ready = !r;
	k->ready_ns = now_mono_ns();
	return r;
}

/* --- events --- */

static void over(struct keep *k)
{
	timer_stop(&k->loop, &k->timer);
	k->loop.stop = true;
}

/* Without a server the connection has to end: users then see ENOTCONN instead of waiting for ever. The mount stays, or they would
 * meet the folder below and fill that. */
static void give_up(struct keep *k)
{
	note(k, "the server ended too often in a row: every access is ENOTCONN until podfs is mounted there anew");
	k->state = LOST;
	close_fd(&k->m->fd);
	over(k);
}

static void serve(struct keep *k, bool again);

static void start_in(struct keep *k, unsigned ms)
{
	k->state = PAUSING;
	timer_arm(&k->loop, &k->timer, ms);
}

static void start_again(struct keep *k)
{
	int ms = k->replacing ? 0 : row_next(&k->row, &k->life);
	k->replacing = false;
	if (ms < 0)
		give_up(k);
	else
		start_in(k, (unsigned)ms);
}

static void on_server(struct watch *w, uint32_t events)
{
	struct keep *k = container_of(w, struct keep, server);
	reap(k);
	if (mount_gone(k->m) || k->state == AWAY || k->state == ENDING) {
		over(k);
		return;
	}
	if (k->replacing)
		snprintf(k->how, sizeof k->how, "was replaced");
	note(k, "podfs-server %s", k->how);
	start_again(k);
}

static void on_timer(struct timer *t)
{
	struct keep *k = container_of(t, struct keep, timer);
	if (k->state == PAUSING) {
		serve(k, true);
		return;
	}
	if (k->state == AWAY) {
		k->state = ENDING;
		pidfd_send_signal(k->server.fd, SIGTERM, NULL, 0);
		timer_arm(&k->loop, t, END_MS);
		return;
	}
	note(k, "the server does not end: it is killed");
	pidfd_send_signal(k->server.fd, SIGKILL, NULL, 0);
}

static void serve(struct keep *k, bool again)
{
	struct err e = { 0 };
	int r = mount_gone(k->m) ? -ENOTCONN : start_server(k, again, &e);
	if (!r)
		r = loop_add(&k->loop, &k->server, EPOLLIN);
	if (!r) {
		k->state = SERVING;
		k->loop.stop = k->hand_over;
	} else if (mount_gone(k->m)) {
		over(k);
	} else if (r == -ECANCELED) {
		start_in(k, 0); /* unless the signal, which is read first, says to end */
	} else {
		end_server(k);
		note(k, "the server does not start: %s", e.text);
		start_again(k);
	}
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct keep *k = container_of(w, struct keep, signals);
	struct signalfd_siginfo si;
	if (read(w->fd, &si, sizeof si) != sizeof si || k->state == ENDING)
		return;
	if (si.ssi_signo == SIGHUP) {
		k->hand_over = true;
		if (k->state == SERVING)
			k->loop.stop = true;
		if (k->state == PAUSING)
			timer_arm(&k->loop, &k->timer, 0); /* what is installed now may start */
		return;
	}
	bool idle = mount_undo(k->m);
	k->state = ENDING;
	if (!k->pid) {
		over(k);
		return;
	}
	/* A clean unmount tells the server itself. What is still open keeps the connection alive. */
	if (!idle)
		pidfd_send_signal(k->server.fd, SIGTERM, NULL, 0);
	timer_arm(&k->loop, &k->timer, END_MS);
}

/* proc(5): mountinfo is exceptional to poll when the namespace's mounts have changed; EPOLLERR comes along. */
static void on_mounts(struct watch *w, uint32_t events)
{
	struct keep *k = container_of(w, struct keep, mounts);
	if ((k->state != SERVING && k->state != PAUSING) || mount_listed(k->m))
		return;
	if (!k->pid) {
		over(k);
		return;
	}
	k->state = AWAY;
	timer_arm(&k->loop, &k->timer, AWAY_MS);
}

static int watch_mounts(struct keep *k)
{
	k->mounts.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	return k->mounts.fd < 0 ? -errno : loop_add(&k->loop, &k->mounts, EPOLLPRI);
}

static int watch_signals(struct keep *k)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	k->signals.fd = signalfd(-1, &set, SFD_CLOEXEC);
	return k->signals.fd < 0 ? -errno : loop_add(&k->loop, &k->signals, EPOLLIN);
}

static void keep_free(struct keep *k)
{
	end_server(k);
	close_fd(&k->ledger_fd);
	close_fd(&k->hand_fd);
	close_fd(&k->signals.fd);
	close_fd(&k->mounts.fd);
	loop_free(&k->loop);
	free(k);
}

static struct keep *keep_new(const struct options *o, struct mount *m, int lock_fd, int log_fd)
{
	struct keep *k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	*k = (struct keep){ .o = o, .m = m, .lock_fd = lock_fd, .log_fd = log_fd, .ledger_fd = -1, .hand_fd = -1 };
	k->server = (struct watch){ .fd = -1, .fn = on_server };
	k->signals = (struct watch){ .fd = -1, .fn = on_signal };
	k->mounts = (struct watch){ .fd = -1, .fn = on_mounts };
	k->timer.fn = on_timer;
	return k;
}

static int watch_all(struct keep *k)
{
	int r = loop_init(&k->loop);
	if (!r)
		r = watch_signals(k);
	return r ? r : watch_mounts(k);
}

int keep_start(struct keep **out, const struct options *o, struct mount *m, int lock_fd, int log_fd, struct err *e)
{
	struct keep *k = keep_new(o, m, lock_fd, log_fd);
	if (!k)
		return -ENOMEM;
	int r = watch_all(k);
	if (!r)
		r = ledger_make(&k->ledger_fd, &k->hand_fd);
	if (!r)
		r = start_server(k, false, e);
	if (!r)
		r = loop_add(&k->loop, &k->server, EPOLLIN);
	if (r)
		keep_free(k);
	else
		*out = k;
	return r;
}

int keep_resume(struct keep **out, const struct options *o, struct mount *m, const struct again *held, struct err *e)
{
	struct keep *k = keep_new(o, m, held->lock_fd, held->log_fd);
	if (!k)
		return err_set(e, ENOMEM, "out of memory");
	k->ledger_fd = held->ledger_fd;
	k->hand_fd = held->hand_fd;
	k->pid = held->server;
	k->server.fd = pidfd_open(k->pid, 0);
	k->replacing = true;
	int r = k->server.fd < 0 ? -errno : watch_all(k);
	if (!r)
		r = loop_add(&k->loop, &k->server, EPOLLIN);
	if (r) {
		keep_free(k);
		return err_sys(e, -r, "the server that was there");
	}
	kill(k->pid, SIGTERM);
	*out = k;
	return 0;
}

void keep_note(const struct keep *k, const char *words)
{
	note(k, "%s", words);
}

int keep_run(struct keep *k, struct again *held)
{
	int r = loop_run(&k->loop);
	if (!r && k->hand_over && k->state == SERVING) {
		k->hand_over = k->loop.stop = false;
		*held = (struct again){ k->m->fd, k->lock_fd, k->log_fd, k->ledger_fd, k->hand_fd, k->pid, k->m->id };
		snprintf(held->dev, sizeof held->dev, "%s", k->m->dev);
		held->path = k->m->path;
		return KEEP_HAND_OVER;
	}
	if (k->state == LOST)
		r = -EIO;
	keep_free(k);
	return r;
}
