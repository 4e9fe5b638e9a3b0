/* runtime/parse/ini: nothing is lost on the way through inih. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* What the reader told, as `SECTION/KEY@LINE=VALUE|`. */
static int tell(void *arg, const char *section, const char *key, const char *value, size_t len, int line, struct err *e)
{
	struct buf *b = arg;
	buf_printf(b, "%s/%s@%d=", section, key, line);
	buf_put(b, value, len);
	buf_putc(b, '|');
	return 0;
}

static int read_ini(const char *given, size_t len, struct buf *out, struct err *e)
{
	_cleanup_free_ char *text = exact(given, len);
	return ini_read("F", text, len, tell, out, e);
}

static void reads(const char *text, const char *expected)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct err e = { 0 };
	if (read_ini(text, strlen(text), &b, &e))
		fail_msg("%.60s: %s", text, e.text);
	assert_string_equal(buf_str(&b), expected);
}

static void refuses(const char *text, size_t len, const char *why)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct err e = { 0 };
	assert_int_equal(read_ini(text, len, &b, &e), -EINVAL);
	if (strncmp(e.text, why, strlen(why)))
		fail_msg("%s, not %s", e.text, why);
	assert_int_equal(read_ini(text, len, &b, NULL), -EINVAL);
}

static void lines_are_read(void **state)
{
	reads("", "");
	reads("\n\n", "");
	reads("[a]\nb = c\n", "a/b@2=c|");
	reads("b=c", "/b@1=c|");
	reads("\xef\xbb\xbf[a]\nb=c", "a/b@2=c|");
	reads("[a]\r\nb = c\r\n", "a/b@2=c|");
	reads("[a]\n  b : c d  \n", "a/b@2=c d|");
	reads("b=\n", "/b@1=|");
	reads("b= ;c\n", "/b@1=|");
	reads("b=;c\n", "/b@1=;c|");
	reads("b=c;d ;e\n", "/b@1=c;d|");
	reads("b=c #d\n", "/b@1=c #d|");
	reads("; x\n # y\nb=c\n;z", "/b@3=c|");
	reads("[a]\nb=c\n[a]\n b=d\n", "a/b@2=c|a/b@4=d|");
	reads("[ a ]x\nb=c\n", " a /b@2=c|");
	reads("b=c\n  d\n\n  e ;x\nf=g", "/b@1=c\nd\ne|/f@5=g|");
	reads("b=c\n  d=e\n [x]\n", "/b@1=c\nd=e\n[x]|");
	reads("b=c=d:e\n", "/b@1=c=d:e|");
}

static void bad_lines_are_refused(void **state)
{
#define REFUSES(text, why) refuses(text, sizeof(text) - 1, why)
	REFUSES("a", "F:1: no `key = value`");
	REFUSES("\n; x\n[s]\nfoo\na=b", "F:4: no `key = value`");
	REFUSES("a=b\nfoo\n", "F:2: no `key = value`");
	REFUSES("[a\n", "F:1: a section has no ]");
	REFUSES("[a ;b]\n", "F:1: a section has no ]");
	REFUSES("a=b\n\n=c\n", "F:3: no key before the =");
	REFUSES("a=b\0c\n", "F:1: a NUL byte");
	REFUSES("a=b\n\0", "F:2: a NUL byte");
	REFUSES("x=1\nk01234567890123456789012345678901234567890123456789=v", "F:2: the key is longer than 49 bytes");
	REFUSES("[s01234567890123456789012345678901234567890123456789]", "F:1: the name of the section is longer than 49");
#undef REFUSES
	reads("[s123456789012345678901234567890123456789012345678]\nk123456789012345678901234567890123456789012345678=v\n w\n",
	      "s123456789012345678901234567890123456789012345678/k123456789012345678901234567890123456789012345678@2=v\nw|");
}

static int picky(void *arg, const char *section, const char *key, const char *value, size_t len, int line, struct err *e)
{
	return strcmp(value, "bad") ? 0 : err_set(e, ENOSPC, "%s is bad", key);
}

static void the_caller_may_refuse(void **state)
{
	struct err e = { 0 };
	const char *text = "a=1\nb=bad\nc=2\nfoo\n";
	assert_int_equal(ini_read("F", text, strlen(text), picky, NULL, &e), -ENOSPC);
	assert_string_equal(e.text, "F:2: b is bad");
	assert_int_equal(e.code, ENOSPC);
	assert_int_equal(ini_read("F", text, strlen(text), picky, NULL, NULL), -ENOSPC);
}

/* A line that a person wrote, with value in it, is read as it stands. */
static void carries(const char *value)
{
	_cleanup_buf_ struct buf text = { 0 }, expected = { 0 };
	buf_printf(&text, "[s]\nx=1\nkey = %s\n  %s ; comment\ny = 2", value, value);
	buf_printf(&expected, "s/x@2=1|s/key@3=%s\n%s|s/y@5=2|", value, value);
	reads(text.data, expected.data);
}

static void long_lines_are_carried(void **state)
{
	static const size_t lengths[] = { 150, 180, 190, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 395, 10000, 60000 };
	static const char *const fillings[] = { "x", "ab ", "a b ", "a#", "ab;", "=", "[", "\xc3\xa4", "a  b\t#" };
	EACH(lengths, i) EACH(fillings, f) {
		_cleanup_buf_ struct buf v = { 0 };
		while (v.len < lengths[i])
			buf_puts(&v, fillings[f]);
		while (v.data[v.len - 1] == ' ')
			v.data[--v.len] = 0;
		carries(v.data);
	}
}

static void white_space_is_carried(void **state)
{
	_cleanup_free_ char *blanks = filled(5000, ' ');
	_cleanup_buf_ struct buf v = { 0 };
	buf_printf(&v, "a%sb%sc", blanks, blanks);
	carries(v.data);
	_cleanup_buf_ struct buf text = { 0 };
	buf_printf(&text, "%skey%s=%sv%s\n", blanks, " ", blanks, blanks);
	reads(text.data, "/key@1=v|");
}

static void long_comments_are_nothing(void **state)
{
	_cleanup_free_ char *x = filled(5000, 'x');
	_cleanup_buf_ struct buf text = { 0 };
	buf_printf(&text, "; %s = %s\n  # a=%s\n[s] ; %s\nk = v ; %s = %s\n[t] %s\nl=w", x, x, x, x, x, x, x);
	reads(text.data, "s/k@4=v|t/l@6=w|");
}

static void what_cannot_be_carried_is_refused(void **state)
{
	_cleanup_free_ char *semi = filled(300, ';'), *x = filled(300, 'x');
	_cleanup_buf_ struct buf text = { 0 };
	buf_printf(&text, "a=b\nkey = x%s\n", semi);
	refuses(text.data, text.len, "F:2: too many ; or # in a row");
	buf_reset(&text);
	buf_printf(&text, "a=b\n%s = c\n", x);
	refuses(text.data, text.len, "F:2: no `key = value`, or a key longer than 49 bytes");
	buf_reset(&text);
	buf_printf(&text, "a=b\n[%s]\n", x);
	refuses(text.data, text.len, "F:2: the name of the section");
	buf_reset(&text);
	buf_printf(&text, "a=b\n%s\n", x);
	refuses(text.data, text.len, "F:2: no `key = value`");
}

/* --- values that are written come back --- */

static struct buf back;

static int keep(void *arg, const char *section, const char *key, const char *value, size_t len, int line, struct err *e)
{
	buf_reset(&back);
	return ini_unescape(value, len, &back, e);
}

static void comes_back(const char *value, size_t len)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct err e = { 0 };
	ini_write(&text, "key", value, len);
	assert_int_equal(text.data[text.len - 1], '\n');
	assert_ptr_equal(memchr(text.data, '\n', text.len), text.data + text.len - 1);
	if (ini_read("F", text.data, text.len, keep, NULL, &e))
		fail_msg("%zu bytes, %.20s: %s", len, value, e.text);
	assert_int_equal(back.len, len);
	if (len)
		assert_memory_equal(back.data, value, len);
}

static void every_byte_comes_back(void **state)
{
	char all[256 * 2];
	for (int i = 0; i < 256; i++) {
		char c = (char)i, around[] = { 'a', c, 'b' };
		all[i] = all[511 - i] = c;
		comes_back(&c, 1);
		comes_back(around, 3);
		comes_back(around, 2);
		comes_back(around + 1, 2);
	}
	comes_back(all, sizeof all);
}

static void hard_values_come_back(void **state)
{
	static const char *const v[] = {
		"", " ", "  x  ", "\n", "\n\n", "a\nb\n", "\t", ";", "#", " ;", "a ;b", "a;b", ";;;", "\\", "\\n", "\\x41", "[s]",
		"a=b", "a:b", "\r\n", "x\r", "\xef\xbb\xbf", "# x", "a #b", "\"", "'",
	};
	EACH(v, i)
		comes_back(v[i], strlen(v[i]));
}

static void long_values_come_back(void **state)
{
	static const size_t lengths[] = { 190, 196, 197, 198, 200, 1000, 5000, 10240, 60000 };
	static const char sets[][8] = { ";", " ", "#", "\\", "\n", "a ", "ab ", " ;", "a;# ", "ab\n", "\xc3\xa4" };
	unsigned seed = 1;
	EACH(lengths, i) EACH(sets, s) {
		_cleanup_free_ char *v = filled(lengths[i], 0);
		size_t n = strlen(sets[s]);
		for (size_t k = 0; k < lengths[i]; k++)
			v[k] = sets[s][k % n];
		comes_back(v, lengths[i]);
		for (size_t k = 0; k < lengths[i]; k++) {
			seed = seed * 1103515245 + 12345;
			v[k] = sets[s][(seed >> 16) % n];
		}
		comes_back(v, lengths[i]);
	}
}

static void people_can_read_it(void **state)
{
	static const char command[] = "sh -c 'while :; do wget -qO- http://127.0.0.1/; sleep 1; done'";
	_cleanup_buf_ struct buf b = { 0 };
	ini_write(&b, "command", command, strlen(command));
	ini_write(&b, "labels", "a=b\nc=d", 7);
	assert_string_equal(buf_str(&b),
			    "command = sh -c 'while :; do wget -qO- http://127.0.0.1/; sleep 1; done'\nlabels = a=b\\nc=d\n");
}

static void bad_escapes_are_refused(void **state)
{
	static const char *const v[] = { "\\", "a\\", "\\y", "\\x", "\\x4", "\\x4g", "\\xAB", "\\0" };
	EACH(v, i) {
		_cleanup_buf_ struct buf b = { 0 };
		_cleanup_free_ char *text = exact(v[i], strlen(v[i]));
		struct err e = { 0 };
		buf_puts(&b, "kept");
		assert_int_equal(ini_unescape(text, strlen(v[i]), &b, &e), -EINVAL);
		assert_string_equal(buf_str(&b), "kept");
	}
	_cleanup_buf_ struct buf b = { 0 };
	assert_int_equal(ini_unescape("\\\\\\n\\t\\x00\\xff", 14, &b, NULL), 0);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "\\\n\t\0\xff", 5);
}

static int free_back(void **state)
{
	buf_free(&back);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(bad_lines_are_refused),
		cmocka_unit_test(the_caller_may_refuse),
		cmocka_unit_test(long_lines_are_carried),
		cmocka_unit_test(white_space_is_carried),
		cmocka_unit_test(long_comments_are_nothing),
		cmocka_unit_test(what_cannot_be_carried_is_refused),
		cmocka_unit_test(every_byte_comes_back),
		cmocka_unit_test(hard_values_come_back),
		cmocka_unit_test(long_values_come_back),
		cmocka_unit_test(people_can_read_it),
		cmocka_unit_test(bad_escapes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, free_back);
}
