/* Small file, tree and time helpers: see util.h. */
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int read_file_at(int dirfd, const char *path, size_t max, struct buf *b)
{
	/* Nobody waits for the other end of what turns out to be a FIFO. */
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t start = b->len;
	char chunk[4096];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = n < 0 ? -errno : buf_status(b);
			if (r)
				b->len = start;
			return r;
		}
		if (b->len - start + (size_t)n > max) {
			b->len = start;
			return -EFBIG;
		}
		buf_put(b, chunk, (size_t)n);
	}
}

int write_file(const char *path, const char *data, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, data, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int replace_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
	char tmp[NAME_MAX + 1];
	if (snprintf(tmp, sizeof tmp, ".%s.tmp", name) >= (int)sizeof tmp)
		return -ENAMETOOLONG;
	_cleanup_close_ int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, data, len);
	if (!r && fsync(fd))
		r = -errno;
	if (!r && renameat(dirfd, tmp, dirfd, name))
		r = -errno;
	if (r)
		unlinkat(dirfd, tmp, 0);
	return r;
}

int mkdir_all(const char *path, mode_t mode)
{
	char p[PATH_MAX];
	size_t n = strlen(path);
	if (!n || n >= sizeof p)
		return n ? -ENAMETOOLONG : -ENOENT;
	memcpy(p, path, n + 1);
	for (char *s = p + 1;; s++) {
		if (*s && *s != '/')
			continue;
		char c = *s;
		*s = 0;
		if (mkdir(p, mode) && errno != EEXIST)
			return -errno;
		*s = c;
		if (!c)
			return 0;
	}
}

/* A folder at or below `at`, on the same mount: what somebody has mounted in there, be it from this very file system, is not
 * ours to empty. An absolute path may lie anywhere. */
static int open_inside(int at, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = *name == '/' ? 0 : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	int fd = (int)syscall(SYS_openat2, at, name, &how, sizeof how);
	return fd >= 0 ? fd : errno == EXDEV ? -EBUSY : -errno;
}

/* Removes what one level holds; fd is consumed. The depth of the recursion is bounded by
 * the path depth that a container could make with relative mkdir: so descend by fd, and
 * move what lies deeper than `deep` levels up to `top` instead of recursing into it. */
static int empty_dir(int fd, int top, int deep)
{
	DIR *d = fdopendir(fd);
	if (!d) {
		int r = -errno;
		close(fd);
		return r;
	}
	int result = 0;
	struct dirent *de;
	while ((de = readdir(d))) {
		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (de->d_type != DT_DIR && de->d_type != DT_UNKNOWN) {
			if (unlinkat(fd, de->d_name, 0) && errno != ENOENT)
				result = -errno;
			continue;
		}
		int sub = open_inside(fd, de->d_name);
		if (sub == -EBUSY) {
			result = sub;
			continue;
		}
		if (sub < 0) {
			if (unlinkat(fd, de->d_name, 0) && errno != ENOENT)
				result = -errno;
			continue;
		}
		struct stat st;
		if (deep <= 0 && !fstat(sub, &st)) {
			char aside[64];
			snprintf(aside, sizeof aside, ".deep-%llu", (unsigned long long)st.st_ino);
			close(sub);
			/* What has that name already is gone in the next round. */
			if (renameat(fd, de->d_name, top, aside))
				result = errno == ENOTDIR || errno == EEXIST ? -ENOTEMPTY : -errno;
			else
				rewinddir(d);
			continue;
		}
		int r = empty_dir(sub, top, deep - 1);
		if (r)
			result = r;
		if (unlinkat(fd, de->d_name, AT_REMOVEDIR) && errno != ENOENT && !result)
			result = -errno;
	}
	closedir(d);
	return result;
}

int remove_tree_at(int dirfd, const char *name)
{
	if (!unlinkat(dirfd, name, 0) || errno == ENOENT)
		return 0;
	/* A second and third round takes what the first moved up to the top, or what another remover of the same tree or a
	 * mount that is just going away left behind the back of the first. */
	for (int round = 0;; round++) {
		_cleanup_close_ int top = open_inside(dirfd, name);
		if (top < 0)
			return top == -ENOENT ? 0 : top;
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		int r = empty_dir(fd, top, 64);
		if (!unlinkat(dirfd, name, AT_REMOVEDIR) || errno == ENOENT)
			return 0;
		int why = r ? -r : errno;
		if (why != ENOTEMPTY || round > 100000)
			return -why;
	}
}

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t now_mono_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

uint64_t now_real_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

void format_time_s(uint64_t real_ns, char out[21])
{
	time_t s = (time_t)(real_ns / 1000000000u);
	struct tm tm;
	gmtime_r(&s, &tm);
	strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void format_time(uint64_t real_ns, char out[RFC3339_LEN + 1])
{
	format_time_s(real_ns, out);
	snprintf(out + 19, RFC3339_LEN + 1 - 19, ".%09uZ", (unsigned)(real_ns % 1000000000u));
}

void put_size(struct buf *out, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double n = (double)bytes / 1024;
	size_t u = 0;
	if (bytes < 1024) {
		buf_printf(out, "%u", (unsigned)bytes);
		return;
	}
	for (; n >= 999.5 && u + 1 < strlen(units); u++)
		n /= 1024;
	buf_printf(out, "%.*f%c", n < 99.95, n, units[u]);
}

double seconds_until(uint64_t real_ns)
{
	uint64_t now = now_real_ns();
	return real_ns > now ? (double)(real_ns - now) / 1e9 : 0;
}

/* An end signals the children first, then shows in getppid(2) and the pidfd, both under the kernel's tasklist_lock, which prctl(2)
 * does not take (6.1): one in between would be missed by both. waitid(2) for any child takes that lock. */
int set_death_signal(int sig)
{
	siginfo_t none;
	if (prctl(PR_SET_PDEATHSIG, sig))
		return -errno;
	waitid(P_ALL, 0, &none, WEXITED | WNOHANG | WNOWAIT);
	return 0;
}

bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	for (const char *p = path ? path : PATH_DEFAULT; *p; p += strspn(p, ":")) {
		char name[PATH_MAX];
		struct stat st;
		size_t n = strcspn(p, ":");
		int len = snprintf(name, sizeof name, "%.*s/%s", (int)n, p, program);
		if (*p == '/' && len < (int)sizeof name && !stat(name, &st) && S_ISREG(st.st_mode) && !access(name, X_OK))
			return true;
		p += n;
	}
	return false;
}
