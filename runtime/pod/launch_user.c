/* USER[:GROUP] of an image, resolved in its own /etc/passwd and /etc/group.
 *
 * Child side. The rules are those of the OCI image specification (config, User) as Docker reads them: a name must be
 * known, a number need not be; without GROUP the user's groups of /etc/group come along.
 * The two files are the image's: whatever they are, they are read in bounded time and memory.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1024 * 1024)
#define FIELDS 7 /* passwd(5) */

/* *text: the file, NUL-terminated; empty when there is none. */
static int read_db(struct launch *l, const char *path, struct buf *text, struct err *e)
{
	_cleanup_close_ int fd = beneath(l->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (fd == -ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, fd < 0 ? -fd : errno, "%s of the image", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s of the image is not a file", path);
	char chunk[4096];
	ssize_t n;
	while ((n = read(fd, chunk, sizeof chunk)) > 0) {
		buf_put(text, chunk, (size_t)n);
		if (text->len > FILE_MAX)
			return err_set(e, EFBIG, "%s of the image is larger than 1 MiB", path);
	}
	if (n < 0 || buf_status(text))
		return err_sys(e, n < 0 ? errno : ENOMEM, "%s of the image", path);
	return 0;
}

static bool number(const char *s, size_t len, uint32_t *out)
{
	uint64_t v = 0;
	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = (uint32_t)v;
	return v < UINT32_MAX; /* -1 means "leave it" to setresuid(2) */
}

struct line {
	const char *field[FIELDS];
	size_t len[FIELDS];
};

/* Splits the line at *at and goes on to the next. False at the end. */
static bool next_line(const char **at, struct line *ln)
{
	if (!**at)
		return false;
	size_t rest = strcspn(*at, "\n");
	const char *p = *at, *end = p + rest;
	*at = *end ? end + 1 : end;
	for (int i = 0; i < FIELDS; i++) {
		const char *colon = memchr(p, ':', (size_t)(end - p));
		const char *stop = colon ? colon : end;
		ln->field[i] = p;
		ln->len[i] = (size_t)(stop - p);
		p = colon ? colon + 1 : end;
	}
	return true;
}

static bool is(const struct line *ln, int field, const char *s, size_t len)
{
	return ln->len[field] == len && !memcmp(ln->field[field], s, len);
}

/* The line whose name is s, else the one whose number it is. */
static bool find(const char *text, const char *s, size_t len, struct line *ln)
{
	uint32_t want, have;
	const char *at = text;
	while (next_line(&at, ln))
		if (is(ln, 0, s, len))
			return true;
	at = text;
	while (number(s, len, &want) && next_line(&at, ln))
		if (number(ln->field[2], ln->len[2], &have) && have == want)
			return true;
	return false;
}

static int add_group(struct launch *l, gid_t gid)
{
	gid_t *more = realloc(l->groups, (l->ngroups + 1) * sizeof *more);
	if (!more)
		return -ENOMEM;
	l->groups = more;
	more[l->ngroups++] = gid;
	return 0;
}

static bool is_member(const struct line *ln, const char *name, size_t len)
{
	const char *p = ln->field[3], *end = p + ln->len[3];
	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;
		if ((size_t)(stop - p) == len && !memcmp(p, name, len))
			return true;
		p = stop + 1;
	}
	return false;
}

static int member_groups(struct launch *l, const char *groups, const char *name, size_t len)
{
	struct line ln;
	uint32_t gid;
	while (next_line(&groups, &ln))
		if (is_member(&ln, name, len) && number(ln.field[2], ln.len[2], &gid) && l->ngroups < 65536 && add_group(l, gid))
			return -ENOMEM;
	return 0;
}

static int resolve_user(struct launch *l, const char *user, size_t len, struct line *ln, bool *known, struct err *e)
{
	_cleanup_buf_ struct buf passwd = { 0 };
	uint32_t id;
	int r = read_db(l, "/etc/passwd", &passwd, e);
	if (r)
		return r;
	*known = find(buf_str(&passwd), user, len, ln);
	if (*known) {
		if (!number(ln->field[2], ln->len[2], &l->uid) || !number(ln->field[3], ln->len[3], &l->gid))
			return err_set(e, EINVAL, "user %.*s: its line in /etc/passwd of the image has no numbers", (int)len, user);
		if (ln->len[5])
			l->home = strndup(ln->field[5], ln->len[5]);
		/* The text goes; of the line only the name is still needed. */
		ln->field[0] = strndup(ln->field[0], ln->len[0]);
		return ln->field[0] ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	if (!number(user, len, &id))
		return err_set(e, EINVAL, "user %.*s: not in /etc/passwd of the image", (int)len, user);
	l->uid = id;
	return 0;
}

static int resolve_group(struct launch *l, const char *group, const struct line *user, struct err *e)
{
	_cleanup_buf_ struct buf groups = { 0 };
	struct line ln;
	if (!group && !user)
		return 0;
	int r = read_db(l, "/etc/group", &groups, e);
	if (r)
		return r;
	if (!group)
		return member_groups(l, buf_str(&groups), user->field[0], user->len[0]) ? err_set(e, ENOMEM, "out of memory") : 0;
	bool known = find(buf_str(&groups), group, strlen(group), &ln);
	if (known ? number(ln.field[2], ln.len[2], &l->gid) : number(group, strlen(group), &l->gid))
		return 0;
	return err_set(e, EINVAL, "group %s: not in /etc/group of the image", group);
}

int launch_user(struct launch *l, struct err *e)
{
	const char *user = wire_get_str(&l->plan, K_USER);
	struct line ln;
	bool known = false;
	if (!user || !*user)
		user = "0";
	size_t len = strcspn(user, ":");
	const char *group = user[len] && user[len + 1] ? user + len + 1 : NULL;
	int r = len ? resolve_user(l, user, len, &ln, &known, e) : resolve_user(l, "0", 1, &ln, &known, e);
	return r ? r : resolve_group(l, group, known ? &ln : NULL, e);
}
