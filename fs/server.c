/* podfs-server: the program.
 *
 * Reads its command line and the config, opens the engine, takes over the mounted /dev/fuse that the keeper gives it, says
 * so, and runs the loop until the file system is unmounted or SIGTERM comes. Opens no path that a user named.
 *
 *   podfs-server --fuse-fd N --ready-fd N [--lock-fd N] [--ledger-fd N --hand-fd N] [--again] [--ended NS --how TEXT] [--config FILE] [-o KEY=VALUE]…
 *   podfs-server --check [--config FILE] [-o KEY=VALUE]…
 *
 * --check: only whether it would start with these settings; opens nothing of the state. --ended, --how: when and how the server before this one ended. --ready-fd gets one line: `0`, or why not. --lock-fd is only held: while this process lives the state directory is taken.
 */
#include "fs/fs.h"
#include "fs/ledger.h"
#include "fs/shell.h"
#include "fs/wait.h"
#include "runtime/base/users.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#define SETTLE_MS 2000 /* in all */
#define SILENCE_MS 300 /* without an answer of any */
#define SPIN_US 50 /* about what being woken on another processor costs */

struct server {
	struct fs fs;
	struct loop loop;
	struct config cfg;
	struct watch signals;
	int fuse_fd, ready_fd, ledger_fd, hand_fd;
	bool again, check;
	struct predecessor last;
};

/* --- command line and config --- */

static int set_option(struct config *cfg, char *text, struct err *e)
{
	char *eq = strchr(text, '=');
	if (!eq)
		return err_set(e, EINVAL, "-o %s: not KEY=VALUE", text);
	*eq = 0;
	int r = config_set(cfg, text, eq + 1, e);
	*eq = '=';
	return r;
}

/* The file first, then what was given with -o, wherever it stands. */
static int read_config(struct server *s, const char *file, char **options, size_t n, struct err *e)
{
	int r = config_defaults(&s->cfg);
	if (r)
		return err_set(e, ENOMEM, "out of memory");
	if (file)
		r = config_read_file(&s->cfg, file, e);
	for (size_t i = 0; !r && i < n; i++)
		r = set_option(&s->cfg, options[i], e);
	return r ? r : config_finish(&s->cfg, e);
}

static int take_descriptor(const char *number)
{
	int fd = atoi(number);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static int read_argv(struct server *s, int argc, char **argv, struct err *e)
{
	static const struct option longs[] = {
		{ "fuse-fd", required_argument, NULL, 'f' }, { "ready-fd", required_argument, NULL, 'r' },
		{ "lock-fd", required_argument, NULL, 'l' }, { "config", required_argument, NULL, 'c' },
		{ "again", no_argument, NULL, 'a' },         { "ended", required_argument, NULL, 'e' },
		{ "how", required_argument, NULL, 'h' },     { "ledger-fd", required_argument, NULL, 'L' },
		{ "hand-fd", required_argument, NULL, 'H' }, { "check", no_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	_cleanup_free_ char **options = calloc((size_t)argc + 1, sizeof *options);
	const char *file = NULL;
	size_t n = 0;
	int c;
	if (!options)
		return err_set(e, ENOMEM, "out of memory");
	while ((c = getopt_long(argc, argv, "o:", longs, NULL)) != -1) {
		switch (c) {
		case 'f': s->fuse_fd = atoi(optarg); break;
		case 'r': s->ready_fd = atoi(optarg); break;
		case 'l': take_descriptor(optarg); break;
		case 'L': s->ledger_fd = take_descriptor(optarg); break;
		case 'H': s->hand_fd = take_descriptor(optarg); break;
		case 'c': file = optarg; break;
		case 'a': s->again = true; break;
		case 'C': s->check = true; break;
		case 'e': s->last.ended_ns = strtoull(optarg, NULL, 10); break;
		case 'h': s->last.how = optarg; break;
		case 'o': options[n++] = optarg; break;
		default: return err_set(e, EINVAL, "%s: unknown argument", argv[optind - 1]);
		}
	}
	if (s->fuse_fd < 3 && !s->check)
		return err_set(e, EINVAL, "podfs-server is started by podfs(8)");
	return read_config(s, file, options, n, e);
}

/* --- users --- */

static int read_users(struct server *s, struct err *e)
{
	_cleanup_free_ char *list = strdup(s->cfg.users ? s->cfg.users : "");
	char *save = NULL;
	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	s->fs.users = calloc(strlen(list) / 2 + 1, sizeof(uid_t));
	if (!s->fs.users)
		return err_set(e, ENOMEM, "out of memory");
	for (char *name = strtok_r(list, " \t", &save); name; name = strtok_r(NULL, " \t", &save)) {
		uid_t uid = user_find(name);
		if (uid == (uid_t)-1)
			return err_set(e, EINVAL, "users: there is no user %s", name);
		s->fs.users[s->fs.nusers++] = uid;
	}
	return 0;
}

/* --- life --- */

static void on_signal(struct watch *w, uint32_t events UNUSED)
{
	struct server *s = container_of(w, struct server, signals);
	struct signalfd_siginfo si;
	if (read(w->fd, &si, sizeof si) == sizeof si)
		s->loop.stop = true;
}

static int watch_signals(struct server *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	s->signals = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal };
	return s->signals.fd < 0 ? -errno : loop_add(&s->loop, &s->signals, EPOLLIN);
}

/* A pod takes a connection and a container's log some files. */
static void raise_limits(void)
{
	struct rlimit l;
	if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* Before anything is shown, the living pods tell their states, so that the tree is as it was. One that does not answer
 * (stopped, in D) delays this for a moment only, and is shown as it was known last. */
static void settle(struct server *s)
{
	uint64_t now = now_mono_ns(), until = now + SETTLE_MS * 1000000ull, heard = now;
	unsigned left = engine_unsettled(s->fs.en);
	while (left && now < until && now - heard < SILENCE_MS * 1000000ull) {
		loop_once(&s->loop, 50);
		now = now_mono_ns();
		if (engine_unsettled(s->fs.en) != left)
			heard = now;
		left = engine_unsettled(s->fs.en);
	}
	engine_assume(s->fs.en);
}

static int begin(struct server *s, struct err *e)
{
	umask(0);
	if (chdir("/"))
		return err_sys(e, errno, "/");
	raise_limits();
	int r = loop_init(&s->loop);
	if (!r)
		r = watch_signals(s);
	if (r)
		return err_sys(e, -r, "event loop");
	s->loop.spin_us = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? SPIN_US : 0;
	s->fs.loop = &s->loop;
	s->fs.cfg = &s->cfg;
	s->fs.started_ns = now_real_ns();
	s->fs.nonce = (uint16_t)(s->fs.started_ns >> 20); /* another server's may still be open */
	r = engine_open(&s->loop, &s->cfg, &s->last, &s->fs.en, e);
	if (r)
		return r;
	settle(s);
	if (s->ledger_fd >= 0 && s->hand_fd >= 0)
		s->fs.ledger = ledger_open(s->ledger_fd, s->hand_fd);
	shell_restore(&s->fs);
	wait_init(&s->fs);
	return fuse_open(&s->fs, &s->loop, s->fuse_fd, s->again, &s->fs.fuse, e);
}

static void tell_ready(struct server *s, int r, const struct err *e)
{
	if (s->ready_fd < 0)
		return;
	if (r)
		dprintf(s->ready_fd, "%s\n", *e->text ? e->text : strerror(-r));
	else
		dprintf(s->ready_fd, "0\n");
	close_fd(&s->ready_fd);
}

int main(int argc, char **argv)
{
	static struct server s = { .fuse_fd = -1, .ready_fd = -1, .ledger_fd = -1, .hand_fd = -1, .signals.fd = -1 };
	struct err e = { 0 };
	int r = read_argv(&s, argc, argv, &e);
	if (!r)
		r = read_users(&s, &e);
	if (!r && !s.check)
		r = begin(&s, &e);
	tell_ready(&s, r, &e);
	if (r) {
		fprintf(stderr, "podfs-server: %s\n", *e.text ? e.text : strerror(-r));
		return 1;
	}
	if (s.check)
		return 0;
	r = loop_run(&s.loop);
	engine_leaves(s.fs.en);
	fuse_close(s.fs.fuse);
	engine_close(s.fs.en);
	ledger_close(s.fs.ledger);
	return r ? 1 : 0;
}
