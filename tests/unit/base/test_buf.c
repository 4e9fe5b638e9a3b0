/* runtime/base/buf and err. */
#include "runtime/base/err.h"
#include "runtime/base/util.h"
#include "tests/unit/unit.h"

static void grows(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	buf_put(&b, "a\0b", 3);
	buf_putc(&b, '!');
	buf_puts(&b, "end");
	assert_int_equal(buf_status(&b), 0);
	assert_memory_equal(b.data, "0,1,2,", 6);
	assert_memory_equal(b.data + b.len - 7, "a\0b!end", 8);
}

static void nothing_put(void **state)
{
	struct buf b = { 0 };
	buf_put(&b, NULL, 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_status(&b), 0);
	buf_free(&b);
	assert_null(b.data);
}

static void drops_the_front(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_drop_front(&b, 10);
	buf_puts(&b, "hello world");
	buf_drop_front(&b, 6);
	assert_string_equal(buf_str(&b), "world");
	buf_drop_front(&b, 100);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
}

static void failure_stays(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	buf_puts(&b, "x");
	buf_put(&b, "y", SIZE_MAX / 2);
	assert_int_equal(buf_status(&b), -ENOMEM);
	buf_puts(&b, "z");
	assert_string_equal(buf_str(&b), "x");
	buf_reset(&b);
	assert_int_equal(buf_status(&b), 0);
}

static void errors_are_sentences(void **state)
{
	struct err e = { 0 };
	assert_int_equal(err_set(&e, EINVAL, "%s is\nbad", "x"), -EINVAL);
	assert_string_equal(e.text, "x is?bad");
	assert_int_equal(err_prefix(&e, "pod %s", "web"), -EINVAL);
	assert_string_equal(e.text, "pod web: x is?bad");
	assert_int_equal(err_sys(&e, ENOENT, "/etc/x"), -ENOENT);
	assert_string_equal(e.text, "/etc/x: No such file or directory");
	assert_int_equal(err_set(NULL, EPERM, "nobody reads it"), -EPERM);
}

static void long_sentences_end(void **state)
{
	struct err e = { 0 };
	_cleanup_free_ char *s = filled(2000, 'a');
	err_set(&e, E2BIG, "%s", s);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
	err_prefix(&e, "%s", s);
	assert_int_equal(e.code, E2BIG);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(nothing_put),
		cmocka_unit_test(drops_the_front),
		cmocka_unit_test(failure_stays),
		cmocka_unit_test(errors_are_sentences),
		cmocka_unit_test(long_sentences_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
