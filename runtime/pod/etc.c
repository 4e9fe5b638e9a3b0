/* STATE/pods/UID/etc: the files that containers have mounted at /etc.
 *
 * Owns them. The texts are the server's, and are kept only while they can't be written. Runs in podfs-pod.
 *
 * Written in place, because running containers have these inodes mounted. A container may write to them too, and hold
 * leases on them: so an opening must not wait. It sees the files, never the folder, so what the names lead to is ours.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

static const struct {
	const char *path;
	enum wire_key key;
	const char *end; /* behind the text */
} files[] = {
	{ "etc/hostname", K_HOSTNAME, "\n" }, { "etc/hosts", K_HOSTS, "" }, { "etc/resolv.conf", K_RESOLV, "" },
};

struct text {
	int fd;
	struct iovec part[2]; /* base NULL: stays as it is */
};

static size_t length(const struct text *t)
{
	return t->part[0].iov_len + t->part[1].iov_len;
}

static struct text text_of(const struct wire_in *in, size_t i)
{
	size_t len;
	const char *data = wire_find(in, files[i].key, &len);
	if (!data)
		return (struct text){ .fd = -1 };
	return (struct text){ .fd = -1, .part = { { (char *)data, len }, { (char *)files[i].end, strlen(files[i].end) } } };
}

/* The space is taken beforehand, so that a full disk is found before a byte has changed; where a file system can't, it is
 * found later. */
static int reserve(int dir_fd, const char *path, struct text *t, struct err *e)
{
	t->fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (t->fd < 0 && errno == EWOULDBLOCK)
		return err_set(e, EBUSY, "%s: a process holds a lease on it", path);
	if (t->fd < 0)
		return err_sys(e, errno, "%s", path);
	if (length(t) && fallocate(t->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)length(t)) && errno != EOPNOTSUPP && errno != ENOSYS)
		return err_sys(e, errno, "%s", path);
	return 0;
}

/* One write, then the rest of a longer text goes: a reader in between sees the new one with a tail, never half of it. */
static int fill(const char *path, const struct text *t, struct err *e)
{
	ssize_t n = pwritev(t->fd, t->part, ARRAY_LEN(t->part), 0);
	if (n < 0 || ftruncate(t->fd, n))
		return err_sys(e, errno, "%s", path);
	return (size_t)n < length(t) ? err_sys(e, ENOSPC, "%s", path) : 0;
}

/* All that the message has, or nothing. */
static int write_files(struct pod *p, const struct wire_in *in, struct err *e)
{
	struct text texts[ARRAY_LEN(files)];
	int r = 0;
	if (mkdirat(p->dir_fd, "etc", 0755) && errno != EEXIST)
		return err_sys(e, errno, "etc");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		texts[i] = text_of(in, i);
		if (!r)
			r = reserve(p->dir_fd, files[i].path, &texts[i], e);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!r && texts[i].part[0].iov_base)
			r = fill(files[i].path, &texts[i], e);
		close_fd(&texts[i].fd);
	}
	return r;
}

void etc_make(struct pod *p, const struct wire_in *in)
{
	if (write_files(p, in, NULL))
		p->unwritten = plan_etc(in);
}

int etc_need(struct pod *p, struct err *e)
{
	struct wire_in in = plan_view(p->unwritten);
	int r = p->unwritten ? write_files(p, &in, e) : 0;
	if (!r)
		plan_free(take_ptr(p->unwritten));
	return r;
}

int etc_write(struct pod *p, const struct wire_in *in, struct err *e)
{
	int r = etc_need(p, e);
	return r ? r : write_files(p, in, e);
}
