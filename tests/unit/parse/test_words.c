/* runtime/parse/words and json: splitting as a shell does, and back. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#define OF(s) s, sizeof(s) - 1
#define MAX 5

static const struct {
	const char *text;
	size_t len;
	const char *words[MAX]; /* NULL first: none */
} good[] = {
	{ OF(""), { 0 } },
	{ OF("  \t\n"), { 0 } },
	{ OF("nginx -g daemon"), { "nginx", "-g", "daemon" } },
	{ OF("  a   b\tc\nd \n"), { "a", "b", "c", "d" } },
	{ OF("'a b' \"c d\""), { "a b", "c d" } },
	{ OF("a'b c'd\"e f\"g"), { "ab cde fg" } },
	{ OF("'' \"\""), { "", "" } },
	{ OF("''a"), { "a" } },
	{ OF("a\\ b \\' \\\" \\\\"), { "a b", "'", "\"", "\\" } },
	{ OF("'a\\b'"), { "a\\b" } },
	{ OF("\"a\\b \\\" \\\\ \\$x \\`\""), { "a\\b \" \\ $x `" } },
	{ OF("\"it's\" 'say \"x\"'"), { "it's", "say \"x\"" } },
	{ OF("a\\\nb"), { "ab" } },
	{ OF("a \\\n b"), { "a", "b" } },
	{ OF("\"a\\\nb\""), { "ab" } },
	{ OF("'a\nb'"), { "a\nb" } },
	{ OF("echo $HOME * ~ #x; y | z"), { "echo", "$HOME", "*", "~", "#x;" } },
	{ OF("\\[ a"), { "[", "a" } },
	{ OF("'[' a ]"), { "[", "a", "]" } },
	{ OF("a [b]"), { "a", "[b]" } },
	{ OF("\xc3\xa4 \xff"), { "\xc3\xa4", "\xff" } },
	{ OF("[]"), { 0 } },
	{ OF(" [ ] \n"), { 0 } },
	{ OF("[\"a\"]"), { "a" } },
	{ OF("\n\v [ \"a b\" ,\t\"\" ]\n"), { "a b", "" } },
	{ OF("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), { "\"\\/\b\f\n\r\t" } },
	{ OF("[\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"]"), { "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" } },
	{ OF("[\"\xc3\xa4\xf0\x9f\x98\x80\"]"), { "\xc3\xa4\xf0\x9f\x98\x80" } },
	{ OF("[\"sh\", \"-c\", \"echo 'x y'; exit 3\"]"), { "sh", "-c", "echo 'x y'; exit 3" } },
};

static const struct {
	const char *text;
	size_t len;
	const char *why; /* part of the sentence */
} bad[] = {
	{ OF("'a"), "quote ' at byte 1 is not closed" },
	{ OF("a \"b"), "quote \" at byte 3 is not closed" },
	{ OF("\"a\\\""), "not closed" },
	{ OF("a \\"), "nothing follows the backslash at byte 3" },
	{ OF("a\0b"), "NUL" },
	{ OF("['a']"), "string expected at byte 2" },
	{ OF("["), "string expected" },
	{ OF("[\"a\""), "',' or ']' expected" },
	{ OF("[\"a\" \"b\"]"), "',' or ']' expected at byte 6" },
	{ OF("[\"a\",]"), "string expected at byte 6" },
	{ OF("[,]"), "string expected" },
	{ OF("[\"a\"] x"), "nothing more expected at byte 7" },
	{ OF("[\"a\"]]"), "nothing more" },
	{ OF("[1]"), "string expected" },
	{ OF("[null]"), "string expected" },
	{ OF("[[\"a\"]]"), "string expected" },
	{ OF("[ -f x ]"), "string expected" },
	{ OF("[\"a"), "string not closed" },
	{ OF("[\"a\\"), "unknown escape" },
	{ OF("[\"\\x\"]"), "unknown escape" },
	{ OF("[\"\\u12\"]"), "four hexadecimal digits" },
	{ OF("[\"\\u0000\"]"), "U+0000" },
	{ OF("[\"\\ud800\"]"), "surrogate" },
	{ OF("[\"\\ud800\\n\"]"), "surrogate" },
	{ OF("[\"\\ud800\\u0041\"]"), "surrogate" },
	{ OF("[\"\\udc00\"]"), "surrogate" },
	{ OF("[\"a\nb\"]"), "control character" },
	{ OF("[\"\x1f\"]"), "control character" },
	{ OF("[\"\xff\"]"), "not UTF-8" },
	{ OF("[\"\xc0\x80\"]"), "not UTF-8" },
	{ OF("[\"\xed\xa0\x80\"]"), "not UTF-8" },
	{ OF("[\"\xf4\x90\x80\x80\"]"), "not UTF-8" },
	{ OF("[\"\xe2\x82\"]"), "not UTF-8" },
};

static void same(const struct strs *a, const struct strs *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_string_equal(a->v[i], b->v[i]);
}

static void reads_back(const struct strs *words)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct strs again = { 0 };
	format_words(words, &b);
	_cleanup_free_ char *text = exact(b.data, b.len);
	assert_int_equal(parse_words(text, b.len, &again, NULL), 0);
	same(words, &again);
	strs_free(&again);
}

static void words_are_split(void **state)
{
	EACH(good, i) {
		_cleanup_free_ char *text = exact(good[i].text, good[i].len);
		struct strs w = { 0 };
		struct err e = { 0 };
		if (parse_words(text, good[i].len, &w, &e))
			fail_msg("%s: %s", good[i].text, e.text);
		size_t n = 0;
		for (; n < MAX && good[i].words[n]; n++) {
			assert_true(n < w.n);
			assert_string_equal(w.v[n], good[i].words[n]);
		}
		if (n < MAX)
			assert_int_equal(w.n, n);
		if (w.v)
			assert_null(w.v[w.n]);
		reads_back(&w);
		strs_free(&w);
	}
}

static void bad_words_are_refused(void **state)
{
	EACH(bad, i) {
		_cleanup_free_ char *text = exact(bad[i].text, bad[i].len);
		struct strs w = { 0 };
		struct err e = { 0 };
		if (parse_words(text, bad[i].len, &w, &e) != -EINVAL || !strstr(e.text, bad[i].why))
			fail_msg("%s: %s", bad[i].text, e.text);
		assert_null(w.v);
	}
}

static void all_bytes_come_back(void **state)
{
	char every[256], word[2] = { 0 };
	struct strs w = { 0 };
	for (int i = 1; i < 256; i++) {
		every[i - 1] = word[0] = (char)i;
		assert_int_equal(strs_add(&w, word, 1), 0);
	}
	assert_int_equal(strs_add(&w, every, 255), 0);
	reads_back(&w);
	strs_free(&w);
}

static void written_as(const char *const text[][2], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct strs w = { 0 };
		_cleanup_buf_ struct buf b = { 0 };
		assert_int_equal(parse_words(text[i][0], strlen(text[i][0]), &w, NULL), 0);
		format_words(&w, &b);
		assert_string_equal(buf_str(&b), text[i][1]);
		reads_back(&w);
		strs_free(&w);
	}
}

static void simple_words_stay_plain(void **state)
{
	static const char *const text[][2] = {
		{ "nginx -g 'daemon off;'", "nginx -g 'daemon off;'" },
		{ "sh -c \"it's\"", "sh -c 'it'\\''s'" },
		{ "[\"/bin/a\",\"--x=y,z\",\"user@host:80\",\"100%\"]", "/bin/a --x=y,z user@host:80 100%" },
		{ "'[' x ]", "'[' x ']'" },
		{ "[]", "[]" },
	};
	written_as(text, ARRAY_LEN(text));
}

static void words_of_several_lines_are_one_line_of_json(void **state)
{
	static const char *const text[][2] = {
		{ "a '\n'", "[\"a\",\"\\n\"]" },
		{ "sh -c 'echo \"it'\\''s\"\n\techo /\\\n'", "[\"sh\",\"-c\",\"echo \\\"it's\\\"\\n\\techo /\\\\\\n\"]" },
		{ "[\"\\n\\u0001\\u007f\\u00e9\\b\"]", "[\"\\n\\u0001\x7f\xc3\xa9\\b\"]" },
		{ "'a\tb'", "'a\tb'" },
		{ "'\xff\n'", "'\xff\n'" },
	};
	written_as(text, ARRAY_LEN(text));
}

static void there_are_bounds(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct strs w = { 0 };
	struct err e;
	for (int i = 0; i < 4096; i++)
		buf_puts(&b, "x ");
	assert_int_equal(parse_words(b.data, b.len, &w, &e), 0);
	assert_int_equal(w.n, 4096);
	strs_free(&w);
	buf_puts(&b, "x");
	assert_int_equal(parse_words(b.data, b.len, &w, &e), -E2BIG);
	buf_reset(&b);
	buf_puts(&b, "[\"x\"");
	for (int i = 0; i < 4096; i++)
		buf_puts(&b, ",\"\"");
	buf_puts(&b, "]");
	assert_int_equal(parse_words(b.data, b.len, &w, &e), -E2BIG);
	_cleanup_free_ char *mega = filled(1 << 20, 'w'), *open = filled(1 << 20, '[');
	assert_int_equal(parse_words(mega, 1 << 20, &w, &e), 0);
	reads_back(&w);
	strs_free(&w);
	assert_int_equal(parse_words(open, 1 << 20, &w, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split),
		cmocka_unit_test(bad_words_are_refused),
		cmocka_unit_test(all_bytes_come_back),
		cmocka_unit_test(simple_words_stay_plain),
		cmocka_unit_test(words_of_several_lines_are_one_line_of_json),
		cmocka_unit_test(there_are_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
