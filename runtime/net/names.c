/* The files of the pods' names: see names.h. */
#include "runtime/net/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* No fsync: what these files say is known from elsewhere. A name that begins with a dot is none of dnsmasq's. */
static int replace(int dir, const char *name, const struct buf *text)
{
	char tmp[NAME_MAX_LEN + 2];
	snprintf(tmp, sizeof tmp, ".%s", name);
	_cleanup_close_ int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, buf_str(text), text->len);
	if (!r && renameat(dir, tmp, dir, name))
		r = -errno;
	if (r)
		unlinkat(dir, tmp, 0);
	return r;
}

/* ENOENT: RUN itself has been taken away. */
static int open_names(struct net *n)
{
	bool made = !mkdirat(n->door.run_fd, "names", 0755);
	if (!made && errno == ENOENT) {
		door_check(&n->door);
		made = !mkdirat(n->door.run_fd, "names", 0755);
	}
	if (!made && errno != EEXIST)
		return -errno;
	int fd = openat(n->door.run_fd, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int names_put(struct net *n, const struct attachment *a, struct err *e)
{
	_cleanup_close_ int dir = open_names(n);
	_cleanup_buf_ struct buf b = { 0 };
	char text[NET_ADDR_TEXT];
	for (int i = 0; i < 2; i++)
		if (addr_is(&a->addr[i]))
			buf_printf(&b, "%s %s\n", addr_text(&a->addr[i], text), a->pod);
	int r = dir < 0 ? dir : buf_status(&b);
	if (!r)
		r = replace(dir, a->pod, &b);
	return r ? err_sys(e, -r, "%s/names/%s", n->run, a->pod) : 0;
}

static const struct attachment *pod_named(const struct net *n, const char *name, const struct attachment *but)
{
	for (const struct attachment *a = n->pods; a; a = a->next)
		if (a != but && !a->left && !strcmp(a->pod, name))
			return a;
	return NULL;
}

void names_drop(struct net *n, const struct attachment *a)
{
	_cleanup_close_ int dir = open_names(n);
	if (dir >= 0 && !pod_named(n, a->pod, a))
		unlinkat(dir, a->pod, 0);
}

static void remove_files(struct net *n, bool all)
{
	int fd = openat(n->door.run_fd, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *de; d && (de = readdir(d));)
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") && (all || !pod_named(n, de->d_name, NULL)))
			unlinkat(fd, de->d_name, 0);
}

/* dnsmasq still sees the folder that there was. */
void names_anew(void)
{
	struct net *n = &net_self;
	for (const struct attachment *a = n->pods; a; a = a->next)
		if (!a->left)
			names_put(n, a, NULL);
	if (dnsmasq_stop(n))
		names_start_later(n);
}

void names_sync(struct net *n)
{
	remove_files(n, false);
}

void names_stop(struct net *n)
{
	dnsmasq_stop(n);
	remove_files(n, true);
	unlinkat(n->door.run_fd, "names", AT_REMOVEDIR);
}
