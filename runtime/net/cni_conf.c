/* Where CNI's networks and plugins are found: see cni_conf.h. */
#include "runtime/net/cni_conf.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);
	return n > k && !strcmp(s + n - k, suffix);
}

static int is_conf(const struct dirent *de)
{
	return *de->d_name != '.' && (ends(de->d_name, ".conflist") || ends(de->d_name, ".conf") || ends(de->d_name, ".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A link is followed, as the admin made it; a pipe must not hold us up. */
static int read_conf(int dir, const char *file, struct buf *out)
{
	struct stat st;
	_cleanup_close_ int fd = openat(dir, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	char chunk[4096];
	ssize_t n;
	while ((n = read(fd, chunk, sizeof chunk)) > 0 && out->len <= CNI_JSON_MAX)
		buf_put(out, chunk, (size_t)n);
	return n < 0 ? -errno : buf_status(out);
}

static int read_net(int dir, const char *file, struct cni_net *out, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = read_conf(dir, file, &b);
	if (r)
		return err_sys(e, -r, "%s", file);
	if (cni_net_parse(buf_str(&b), b.len, ends(file, ".conflist"), out, e))
		return err_prefix(e, "%s", file);
	return 0;
}

/* 0: found; 1: not so; bad keeps what was wrong with the first file that can't be read. */
static int try_file(int dir, const char *file, const char *name, struct cni_net *out, struct err *bad)
{
	struct cni_net n;
	struct err e = { 0 };
	if (read_net(dir, file, &n, &e)) {
		if (!bad->code)
			*bad = e;
		return 1;
	}
	if (!strcmp(n.name, name)) {
		*out = n;
		return 0;
	}
	cni_net_free(&n);
	return 1;
}

int cni_conf_find(const char *folder, const char *name, struct cni_net *out, struct err *e)
{
	struct dirent **list = NULL;
	struct err bad = { 0 };
	_cleanup_close_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = dir < 0 ? -1 : scandirat(dir, ".", &list, is_conf, by_bytes), found = 1;
	if (n < 0)
		return err_sys(e, errno, "no CNI network %s: %s", name, folder);
	for (int i = 0; i < n; i++) {
		if (found)
			found = try_file(dir, list[i]->d_name, name, out, &bad);
		free(list[i]);
	}
	free(list);
	if (!found)
		return 0;
	return err_set(e, ENOENT, "no CNI network %s in %s%s%s", name, folder, bad.code ? "; " : "", bad.text);
}

int cni_plugin_find(const char *folders, const char *type, char out[PATH_MAX], struct err *e)
{
	for (const char *at = folders; at && *at;) {
		struct stat st;
		size_t n = strcspn(at, ":");
		if (snprintf(out, PATH_MAX, "%.*s/%s", (int)n, at, type) < PATH_MAX && !stat(out, &st) && S_ISREG(st.st_mode) &&
		    (st.st_mode & 0111))
			return 0;
		at += n + (at[n] == ':');
	}
	return err_set(e, ENOENT, "CNI plugin %s is not in %s", type, folders);
}
