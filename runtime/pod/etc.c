/* STATE/pods/UID/etc: the files that containers have mounted at /etc.
 *
 * Owns them, and keeps the texts, which are the server's: what somebody removes is there again for the next start, also without a
 * server. Runs in podfs-pod.
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

#define NOTHING ((struct text){ .fd = -1 })

static size_t length(const struct text *t)
{
	return t->part[0].iov_len + t->part[1].iov_len;
}

static struct text text_of(const struct wire_in *in, size_t i)
{
	size_t len;
	const char *data = wire_find(in, files[i].key, &len);
	if (!data)
		return NOTHING;
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

/* All that the message has and skip (a bit each) leaves, or nothing. */
static int write_files(struct pod *p, const struct wire_in *in, unsigned skip, struct err *e)
{
	struct text texts[ARRAY_LEN(files)];
	int r = 0;
	if (mkdirat(p->dir_fd, "etc", 0755) && errno != EEXIST)
		return err_sys(e, errno, "etc");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		texts[i] = skip & 1u << i ? NOTHING : text_of(in, i);
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

static void keep(struct pod *p, const struct wire_in *in)
{
	struct plan *etc = plan_etc(in, p->etc);
	if (!etc) /* no memory: better old texts than none */
		return;
	plan_free(p->etc);
	p->etc = etc;
}

void etc_make(struct pod *p, const struct wire_in *in)
{
	keep(p, in);
	p->etc_unwritten = write_files(p, in, 0, NULL);
}

static unsigned there(const struct pod *p)
{
	unsigned all = 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		all |= (unsigned)!faccessat(p->dir_fd, files[i].path, F_OK, AT_SYMLINK_NOFOLLOW) << i;
	return all;
}

int etc_need(struct pod *p, struct err *e)
{
	struct wire_in in = plan_view(p->etc);
	unsigned have = p->etc_unwritten ? 0 : there(p);
	if (have == (1u << ARRAY_LEN(files)) - 1)
		return 0;
	int r = write_files(p, &in, have, e);
	if (r)
		return r;
	if (!p->etc_unwritten)
		link_event(p, W_EVENT, NULL, "files of its etc/ had been removed by others, and are made anew");
	p->etc_unwritten = false;
	return 0;
}

int etc_write(struct pod *p, const struct wire_in *in, struct err *e)
{
	int r = etc_need(p, e);
	if (!r)
		r = write_files(p, in, 0, e);
	if (!r)
		keep(p, in);
	return r;
}
