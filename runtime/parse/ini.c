/* INI through inih, without its losses. The only file that includes inih.
 *
 * inih as Debian builds it (r55: INI_MAX_LINE 200, MAX_SECTION and MAX_NAME 50) takes what does not fit
 * into its line buffer as the next line, and cuts section names and the key that a continuation belongs to.
 * So ini_parse_stream gets its lines from next_part() here: a long line comes in parts, each after the
 * first beginning with a blank, which inih takes as a continuation of the same key; on_value() puts them
 * together again. inih strips the white space at a part's ends, so what stands between two parts is
 * kept here (gap). What cannot be carried like that is an error with the line's number.
 *
 * Runs in keeper and server; knows neither files nor what the keys mean.
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

#define INIH_NAME_MAX 49 /* MAX_SECTION, MAX_NAME: 50 with the NUL */

struct reader {
	const char *what;
	struct span text; /* what has not been read yet */
	int line;         /* the line being handed out */
	struct span rest; /* of that line */
	struct span gap;  /* white space before rest, where the line was split */
	bool first;       /* rest is the whole line */
	bool continues;   /* the line itself began with white space: it adds to the key before */
	bool awaited;     /* a part is with inih that must come back as a value */

	bool have_key; /* key and value are being put together */
	char section[INIH_NAME_MAX + 1], key[INIH_NAME_MAX + 1];
	struct buf value;
	int key_line;

	ini_fn *fn;
	void *arg;
	int result;
	struct err err;
};

static int fail(struct reader *r, int line, const char *why)
{
	if (!r->result)
		r->result = err_set(&r->err, EINVAL, "%s:%d: %s", r->what, line, why);
	return r->result;
}

/* Hands the value that is complete to the caller's function. */
static void flush(struct reader *r)
{
	if (!r->have_key || r->result)
		return;
	r->have_key = false;
	struct err e = { 0 };
	int result = buf_status(&r->value);
	if (result)
		err_set(&e, ENOMEM, "no memory");
	else
		result = r->fn(r->arg, r->section, r->key, buf_str(&r->value), r->value.len, r->key_line, &e);
	buf_reset(&r->value);
	if (!result)
		return;
	err_prefix(&e, "%s:%d", r->what, r->key_line);
	r->err = e;
	r->result = result;
}

/* As inih finds it: a ';' behind white space. */
static struct span without_comment(struct span s)
{
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] == ';' && is_space(s.p[i - 1]))
			return span_trim(s.p, i);
	return s;
}

static void section_line(struct reader *r)
{
	const char *end = memchr(r->rest.p, ']', r->rest.n);
	flush(r);
	r->awaited = false;
	if (!end)
		fail(r, r->line, "a section has no ]");
	else if (end - r->rest.p - 1 > INIH_NAME_MAX)
		fail(r, r->line, "the name of the section is longer than 49 bytes");
	else
		r->rest.n = (size_t)(end - r->rest.p) + 1;
}

/* The next line that is neither blank nor a comment; false at the end or after an error. */
static bool next_line(struct reader *r)
{
	struct span line;
	while (!r->result && span_line(&r->text, &line)) {
		r->line++;
		r->rest = span_trim(line.p, line.n);
		if (!r->rest.n || *r->rest.p == ';' || *r->rest.p == '#')
			continue;
		r->rest = without_comment(r->rest);
		r->gap.n = 0;
		r->first = r->awaited = true;
		r->continues = r->have_key && is_space(*line.p);
		if (memchr(line.p, 0, line.n))
			fail(r, r->line, "a NUL byte");
		else if (!r->continues && *r->rest.p == '[')
			section_line(r);
		return !r->result;
	}
	return false;
}

/* Where a key ends; only the part with the key in it tells inih that it is one. */
static const char *separator(struct span s, size_t max)
{
	for (size_t i = 0; i < s.n && i < max; i++)
		if (s.p[i] == '=' || s.p[i] == ':')
			return s.p + i;
	return NULL;
}

/* How many bytes of rest, at most max, inih can be given; the next part begins after the white
 * space that follows, and neither there nor here stands what inih would drop. 0: nowhere. */
static size_t split_at(struct span rest, size_t min, size_t max, struct span *gap)
{
	for (size_t at = max; at > min; at--) {
		size_t end = at, next = at;
		while (end > min && is_space(rest.p[end - 1]))
			end--;
		while (is_space(rest.p[next]))
			next++;
		if (end > min && rest.p[next] != ';' && rest.p[next] != '#') {
			*gap = (struct span){ rest.p + end, next - end };
			return end;
		}
	}
	return 0;
}

/* Takes the next part of at most max bytes off the line. */
static int take_part(struct reader *r, size_t max, struct span *part)
{
	struct span gap = { 0 };
	*part = r->rest;
	r->rest.n = 0;
	if (part->n <= max)
		return 0;
	size_t min = 0;
	if (r->first && !r->continues) {
		const char *sep = separator(*part, max);
		if (!sep)
			return fail(r, r->line, "no `key = value`, or a key longer than 49 bytes");
		min = (size_t)(sep - part->p);
	}
	size_t n = split_at(*part, min, max, &gap);
	if (!n)
		return fail(r, r->line, "too many ; or # in a row: they cannot be told from comments");
	r->rest = (struct span){ gap.p + gap.n, part->n - n - gap.n };
	part->n = n;
	r->gap = gap;
	return 0;
}

/* inih's reader, in place of fgets. */
static char *next_part(char *mem, int size, void *stream)
{
	struct reader *r = stream;
	if (r->awaited)
		fail(r, r->line, "no `key = value`");
	bool more = !r->result && r->rest.n;
	if (!more && !next_line(r))
		return NULL;
	if (more) {
		r->awaited = true;
		r->first = false;
	}
	size_t lead = more || r->continues ? 1 : 0;
	struct span part, gap = r->gap;
	if (take_part(r, (size_t)size - 1 - lead, &part))
		return NULL;
	if (more)
		buf_put(&r->value, gap.p, r->value.len ? gap.n : 0);
	mem[0] = ' ';
	memcpy(mem + lead, part.p, part.n);
	mem[lead + part.n] = 0;
	return mem;
}

static int begin_value(struct reader *r, const char *section, const char *key)
{
	flush(r);
	if (r->result)
		return r->result;
	if (!*key)
		return fail(r, r->line, "no key before the =");
	if (strlen(key) > INIH_NAME_MAX)
		return fail(r, r->line, "the key is longer than 49 bytes");
	strcpy(r->key, key);
	strcpy(r->section, section);
	r->key_line = r->line;
	r->have_key = true;
	return 0;
}

/* inih's handler: 1 is success. */
static int on_value(void *user, const char *section, const char *key, const char *value)
{
	struct reader *r = user;
	r->awaited = false;
	if (r->result)
		return 0;
	if (r->first && r->continues)
		buf_putc(&r->value, '\n');
	else if (r->first && begin_value(r, section, key))
		return 0;
	buf_puts(&r->value, value);
	return 1;
}

int ini_read(const char *what, const char *text, size_t len, ini_fn *fn, void *arg, struct err *e)
{
	struct reader r = { .what = what, .text = { text, len }, .fn = fn, .arg = arg };
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		r.text = (struct span){ text + 3, len - 3 };
	int bad = ini_parse_stream(next_part, &r, on_value, &r);
	flush(&r);
	if (bad)
		fail(&r, r.line, "not understood");
	buf_free(&r.value);
	if (r.result && e)
		*e = r.err;
	return r.result;
}

/* True where inih, or next_part, would take the byte for something else than itself: white space at the ends, a
 * ';' or '#' that could begin a comment, many of them in a row. */
static bool needs_escape(const char *v, size_t len, size_t i)
{
	if (v[i] == ' ')
		return !i || i + 1 == len;
	if (v[i] == ';' || v[i] == '#')
		return !i || is_one_of(v[i - 1], " ;#");
	return v[i] == '\\' || (unsigned char)v[i] < 0x20 || v[i] == 0x7f;
}

void ini_write(struct buf *out, const char *key, const char *value, size_t len)
{
	buf_printf(out, "%s = ", key);
	for (size_t i = 0; i < len; i++) {
		char c = value[i];
		if (!needs_escape(value, len, i))
			buf_putc(out, c);
		else if (c == '\\' || c == '\n' || c == '\t')
			buf_puts(out, c == '\\' ? "\\\\" : c == '\n' ? "\\n" : "\\t");
		else
			buf_printf(out, "\\x%02x", (unsigned char)c);
	}
	buf_putc(out, '\n');
}

static int hex_byte(const char *p)
{
	static const char digits[] = "0123456789abcdef";
	const char *high = is_one_of(p[0], digits) ? strchr(digits, p[0]) : NULL;
	const char *low = is_one_of(p[1], digits) ? strchr(digits, p[1]) : NULL;
	return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* Puts what the escape at text stands for; the number of its bytes, 0: it is none. */
static size_t unescape_one(const char *text, size_t len, struct buf *out)
{
	if (len < 2)
		return 0;
	if (text[1] == '\\' || text[1] == 'n' || text[1] == 't') {
		buf_putc(out, text[1] == '\\' ? '\\' : text[1] == 'n' ? '\n' : '\t');
		return 2;
	}
	if (text[1] != 'x' || len < 4 || hex_byte(text + 2) < 0)
		return 0;
	buf_putc(out, (char)hex_byte(text + 2));
	return 4;
}

int ini_unescape(const char *text, size_t len, struct buf *out, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	for (size_t i = 0, n; i < len; i += n) {
		n = text[i] == '\\' ? unescape_one(text + i, len - i, &b) : 1;
		if (!n)
			return err_set(e, EINVAL, "the backslash at byte %zu is followed by none of \\ n t xHH", i + 1);
		if (text[i] != '\\')
			buf_putc(&b, text[i]);
	}
	if (!buf_status(&b))
		buf_put(out, b.data, b.len);
	return buf_status(&b) || buf_status(out) ? err_set(e, ENOMEM, "no memory") : 0;
}
