/* Names in archives, made plain: see names.h. */
#include "runtime/image/names.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define WHITEOUT ".wh."
#define AUFS_META ".wh..wh."
#define OPAQUE ".wh..wh..opq"

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

int name_clean(const char *raw, char out[PATH_MAX], struct err *e)
{
	size_t len = 0;
	if (*raw == '/')
		return err_set(e, EINVAL, "%.200s: an absolute name", raw);
	for (const char *p = raw; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, EINVAL, "%.200s: a name with `..` in it", raw);
		if (n && !(n == 1 && *p == '.')) {
			if (n > NAME_MAX || len + n + 2 > PATH_MAX)
				return err_set(e, ENAMETOOLONG, "%.60s…: a name of %zu bytes", raw, strlen(raw));
			if (len)
				out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
		p += strspn(p, "/");
	}
	out[len] = 0;
	return 0;
}

int name_kind(const char *clean, enum name_kind *kind, const char **base, struct err *e)
{
	for (const char *p = clean, *slash; (slash = strchr(p, '/')); p = slash + 1) {
		if (has_prefix(p, AUFS_META)) {
			*kind = NAME_AUFS;
			return 0;
		}
		if (has_prefix(p, WHITEOUT))
			return err_set(e, EINVAL, "%.200s: lies in a whiteout", clean);
	}
	const char *slash = strrchr(clean, '/');
	const char *b = slash ? slash + 1 : clean;
	*base = b;
	*kind = NAME_PLAIN;
	if (!strcmp(b, OPAQUE))
		*kind = NAME_OPAQUE;
	else if (has_prefix(b, AUFS_META))
		*kind = NAME_AUFS;
	else if (has_prefix(b, WHITEOUT)) {
		*kind = NAME_WHITEOUT;
		*base = b + strlen(WHITEOUT);
		if (!**base || !strcmp(*base, ".") || !strcmp(*base, ".."))
			return err_set(e, EINVAL, "%.200s: a whiteout of no name", clean);
	}
	return 0;
}
