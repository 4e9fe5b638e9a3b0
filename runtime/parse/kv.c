/* KEY=VALUE lines: env, labels, annotations.
 *
 * Syntax of label keys and values: kubernetes.io/docs/concepts/overview/working-with-objects/labels.
 */
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <string.h>

#define PREFIX_MAX 253 /* RFC 1123 subdomain */
#define NAME_PART_MAX 63

/* Letters and digits at both ends; also - _ . between them. */
static bool label_word(struct span s)
{
	if (!s.n || s.n > NAME_PART_MAX || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "-_."))
			return false;
	return true;
}

/* RFC 1123 subdomain, lower case: a prefix such as app.kubernetes.io. */
static bool subdomain(struct span s)
{
	if (!s.n || s.n > PREFIX_MAX)
		return false;
	char before = '.';
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool inner = is_lower(c) || is_digit(c);
		if (!inner && c != '-' && c != '.')
			return false;
		if ((c == '.' && (before == '.' || before == '-')) || (c == '-' && before == '.'))
			return false;
		before = c;
	}
	return before != '.' && before != '-';
}

static bool label_key(struct span key)
{
	const char *slash = memchr(key.p, '/', key.n);
	if (!slash)
		return label_word(key);
	size_t n = (size_t)(slash - key.p);
	return subdomain((struct span){ key.p, n }) && label_word((struct span){ slash + 1, key.n - n - 1 });
}

static int check_label(enum kv_kind kind, struct span key, struct span value, struct err *e)
{
	if (!label_key(key))
		return err_set(e, EINVAL, "%s is not a key (letters, digits, - _ ., at most 63, perhaps PREFIX/ before it)",
			       clip(key).s);
	if (kind == KV_LABEL && value.n && !label_word(value))
		return err_set(e, EINVAL, "%s is not a label's value (letters, digits, - _ ., at most 63)", clip(value).s);
	if (!span_utf8(value))
		return err_set(e, EINVAL, "the value of %s is not UTF-8", clip(key).s);
	return 0;
}

int check_kv(enum kv_kind kind, const char *text, size_t len, struct err *e)
{
	struct span s = { text, len };
	const char *eq = len ? memchr(text, '=', len) : NULL;
	if (!eq || eq == text)
		return err_set(e, EINVAL, "%s is not KEY=VALUE", clip(s).s);
	if (memchr(text, 0, len) || memchr(text, '\n', len))
		return err_set(e, EINVAL, "%s: a NUL byte or a newline cannot be part of a line", clip(s).s);
	if (kind == KV_ENV)
		return 0;
	size_t n = (size_t)(eq - text);
	return check_label(kind, (struct span){ text, n }, (struct span){ eq + 1, len - n - 1 }, e);
}
