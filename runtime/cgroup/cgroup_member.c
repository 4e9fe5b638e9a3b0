/* Who is in a group: asked of the process, as a group may have thousands.
 *
 * Runs in podfs-server.
 */
#include "runtime/cgroup/host.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Is the line `ID:CONTROLLERS:PATH` of the hierarchy that this controller is in? v2's has no controllers. */
static bool is_of(const struct cg_host *h, const char *controllers, size_t len, enum cg_ctl ctl)
{
	const char *name = cg_ctl_names[ctl];
	size_t n = strlen(name);
	if (h->version == 2)
		return !len;
	for (const char *at = controllers, *end = controllers + len; at < end; at += strcspn(at, ",:") + 1)
		if (!strncmp(at, name, n) && (at[n] == ',' || at[n] == ':'))
			return true;
	return false;
}

/* Where the hierarchy's root lies for us nobody says: so the end of the path decides. */
static bool ends_with(const char *path, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len >= n && !memcmp(path + len - n, end, n);
}

static bool holds(const struct cg_host *h, enum cg_ctl ctl, const char *group, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		const char *controllers = memchr(lines, ':', len);
		const char *path = controllers ? memchr(controllers + 1, ':', len - (size_t)(controllers + 1 - lines)) : NULL;
		if (path && is_of(h, controllers + 1, (size_t)(path - controllers - 1), ctl))
			return ends_with(path + 1, len - (size_t)(path + 1 - lines), group);
		lines += len + (lines[len] == '\n');
	}
	return true; /* it is in none that would be ours */
}

int cg_holds(const struct cg_host *h, const char *uid, const char *name, pid_t pid)
{
	char path[40], group[PATH_MAX];
	_cleanup_buf_ struct buf lines = { 0 };
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	snprintf(group, sizeof group, "/%s/%s/c.%s", h->parent, uid, name);
	int r = read_file_at(AT_FDCWD, path, 65536, &lines);
	if (r)
		return r;
	if (!lines.len)
		return -ESRCH;
	for (int i = 0; i < CG_NCTL; i++)
		if (cg_first(h, i) && !holds(h, (enum cg_ctl)i, group, buf_str(&lines)))
			return 0;
	return 1;
}
