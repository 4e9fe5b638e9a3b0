/* Who lives: see alive.h. */
#include "runtime/base/alive.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#define MOMENT_MS 1000
#define PLACE_MASK 0x3fffffffffffffffull /* of off_t, and room behind it */

int alive_open(int state_fd)
{
	int fd = openat(state_fd, "alive", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* FNV-1a */
uint64_t alive_place(const char *who)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (; *who; who++)
		h = (h ^ (unsigned char)*who) * 0x100000001b3ull;
	return h & PLACE_MASK;
}

static struct flock range(uint64_t from, uint64_t to)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)from, .l_len = (off_t)(to - from + 1) };
}

/* The first that the kernel comes upon; 0: none. */
static pid_t find(int fd, uint64_t from, uint64_t to, uint64_t *at)
{
	struct flock l = range(from, to);
	if (fcntl(fd, F_GETLK, &l) || l.l_type == F_UNLCK)
		return 0;
	*at = (uint64_t)l.l_start;
	return l.l_pid;
}

pid_t alive_pid(int fd, const char *who)
{
	uint64_t at = alive_place(who);
	return find(fd, at, at, &at);
}

static int lock(int fd, const char *who)
{
	uint64_t at = alive_place(who);
	struct flock l = range(at, at);
	if (!fcntl(fd, F_SETLK, &l))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static bool has_ended(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	return pidfd < 0 || poll(&end, 1, 0) > 0;
}

/* What shared descriptors with one that was killed (vfork(2)) keeps its locks for a moment. */
int alive_take(int fd, const char *who)
{
	int r;
	for (int i = 0; (r = lock(fd, who)) == -EAGAIN && i < MOMENT_MS && has_ended(alive_pid(fd, who)); i++)
		poll(NULL, 0, 1);
	return r;
}

static void each(int fd, uint64_t from, uint64_t to, void (*fn)(void *arg, uint64_t place, pid_t pid), void *arg)
{
	uint64_t at;
	pid_t pid = find(fd, from, to, &at);
	if (!pid)
		return;
	fn(arg, at, pid);
	if (at > from)
		each(fd, from, at - 1, fn, arg);
	if (at < to)
		each(fd, at + 1, to, fn, arg);
}

void alive_each(int fd, void (*fn)(void *arg, uint64_t place, pid_t pid), void *arg)
{
	each(fd, 0, PLACE_MASK, fn, arg);
}

bool alive_signal(int fd, const char *who, int sig)
{
	pid_t pid = alive_pid(fd, who);
	_cleanup_close_ int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	return pidfd >= 0 && alive_pid(fd, who) == pid && !syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}
