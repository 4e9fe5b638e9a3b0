/* A small writer of YAML: see yaml.h. */
#include "fs/yaml.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the UTF-8 character at p (RFC 3629: no surrogates, no longer form than needed, at most
 * U+10FFFF) and its code point; 0: not one. */
static size_t utf8(const unsigned char *p, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*cp = c;
	return n;
}

/* Control characters, and what YAML 1.1 takes for a line break, a byte order mark or nothing at all
 * (chapter 5.1, Character Set). All lie below U+10000, so one \u is enough. */
static bool must_escape(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe ||
	       c == 0xffff;
}

static void put_char(struct buf *out, const unsigned char *p, size_t n, uint32_t c)
{
	if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", (char)c);
	else if (c == '\n')
		buf_puts(out, "\\n");
	else if (c == '\t')
		buf_puts(out, "\\t");
	else if (must_escape(c))
		buf_printf(out, "\\u%04x", c);
	else
		buf_put(out, p, n);
}

void yaml_quote(struct buf *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	buf_putc(out, '"');
	for (size_t i = 0; i < len;) {
		uint32_t c = 0;
		size_t n = utf8(p + i, len - i, &c);
		if (n)
			put_char(out, p + i, n, c);
		else
			buf_puts(out, REPLACEMENT);
		i += n ? n : 1;
	}
	buf_putc(out, '"');
}

/* Begins a line. The dash of an item stands in the two columns before its first line. */
static void line(struct yaml *y)
{
	unsigned plain = y->dash ? y->depth - 1 : y->depth;
	for (unsigned i = 0; i < plain; i++)
		buf_puts(y->out, "  ");
	if (y->dash)
		buf_puts(y->out, "- ");
	y->dash = false;
}

static void key_line(struct yaml *y, const char *key, const char *rest)
{
	line(y);
	buf_puts(y->out, key);
	buf_puts(y->out, rest);
}

void yaml_map(struct yaml *y, const char *key)
{
	key_line(y, key, ":\n");
	y->depth++;
}

/* Items are one step below their key: yaml_item takes it. */
void yaml_list(struct yaml *y, const char *key)
{
	key_line(y, key, ":\n");
	y->depth++;
}

void yaml_item(struct yaml *y)
{
	y->depth++;
	y->dash = true;
}

void yaml_end(struct yaml *y)
{
	y->depth--;
}

void yaml_strn(struct yaml *y, const char *key, const char *value, size_t len)
{
	key_line(y, key, ": ");
	yaml_quote(y->out, value, len);
	buf_putc(y->out, '\n');
}

void yaml_str(struct yaml *y, const char *key, const char *value)
{
	yaml_strn(y, key, value, strlen(value));
}

void yaml_pair(struct yaml *y, const char *key, size_t keylen, const char *value)
{
	line(y);
	yaml_quote(y->out, key, keylen);
	buf_puts(y->out, ": ");
	yaml_quote(y->out, value, strlen(value));
	buf_putc(y->out, '\n');
}

void yaml_word(struct yaml *y, const char *key, const char *word)
{
	key_line(y, key, ": ");
	buf_puts(y->out, word);
	buf_putc(y->out, '\n');
}

void yaml_int(struct yaml *y, const char *key, int64_t value)
{
	key_line(y, key, "");
	buf_printf(y->out, ": %lld\n", (long long)value);
}

void yaml_bool(struct yaml *y, const char *key, bool value)
{
	key_line(y, key, value ? ": true\n" : ": false\n");
}

void yaml_empty_list(struct yaml *y, const char *key)
{
	key_line(y, key, ": []\n");
}

void yaml_scalar(struct yaml *y, const char *value)
{
	yaml_item(y);
	line(y);
	yaml_quote(y->out, value, strlen(value));
	buf_putc(y->out, '\n');
	yaml_end(y);
}
