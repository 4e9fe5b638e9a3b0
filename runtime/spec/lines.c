/* Lists of KEY=VALUE lines: env, labels, annotations.
 *
 * A line of env is kept as it was written, and a later one wins. Of labels and annotations
 * there is one a key, as in Kubernetes: a later line takes the earlier one's place.
 */
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char **same_key(const struct strs *s, struct span line)
{
	size_t key = (size_t)((const char *)memchr(line.p, '=', line.n) - line.p) + 1;
	for (size_t i = 0; i < s->n; i++)
		if (!strncmp(s->v[i], line.p, key))
			return &s->v[i];
	return NULL;
}

static int add_line(enum kv_kind kind, struct strs *s, struct span line, struct err *e)
{
	int r = check_kv(kind, line.p, line.n, e);
	if (r)
		return r;
	char **old = kind == KV_ENV ? NULL : same_key(s, line);
	if (!old)
		return strs_add(s, line.p, line.n) ? err_set(e, ENOMEM, "no memory") : 0;
	char *copy = strndup(line.p, line.n);
	if (!copy)
		return err_set(e, ENOMEM, "no memory");
	free(*old);
	*old = copy;
	return 0;
}

int lines_set(enum kv_kind kind, struct strs *to, const char *text, size_t len, struct err *e)
{
	struct span rest = { text, len }, line;
	struct strs lines = { 0 };
	int r = 0;
	while (!r && span_line(&rest, &line)) {
		struct span trimmed = span_trim(line.p, line.n);
		if (trimmed.n)
			r = add_line(kind, &lines, kind == KV_ENV ? line : trimmed, e);
	}
	if (r) {
		strs_free(&lines);
		return r;
	}
	strs_free(to);
	*to = lines;
	return 0;
}

void lines_get(const struct strs *from, struct buf *out)
{
	for (size_t i = 0; i < from->n; i++) {
		buf_puts(out, from->v[i]);
		buf_putc(out, '\n');
	}
}
