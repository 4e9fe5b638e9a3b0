/* The dnsmasq process: see names.h.
 *
 * It is started as an ordinary user in a mount namespace of its own, so that it can read RUN/names wherever that lies and whoever
 * may enter it; and it is killed with us, since the next podfs-net starts one of its own.
 */
#include "runtime/net/names.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMES_AT "/mnt" /* in its mount namespace */
#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_MS 60000
#define STEADY_NS (60 * 1000000000ull) /* ran so long: the next failure is a first one again */
#define NOT_PREPARED 125

static const char *const programs[] = { "/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq", "/sbin/dnsmasq" };

static struct {
	bool told_missing;
	pid_t pid;
	struct watch end, says; /* its pidfd, its stderr */
	struct timer start;
	uint64_t started_ns;
	unsigned backoff_ms;
	char last[256]; /* the last line it said */
} dns = { .end.fd = -1, .says.fd = -1 };

static const char *find_program(void)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!access(programs[i], X_OK))
			return programs[i];
	return NULL;
}

bool names_served(void)
{
	return find_program();
}

/* --- in the child --- */

static int keep_only_port_53(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };
	caps[0].effective = caps[0].permitted = caps[0].inheritable = 1u << CAP_NET_BIND_SERVICE;
	if (syscall(SYS_capset, &head, caps))
		return -errno;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) ? -errno : 0;
}

/* Changing the user would clear the parent-death signal, so that comes last; who had no parent by then is killed by himself. */
static int become(const struct passwd *user, pid_t parent)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) || setgid(user->pw_gid) || setuid(user->pw_uid))
		return -errno;
	int r = keep_only_port_53();
	if (r || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return r ? r : -errno;
	return getppid() == parent && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? 0 : -ESRCH;
}

/* By its path: what was opened before belongs to the other mount namespace and cannot be bound in this one. */
static int see_names(const char *run)
{
	char names[PATH_MAX];
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return -errno;
	if (snprintf(names, sizeof names, "%s/names", run) >= (int)sizeof names)
		return -ENAMETOOLONG;
	return mount(names, NAMES_AT, NULL, MS_BIND, NULL) ? -errno : 0;
}

_Noreturn static void run_child(const struct net *n, const char *program, const struct passwd *user, int says, pid_t parent)
{
	char interface[32];
	snprintf(interface, sizeof interface, "--interface=%s", n->bridge);
	/* A name without a dot is a pod's or nobody's: the host's servers are not asked for it. */
	const char *const argv[] = {
		"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--log-facility=-", interface,
		"--except-interface=lo", "--bind-dynamic", "--no-hosts", "--hostsdir=" NAMES_AT, "--domain-needed",
		NULL,
	};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* libnftables' socket is not */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(says, 2) < 0 ? -errno : see_names(n->run);
	if (!r)
		r = become(user, parent);
	if (!r)
		execv(program, (char *const *)(uintptr_t)argv);
	dprintf(2, "%s: %s\n", program, strerror(r ? -r : errno));
	_exit(NOT_PREPARED);
}

/* --- in podfs-net --- */

static void try_again(struct net *n)
{
	dns.backoff_ms = !dns.backoff_ms ? BACKOFF_BASE_MS : 2 * dns.backoff_ms > BACKOFF_CAP_MS ? BACKOFF_CAP_MS : 2 * dns.backoff_ms;
	timer_arm(&n->loop, &dns.start, dns.backoff_ms);
}

static void close_watch(struct net *n, struct watch *w)
{
	loop_del(&n->loop, w);
	close_fd(&w->fd);
}

static void hear(void)
{
	char chunk[1024];
	ssize_t len;
	while ((len = read(dns.says.fd, chunk, sizeof chunk - 1)) > 0) {
		chunk[len] = 0;
		if (len && chunk[len - 1] == '\n')
			chunk[len - 1] = 0;
		const char *line = strrchr(chunk, '\n');
		snprintf(dns.last, sizeof dns.last, "%s", line ? line + 1 : chunk);
	}
}

static void on_says(struct watch *w, uint32_t events)
{
	hear();
	if (events & EPOLLHUP)
		close_watch(&net_self, w);
}

/* Reaps it. */
static void bury(struct net *n)
{
	waitpid(dns.pid, NULL, 0);
	dns.pid = 0;
	close_watch(n, &dns.end);
	if (dns.says.fd >= 0) {
		hear();
		close_watch(n, &dns.says);
	}
}

static void on_end(struct watch *w UNUSED, uint32_t events UNUSED)
{
	struct net *n = &net_self;
	bury(n);
	if (now_mono_ns() - dns.started_ns > STEADY_NS)
		dns.backoff_ms = 0;
	if (!dns.backoff_ms)
		server_event(n, N_EVENT, NULL, "dnsmasq has ended, pods do not find each other by name until it runs again: %s", dns.last);
	try_again(n);
}

static int watch_child(struct net *n, int says)
{
	dns.started_ns = now_mono_ns();
	dns.end = (struct watch){ .fd = (int)syscall(SYS_pidfd_open, dns.pid, 0), .fn = on_end };
	dns.says = (struct watch){ .fd = says, .fn = on_says };
	int r = dns.end.fd < 0 ? -errno : loop_add(&n->loop, &dns.end, EPOLLIN);
	return r ? r : loop_add(&n->loop, &dns.says, EPOLLIN);
}

static int start(struct net *n, const char *program)
{
	const struct passwd *user = getpwnam("dnsmasq");
	if (!user)
		user = getpwnam("nobody");
	int says[2];
	if (!user || pipe2(says, O_CLOEXEC | O_NONBLOCK))
		return user ? -errno : -ENOENT;
	pid_t parent = getpid();
	dns.pid = fork();
	if (!dns.pid)
		run_child(n, program, user, says[1], parent);
	close(says[1]);
	if (dns.pid > 0)
		return watch_child(n, says[0]);
	close(says[0]);
	dns.pid = 0;
	return -errno;
}

static void on_start(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	const char *program = find_program();
	if (!program && !dns.told_missing)
		server_event(n, N_EVENT, NULL, "dnsmasq is not installed (package dnsmasq-base): pods do not find each other by name");
	dns.told_missing = !program;
	if (program && start(n, program))
		try_again(n);
}

void names_start_later(struct net *n)
{
	dns.start.fn = on_start;
	if (!dns.pid && !dns.start.at_ns)
		timer_arm(&n->loop, &dns.start, 0);
}

void dnsmasq_stop(struct net *n)
{
	timer_stop(&n->loop, &dns.start);
	if (dns.pid) {
		kill(dns.pid, SIGKILL);
		bury(n);
	}
	dns.backoff_ms = 0;
}
