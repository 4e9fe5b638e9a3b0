/* A JSON array of strings (RFC 8259), the other way of writing words, read and written.
 *
 * Nothing but that: the server does not read JSON otherwise. What argv cannot hold (U+0000)
 * and what is not UTF-8 is refused.
 */
#include "runtime/parse/text.h"
#include "runtime/parse/words.h"

#include <errno.h>
#include <string.h>

struct json {
	const char *text;
	size_t len, pos;
	struct buf word;
	struct err *e;
};

static int bad(struct json *j, const char *what)
{
	return err_set(j->e, EINVAL, "JSON array: %s at byte %zu", what, j->pos + 1);
}

/* The next byte, or 0 at the end; the text holds no NUL. */
static char peek(const struct json *j)
{
	return j->pos < j->len ? j->text[j->pos] : 0;
}

static char next_token(struct json *j)
{
	while (peek(j) == ' ' || peek(j) == '\t' || peek(j) == '\n' || peek(j) == '\r')
		j->pos++;
	return peek(j);
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* XXXX of \uXXXX; -1: it is not that. */
static int hex4(struct json *j)
{
	int v = 0;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(peek(j));
		if (d < 0)
			return -1;
		v = v * 16 + d;
		j->pos++;
	}
	return v;
}

static void put_utf8(struct buf *b, unsigned c)
{
	if (c < 0x80) {
		buf_putc(b, (char)c);
		return;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
	buf_putc(b, (char)(lead[more] | c >> (6 * more)));
	while (more--)
		buf_putc(b, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

static int unicode_escape(struct json *j)
{
	int c = hex4(j);
	if (c < 0)
		return bad(j, "four hexadecimal digits expected");
	if (c >= 0xd800 && c < 0xdc00) {
		if (peek(j) != '\\')
			return bad(j, "second half of a surrogate pair expected");
		j->pos++;
		if (peek(j) != 'u')
			return bad(j, "second half of a surrogate pair expected");
		j->pos++;
		int low = hex4(j);
		if (low < 0xdc00 || low > 0xdfff)
			return bad(j, "second half of a surrogate pair expected");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return bad(j, "half of a surrogate pair");
	}
	if (!c)
		return bad(j, "U+0000 cannot be part of a word");
	put_utf8(&j->word, (unsigned)c);
	return 0;
}

static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

static int escape(struct json *j)
{
	char c = peek(j);
	const char *at = c ? strchr(escaped, c) : NULL;
	if (c != 'u' && !at)
		return bad(j, "unknown escape");
	j->pos++;
	if (c == 'u')
		return unicode_escape(j);
	buf_putc(&j->word, meant[at - escaped]);
	return 0;
}

static int string(struct json *j)
{
	buf_reset(&j->word);
	for (j->pos++; peek(j) != '"';) {
		char c = peek(j);
		if (!c)
			return bad(j, "string not closed");
		if ((unsigned char)c < 0x20)
			return bad(j, "control character in a string");
		j->pos++;
		int r = 0;
		if (c == '\\')
			r = escape(j);
		else
			buf_putc(&j->word, c);
		if (r)
			return r;
	}
	j->pos++;
	return 0;
}

static int element(struct json *j, struct strs *out)
{
	if (next_token(j) != '"')
		return bad(j, "string expected");
	int r = string(j);
	return r ? r : words_add(out, &j->word, j->e);
}

static int elements(struct json *j, struct strs *out)
{
	j->pos++;
	if (next_token(j) == ']')
		return 0;
	for (;;) {
		int r = element(j, out);
		if (r)
			return r;
		char c = next_token(j);
		if (c == ']')
			return 0;
		if (c != ',')
			return bad(j, "',' or ']' expected");
		j->pos++;
	}
}

int json_words(const char *text, size_t len, struct strs *out, struct err *e)
{
	if (!span_utf8((struct span){ text, len }))
		return err_set(e, EINVAL, "JSON array: it is not UTF-8");
	struct json j = { .text = text, .len = len, .e = e };
	while (is_space(peek(&j)))
		j.pos++;
	int r = elements(&j, out);
	if (!r) {
		j.pos++;
		if (next_token(&j))
			r = bad(&j, "nothing more expected");
	}
	buf_free(&j.word);
	return r;
}

static void put_string(const char *w, struct buf *out)
{
	buf_putc(out, '"');
	for (; *w; w++) {
		const char *at = *w == '/' ? NULL : strchr(meant, *w);
		if (at)
			buf_printf(out, "\\%c", escaped[at - meant]);
		else if ((unsigned char)*w < 0x20)
			buf_printf(out, "\\u%04x", (unsigned)*w);
		else
			buf_putc(out, *w);
	}
	buf_putc(out, '"');
}

void json_put_words(const struct strs *words, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < words->n; i++) {
		if (i)
			buf_putc(out, ',');
		put_string(words->v[i], out);
	}
	buf_putc(out, ']');
}
