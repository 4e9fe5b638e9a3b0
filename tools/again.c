/* The keeper's program replaced: see again.h. */
#include "tools/again.h"
#include "tools/provide.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define HELD "PODFS_HELD"   /* in the environment of the new program */
#define CHECK "PODFS_CHECK" /* of one that only tries */
#define CHECK_MS 10000     /* what that may take */

static char **args;
static char program[PATH_MAX], cwd[PATH_MAX];

void again_note(char **argv)
{
	args = argv;
	/* By name: what is installed there later is the new program. */
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	program[n > 0 ? n : 0] = 0;
	if (!getcwd(cwd, sizeof cwd))
		strcpy(cwd, "/");
}

bool again_is_check(void)
{
	return getenv(CHECK);
}

/* Whether it ended with 0, and soon: the server that is there has no keeper meanwhile. */
static int wait_for(pid_t pid, struct err *e)
{
	char how[80];
	int status = 0;
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	bool ended = p.fd >= 0 && poll(&p, 1, CHECK_MS) > 0;
	close_fd(&p.fd);
	if (!ended)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return err_set(e, ETIMEDOUT, "%s does not take over: it says nothing for %d seconds", program, CHECK_MS / 1000);
	put_status(how, sizeof how, status);
	return status ? err_set(e, EINVAL, "%s does not take over: it %s", program, how) : 0;
}

/* New programs that do not run, or a config that has become wrong, must not cost the mount. */
static int try_it(const struct again *a, struct err *e)
{
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (!pid) {
		dup2(a->log_fd, STDERR_FILENO);
		if (!chdir(a->cwd) && !setenv(CHECK, "1", 1))
			execv(program, args);
		_exit(127);
	}
	return wait_for(pid, e);
}

static void inherit(const struct again *a, bool on)
{
	int fds[] = { a->fuse_fd, a->lock_fd, a->log_fd, a->ledger_fd, a->hand_fd };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fcntl(fds[i], F_SETFD, on ? 0 : FD_CLOEXEC);
}

int again_exec(const struct again *a, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct again here = *a;
	here.cwd = cwd;
	int r = try_it(&here, e);
	if (r)
		return r;
	buf_printf(&text, "%d %d %d %d %d %d %" PRIu64 " %s %zu %s%s", a->fuse_fd, a->lock_fd, a->log_fd, a->ledger_fd, a->hand_fd,
		   (int)a->server, a->mount_id, a->dev, strlen(cwd), cwd, a->path);
	if (buf_status(&text) || setenv(HELD, buf_str(&text), 1))
		return err_set(e, ENOMEM, "out of memory");
	inherit(a, true);
	execv(program, args);
	r = err_sys(e, errno, "%s", program);
	inherit(a, false);
	unsetenv(HELD);
	return r;
}

bool again_read(struct again *a)
{
	const char *text = getenv(HELD);
	int at = 0;
	size_t n;
	*a = (struct again){ .fuse_fd = -1 };
	if (!text || sscanf(text, "%d %d %d %d %d %d %" SCNu64 " %23s %zu %n", &a->fuse_fd, &a->lock_fd, &a->log_fd, &a->ledger_fd,
			    &a->hand_fd, &a->server, &a->mount_id, a->dev, &n, &at) != 9 || n > strlen(text + at))
		return false;
	a->cwd = strndup(text + at, n);
	a->path = strdup(text + at + n);
	unsetenv(HELD);
	inherit(a, false);
	if (a->cwd && chdir(a->cwd))
		return a->path; /* it is gone: relative names in the command line fail, as they should */
	return a->cwd && a->path;
}

void again_free(struct again *a)
{
	free(take_ptr(a->cwd));
	free(take_ptr(a->path));
}
