/* Words: how `command`, `args` and `cmd` are split, and written again.
 *
 * Shell quoting without a shell: no expansion, no comments, no operators.
 * A JSON array is read in json.c.
 */
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"
#include "runtime/parse/words.h"

#include <errno.h>
#include <string.h>

struct splitter {
	const char *text;
	size_t len, pos;
	struct buf word;
	bool open; /* a word has begun: also an empty one, by its quotes */
	struct strs *out;
	struct err *e;
};

int words_add(struct strs *out, const struct buf *word, struct err *e)
{
	if (out->n >= WORDS_MAX)
		return err_set(e, E2BIG, "more than %d words", WORDS_MAX);
	if (buf_status(word) || strs_add(out, buf_str(word), word->len))
		return err_set(e, ENOMEM, "no memory for the words");
	return 0;
}

static int end_word(struct splitter *s)
{
	if (!s->open)
		return 0;
	int r = words_add(s->out, &s->word, s->e);
	buf_reset(&s->word);
	s->open = false;
	return r;
}

/* '…': everything as it stands. */
static int single_quoted(struct splitter *s)
{
	size_t start = s->pos++;
	const char *end = memchr(s->text + s->pos, '\'', s->len - s->pos);
	if (!end)
		return err_set(s->e, EINVAL, "quote ' at byte %zu is not closed", start + 1);
	size_t n = (size_t)(end - (s->text + s->pos));
	buf_put(&s->word, s->text + s->pos, n);
	s->pos += n + 1;
	return 0;
}

/* "…": a backslash quotes only what POSIX lists (XCU 2.2.3), otherwise it stays. */
static int double_quoted(struct splitter *s)
{
	size_t start = s->pos++;
	for (; s->pos < s->len; s->pos++) {
		char c = s->text[s->pos];
		if (c == '"') {
			s->pos++;
			return 0;
		}
		if (c == '\\' && s->pos + 1 < s->len && strchr("\"\\$`\n", s->text[s->pos + 1])) {
			c = s->text[++s->pos];
			if (c == '\n')
				continue;
		}
		buf_putc(&s->word, c);
	}
	return err_set(s->e, EINVAL, "quote \" at byte %zu is not closed", start + 1);
}

/* Outside of quotes: the next byte as it is; backslash and newline together are nothing. */
static int backslash(struct splitter *s)
{
	if (s->pos + 1 >= s->len)
		return err_set(s->e, EINVAL, "nothing follows the backslash at byte %zu", s->pos + 1);
	char c = s->text[s->pos + 1];
	s->pos += 2;
	if (c == '\n')
		return 0;
	s->open = true;
	buf_putc(&s->word, c);
	return 0;
}

static int split_step(struct splitter *s)
{
	char c = s->text[s->pos];
	if (is_space(c)) {
		s->pos++;
		return end_word(s);
	}
	if (c == '\\')
		return backslash(s);
	s->open = true;
	if (c == '\'')
		return single_quoted(s);
	if (c == '"')
		return double_quoted(s);
	buf_putc(&s->word, c);
	s->pos++;
	return 0;
}

static int split(const char *text, size_t len, struct strs *out, struct err *e)
{
	struct splitter s = { .text = text, .len = len, .out = out, .e = e };
	int r = 0;
	while (!r && s.pos < s.len)
		r = split_step(&s);
	if (!r)
		r = end_word(&s);
	buf_free(&s.word);
	return r;
}

int parse_words(const char *text, size_t len, struct strs *out, struct err *e)
{
	struct strs words = { 0 };
	struct span s = span_trim(text, len);
	if (len && memchr(text, 0, len))
		return err_set(e, EINVAL, "a NUL byte cannot be part of a word");
	int r = s.n && s.p[0] == '[' ? json_words(text, len, &words, e) : split(text, len, &words, e);
	if (r) {
		strs_free(&words);
		return r;
	}
	*out = words;
	return 0;
}

/* Nothing in it means anything to a shell either, so that a person can paste it. */
static bool is_plain(const char *w)
{
	if (!*w)
		return false;
	for (; *w; w++)
		if (!is_alnum(*w) && !is_one_of(*w, "_-./:=@%+,") && (unsigned char)*w < 0x80)
			return false;
	return true;
}

static void put_quoted(const char *w, struct buf *out)
{
	buf_putc(out, '\'');
	for (; *w; w++) {
		if (*w == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *w);
	}
	buf_putc(out, '\'');
}

static bool has_newline(const struct strs *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (strchr(words->v[i], '\n'))
			return true;
	return false;
}

static bool is_json(const struct strs *words)
{
	for (size_t i = 0; i < words->n; i++)
		if (!span_utf8((struct span){ words->v[i], strlen(words->v[i]) }))
			return false;
	return true;
}

static void put_words(const struct strs *words, struct buf *out)
{
	for (size_t i = 0; i < words->n; i++) {
		if (i)
			buf_putc(out, ' ');
		if (is_plain(words->v[i]))
			buf_puts(out, words->v[i]);
		else
			put_quoted(words->v[i], out);
	}
}

/* Shells write a text line by line, so that only one of one line can be written back. What is not UTF-8 is no JSON. */
void format_words(const struct strs *words, struct buf *out)
{
	if (!words->n || (has_newline(words) && is_json(words)))
		json_put_words(words, out);
	else
		put_words(words, out);
}
