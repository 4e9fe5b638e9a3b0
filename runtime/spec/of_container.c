/* The settings of a container, but for its limits (limits.c). */
#include "runtime/base/util.h"
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define USER_MAX 256 /* LOGIN_NAME_MAX */

/* Puts a copy of s into *to; NULL when s is empty. */
static int set_string(char **to, struct span s, struct err *e)
{
	char *copy = s.n ? strndup(s.p, s.n) : NULL;
	if (s.n && !copy)
		return err_set(e, ENOMEM, "no memory");
	free(*to);
	*to = copy;
	return 0;
}

static void get_string(const char *s, struct buf *out)
{
	if (s)
		buf_printf(out, "%s\n", s);
}

int image_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	struct image_ref ref = { 0 };
	int result = parse_reference(s.p, s.n, &ref, e);
	if (!result)
		result = set_string(&r.container->image, s, e);
	image_ref_free(&ref);
	return result;
}

void image_get(struct spec_ref r, struct buf *out)
{
	get_string(r.container->image, out);
}

bool image_is_set(struct spec_ref r)
{
	return r.container->image;
}

int pull_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	if (s.n && pull_policy_read(s.p, s.n, &r.container->pull))
		return err_set(e, EINVAL, "%s is not a pull policy (IfNotPresent, Always, Never)", clip(s).s);
	r.container->has_pull = s.n;
	return 0;
}

void pull_get(struct spec_ref r, struct buf *out)
{
	buf_printf(out, "%s\n", pull_policy_name(container_pull_policy(r.container)));
}

bool pull_is_set(struct spec_ref r)
{
	return r.container->has_pull;
}

/* As they will be read, quoted, they must be writable too: the record takes them back. */
static int check_size(const struct strs *words, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	format_words(words, &b);
	if (buf_status(&b))
		return err_set(e, ENOMEM, "no memory");
	return b.len > SPEC_VALUE_MAX ? err_set(e, E2BIG, "more than %d bytes with its quotes", SPEC_VALUE_MAX) : 0;
}

static int set_words(struct strs *to, bool *has, const char *text, size_t len, struct err *e)
{
	struct strs words = { 0 };
	bool given = span_trim(text, len).n;
	int r = given ? parse_words(text, len, &words, e) : 0;
	if (!r)
		r = check_size(&words, e);
	if (r) {
		strs_free(&words);
		return r;
	}
	strs_free(to);
	*to = words;
	*has = given;
	return 0;
}

static void get_words(const struct strs *from, bool has, struct buf *out)
{
	if (!has)
		return;
	format_words(from, out);
	buf_putc(out, '\n');
}

int command_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return set_words(&r.container->command, &r.container->has_command, text, len, e);
}

void command_get(struct spec_ref r, struct buf *out)
{
	get_words(&r.container->command, r.container->has_command, out);
}

bool command_is_set(struct spec_ref r)
{
	return r.container->has_command;
}

int args_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return set_words(&r.container->args, &r.container->has_args, text, len, e);
}

void args_get(struct spec_ref r, struct buf *out)
{
	get_words(&r.container->args, r.container->has_args, out);
}

bool args_is_set(struct spec_ref r)
{
	return r.container->has_args;
}

int env_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return lines_set(KV_ENV, &r.container->env, text, len, e);
}

void env_get(struct spec_ref r, struct buf *out)
{
	lines_get(&r.container->env, out);
}

bool env_is_set(struct spec_ref r)
{
	return r.container->env.n;
}

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

int workdir_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = { text, span_trim(text, len).n ? len : 0 };
	if (s.n && (s.p[0] != '/' || has_control(s)))
		return err_set(e, EINVAL, "%s is not an absolute path", clip(s).s);
	if (s.n >= PATH_MAX)
		return err_set(e, EINVAL, "%s: the path is too long", clip(s).s);
	return set_string(&r.container->workdir, s, e);
}

void workdir_get(struct spec_ref r, struct buf *out)
{
	get_string(r.container->workdir, out);
}

bool workdir_is_set(struct spec_ref r)
{
	return r.container->workdir;
}

/* A name as /etc/passwd and /etc/group can hold it, or a number. */
static bool is_user_part(struct span s)
{
	uint64_t id = UINT64_MAX; /* stays so when it does not fit */
	if (!s.n || memchr(s.p, ':', s.n) || memchr(s.p, ' ', s.n) || has_control(s))
		return false;
	return !is_digit(s.p[0]) || span_number(s, &id) == -EINVAL || id < UINT32_MAX;
}

static bool is_user(struct span s)
{
	const char *colon = memchr(s.p, ':', s.n);
	if (s.n > USER_MAX)
		return false;
	if (!colon)
		return is_user_part(s);
	size_t n = (size_t)(colon - s.p);
	return is_user_part((struct span){ s.p, n }) && is_user_part((struct span){ colon + 1, s.n - n - 1 });
}

int user_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	if (s.n && !is_user(s))
		return err_set(e, EINVAL, "%s is not USER or USER:GROUP (names or numbers)", clip(s).s);
	return set_string(&r.container->user, s, e);
}

void user_get(struct spec_ref r, struct buf *out)
{
	get_string(r.container->user, out);
}

bool user_is_set(struct spec_ref r)
{
	return r.container->user;
}
