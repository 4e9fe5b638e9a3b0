/* The folders of an instance and the claim on its state: see claim.h. */
#include "tools/claim.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>

#define ENDING_S 10 /* how long an instance that was unmounted may take to end */

static bool below(const char *path, const char *top)
{
	size_t n = strlen(top);
	return !strncmp(path, top, n) && (path[n] == '/' || !path[n] || top[n - 1] == '/');
}

/* 0700: images hold setuid programs, records hold secrets. A folder that is there keeps its mode, but
 * nobody else may be able to replace what is in it. */
static int make_folder(const char *what, const char *path, const struct mount *m, struct err *e)
{
	int r = mkdir_all(path, 0700);
	if (r)
		return err_sys(e, -r, "%s folder %s", what, path);
	_cleanup_free_ char *full = realpath(path, NULL);
	struct stat st;
	if (!full || stat(full, &st))
		return err_sys(e, errno, "%s folder %s", what, path);
	if (!S_ISDIR(st.st_mode))
		return err_sys(e, ENOTDIR, "%s folder %s", what, path);
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return err_set(e, EPERM, "%s folder %s: others than root can write there", what, path);
	if (below(full, m->path))
		return err_set(e, EINVAL, "%s folder %s lies below the mount point", what, path);
	return 0;
}

static void who_holds(int fd, char *who, size_t size, uint64_t *mount)
{
	char text[512] = "";
	int at = 0;
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	*mount = 0;
	if (sscanf(text, "%*d %" SCNu64 " %n", mount, &at) == 1 && at)
		snprintf(who, size, "the podfs that is mounted at %s", text + at);
	else
		snprintf(who, size, "another podfs");
}

static void on_alarm(int sig)
{
}

/* flock(2) with a deadline: the alarm repeats, so that it also ends a wait that began just after it. */
static int lock_within(int fd, int seconds)
{
	struct sigaction act = { .sa_handler = on_alarm }, before;
	struct itimerval on = { { 0, 100000 }, { seconds, 0 } }, off = { 0 };
	sigaction(SIGALRM, &act, &before);
	setitimer(ITIMER_REAL, &on, NULL);
	int r = flock(fd, LOCK_EX) ? -errno : 0;
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &before, NULL);
	return r;
}

static int lock_state(int fd, const char *state, struct err *e)
{
	char who[480];
	uint64_t mount;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return err_sys(e, errno, "%s/lock", state);
	who_holds(fd, who, sizeof who, &mount);
	if (!mount_is_ours(mount) && !lock_within(fd, ENDING_S))
		return 0;
	return err_set(e, EBUSY, "state folder %s is in use by %s", state, who);
}

int claim_take(const struct config *cfg, const struct mount *m, struct err *e)
{
	int r = make_folder("state", cfg->state, m, e);
	if (!r)
		r = make_folder("run", cfg->run, m, e);
	if (r)
		return r;
	_cleanup_close_ int dir = open(cfg->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "%s/lock", cfg->state);
	r = lock_state(fd, cfg->state, e);
	return r ? r : take_fd(&fd);
}

int claim_sign(int lock_fd, const struct mount *m)
{
	char text[512];
	int n = snprintf(text, sizeof text, "%d %" PRIu64 " %s\n", getpid(), m->id, m->path);
	if (ftruncate(lock_fd, 0) || pwrite(lock_fd, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, 0) < 0)
		return -errno;
	return 0;
}
