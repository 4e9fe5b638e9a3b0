/* What a server is provided with: see provide.h. */
#include "tools/provide.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define _cleanup_strs_ __attribute__((cleanup(strs_free)))

/* --- its program and command line --- */

/* Named by PODFS_LIBEXEC, beside this one in a build folder, or installed. */
static int find_server(char path[PATH_MAX], struct err *e)
{
	const char *env = getenv("PODFS_LIBEXEC");
	if (env && *env) {
		snprintf(path, PATH_MAX, "%s/podfs-server", env);
		return access(path, X_OK) ? err_sys(e, errno, "%s", path) : 0;
	}
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	static const char *const places[] = { "/../fs/podfs-server", "/../libexec/podfs/podfs-server" };
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (snprintf(path, PATH_MAX, "%s%s", self, places[i]) < PATH_MAX && !access(path, X_OK))
			return 0;
	snprintf(path, PATH_MAX, "%s/podfs-server", PODFS_LIBEXECDIR);
	return access(path, X_OK) ? err_sys(e, errno, "%s", path) : 0;
}

static int put_number(struct strs *argv, const char *option, int n)
{
	char text[12];
	int r = strs_add(argv, option, strlen(option));
	return r ? r : strs_add(argv, text, (size_t)snprintf(text, sizeof text, "%d", n));
}

static int put_text(struct strs *argv, const char *option, const char *text)
{
	int r = strs_add(argv, option, strlen(option));
	return r || !text ? r : strs_add(argv, text, strlen(text));
}

static int put_end(struct strs *argv, const struct provision *p)
{
	char at[24];
	snprintf(at, sizeof at, "%llu", (unsigned long long)p->ended_ns);
	int r = put_text(argv, "--ended", at);
	return r ? r : put_text(argv, "--how", p->how);
}

/* As podfs itself was given them. */
static int put_settings(struct strs *argv, const struct options *o)
{
	int r = o->config ? put_text(argv, "--config", o->config) : 0;
	for (size_t i = 0; !r && i < o->set.n; i++)
		r = put_text(argv, "-o", o->set.v[i]);
	return r;
}

static int make_argv(const struct provision *p, int ready, struct strs *argv)
{
	int r = put_text(argv, "podfs-server", NULL);
	if (!r)
		r = put_number(argv, "--fuse-fd", p->fuse_fd);
	if (!r)
		r = put_number(argv, "--ready-fd", ready);
	if (!r)
		r = put_number(argv, "--lock-fd", p->lock_fd);
	if (!r)
		r = put_number(argv, "--ledger-fd", p->ledger_fd);
	if (!r)
		r = put_number(argv, "--hand-fd", p->hand_fd);
	if (!r && p->again)
		r = put_text(argv, "--again", NULL);
	if (!r && p->again && p->ended_ns)
		r = put_end(argv, p);
	return r ? r : put_settings(argv, p->o);
}

/* --- in the child --- */

/* dup2 clears CLOEXEC only when the numbers differ. */
static void hand_down(int fd, int as)
{
	if (fd == as)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, as);
}

/* Descriptors keep their numbers: only CLOEXEC is cleared. */
__attribute__((noreturn)) static void exec_server(const struct provision *p, const char *path, int ready, char *const *argv)
{
	int fds[] = { p->fuse_fd, ready, p->lock_fd, p->ledger_fd, p->hand_fd };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fcntl(fds[i], F_SETFD, 0);
	hand_down(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
	hand_down(p->log_fd, STDOUT_FILENO);
	hand_down(p->log_fd, STDERR_FILENO);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* ^C on a keeper in the foreground is for the keeper, not for pods. */
	setsid();
	if (!chdir("/"))
		execv(path, argv);
	dprintf(ready, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

/* --- both --- */

int provide(const struct provision *p, int *ready, struct err *e)
{
	char path[PATH_MAX];
	int pipefd[2];
	_cleanup_strs_ struct strs argv = { 0 };
	int r = find_server(path, e);
	if (r)
		return r;
	if (pipe2(pipefd, O_CLOEXEC))
		return err_sys(e, errno, "pipe");
	_cleanup_close_ int ours = pipefd[0];
	_cleanup_close_ int theirs = pipefd[1];
	r = make_argv(p, theirs, &argv);
	if (r)
		return err_set(e, -r, "out of memory");
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (!pid)
		exec_server(p, path, theirs, argv.v);
	*ready = take_fd(&ours);
	return pid;
}

int provide_check(const struct options *o, struct err *e)
{
	char path[PATH_MAX];
	_cleanup_strs_ struct strs argv = { 0 };
	int r = find_server(path, e);
	if (r)
		return r;
	r = put_text(&argv, "podfs-server", "--check");
	if (!r)
		r = put_settings(&argv, o);
	if (r)
		return err_set(e, -r, "out of memory");
	execv(path, argv.v);
	return err_sys(e, errno, "%s", path);
}

int ledger_make(int *memfd, int *hand)
{
	int fds[2];
	char name[32];
	*memfd = memfd_create("podfs-ledger", MFD_CLOEXEC);
	if (*memfd < 0 || pipe2(fds, O_CLOEXEC))
		return -errno;
	/* Both ends as one descriptor, which never is at its end. */
	snprintf(name, sizeof name, "/proc/self/fd/%d", fds[0]);
	*hand = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r = *hand < 0 ? -errno : 0;
	close(fds[0]);
	close(fds[1]);
	return r;
}

void put_status(char *out, size_t size, int status)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}
