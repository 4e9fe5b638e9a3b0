/* What the kernel says of a group: plain reads, nothing kept.
 *
 * Owns no state. Each question opens, reads and closes one or a few files of cgroupfs:
 * microseconds, and never a wait.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_TEXT_MAX 65536

int cg_read(const struct cg_group *g, enum cg_ctl ctl, const char *file, struct buf *out)
{
	char path[PATH_MAX];
	int r = cg_path(g, ctl, file, path);
	if (r)
		return r;
	r = read_file_at(AT_FDCWD, path, KERNEL_TEXT_MAX, out);
	if (r != -ENOENT)
		return r;
	/* The folder is there without the file: an older kernel (memory.peak is of 5.19). */
	r = cg_path(g, ctl, NULL, path);
	return !r && !access(path, F_OK) ? -EOPNOTSUPP : -ENOENT;
}

int cg_read_u64(const struct cg_group *g, enum cg_ctl ctl, const char *file, uint64_t *v)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = cg_read(g, ctl, file, &b);
	if (!r)
		*v = strtoull(buf_str(&b), NULL, 10);
	return r;
}

uint64_t cg_key(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncmp(p, key, n) && p[n] == ' ')
			return strtoull(p + n + 1, NULL, 10);
	return 0;
}

int cg_show_plain(const struct cg_file *f, const struct cg_group *g, struct buf *out)
{
	return cg_read(g, f->ctl, f->kernel, out);
}

int cg_each_container(const struct cg_group *pod, enum cg_ctl ctl, int (*fn)(void *arg, const char *id), void *arg)
{
	char path[PATH_MAX];
	int r = cg_path(pod, ctl, NULL, path);
	if (r)
		return r;
	_cleanup_dir_ DIR *d = opendir(path);
	if (!d)
		return -errno;
	for (struct dirent *de; !r && (de = readdir(d));)
		if (de->d_type == DT_DIR && !strncmp(de->d_name, "c.", 2) && cg_is_id(de->d_name + 2))
			r = fn(arg, de->d_name + 2);
	return r;
}

static const struct cg_file *find(const struct cg_host *h, const char *file)
{
	for (const struct cg_file *f = h->files; f->name; f++)
		if (!strcmp(f->name, file) && f->show)
			return f;
	return NULL;
}

int cg_show(const struct cg_host *h, const char *uid, const char *name, const char *file, struct buf *out)
{
	const struct cg_group g = { h, uid, name };
	const struct cg_file *f = find(h, file);
	if (!f)
		return -EOPNOTSUPP;
	size_t start = out->len;
	int r = f->show(f, &g, out);
	if (!r)
		r = buf_status(out);
	if (r)
		out->len = start;
	return r;
}

static int number_of(const struct cg_host *h, const char *uid, const char *name, const char *file, const char *key,
		     uint64_t *v)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = cg_show(h, uid, name, file, &b);
	if (!r)
		*v = key ? cg_key(buf_str(&b), key) : strtoull(buf_str(&b), NULL, 10);
	return r == -EOPNOTSUPP ? 0 : r;
}

int cg_use(const struct cg_host *h, const char *uid, const char *name, struct cg_use *out)
{
	struct cg_use u = { 0 };
	int r = number_of(h, uid, name, "memory.current", NULL, &u.memory);
	if (!r)
		r = number_of(h, uid, name, "cpu.stat", "usage_usec", &u.cpu_usec);
	if (!r)
		r = number_of(h, uid, name, "pids.current", NULL, &u.pids);
	if (!r)
		*out = u;
	return r;
}
