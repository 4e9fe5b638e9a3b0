/* runtime/parse/quantity: bytes, counts, CPU, times. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#define G (1024ull * 1024 * 1024)
#define OF(s) s, sizeof(s) - 1

struct number {
	const char *text;
	size_t len;
	int result;
	uint64_t value;
};

static const struct number bytes[] = {
	{ OF("0"), 0, 0 },
	{ OF("1"), 0, 1 },
	{ OF("268435456"), 0, G / 4 },
	{ OF("256M"), 0, G / 4 },
	{ OF("256m"), 0, G / 4 },
	{ OF("256Mi"), 0, G / 4 },
	{ OF(" 256M \n"), 0, G / 4 },
	{ OF("64k"), 0, 65536 },
	{ OF("64K"), 0, 65536 },
	{ OF("64Ki"), 0, 65536 },
	{ OF("1G"), 0, G },
	{ OF("1Gi"), 0, G },
	{ OF("1.5G"), 0, G + G / 2 },
	{ OF("0.5Ki"), 0, 512 },
	{ OF("0.0001K"), 0, 1 },
	{ OF("1.0000000000000000000000000001K"), 0, 1025 },
	{ OF("1T"), 0, 1024 * G },
	{ OF("1P"), 0, 1024 * 1024 * G },
	{ OF("1E"), 0, 1024 * 1024 * 1024 * G },
	{ OF("7E"), 0, 7ull << 60 },
	{ OF("1e9"), 0, 1000000000 },
	{ OF("1E9"), 0, 1000000000 },
	{ OF("1e+3"), 0, 1000 },
	{ OF("1.5e3"), 0, 1500 },
	{ OF("9223372036854775807"), 0, INT64_MAX },
	{ OF("00000000000000000000000000007"), 0, 7 },
	{ OF("max"), 0, LIMIT_MAX },
	{ OF("max\n"), 0, LIMIT_MAX },
	{ OF(""), -EINVAL },
	{ OF("\n"), -EINVAL },
	{ OF("10Q"), -EINVAL },
	{ OF("-1"), -EINVAL },
	{ OF("+1"), -EINVAL },
	{ OF("1e9G"), -EINVAL },
	{ OF("1e"), -EINVAL },
	{ OF("1e+"), -EINVAL },
	{ OF("1e-3"), -EINVAL },
	{ OF("1.5"), -EINVAL },
	{ OF("1."), -EINVAL },
	{ OF(".5G"), -EINVAL },
	{ OF("1.2.3G"), -EINVAL },
	{ OF("1 G"), -EINVAL },
	{ OF("1GB"), -EINVAL },
	{ OF("1Gib"), -EINVAL },
	{ OF("G"), -EINVAL },
	{ OF("0x10"), -EINVAL },
	{ OF("1,5G"), -EINVAL },
	{ OF("MAX"), -EINVAL },
	{ OF("maximum"), -EINVAL },
	{ OF("1\0"), -EINVAL },
	{ OF("1\0G"), -EINVAL },
	{ OF("256M\n256M"), -EINVAL },
	{ OF("8E"), -ERANGE },
	{ OF("9223372036854775808"), -ERANGE },
	{ OF("18446744073709551616"), -ERANGE },
	{ OF("99999999999999999999999999999999999999999999"), -ERANGE },
	{ OF("1e19"), -ERANGE },
	{ OF("1e99999999999999999999"), -ERANGE },
	{ OF("10e18"), -ERANGE },
};

static const struct number counts[] = {
	{ OF("0"), 0, 0 },
	{ OF("512\n"), 0, 512 },
	{ OF("max"), 0, LIMIT_MAX },
	{ OF("9223372036854775807"), 0, INT64_MAX },
	{ OF(""), -EINVAL },
	{ OF("-1"), -EINVAL },
	{ OF("1K"), -EINVAL },
	{ OF("1.0"), -EINVAL },
	{ OF("1 2"), -EINVAL },
	{ OF("1\0002"), -EINVAL },
	{ OF("9223372036854775808"), -ERANGE },
};

typedef int parse_fn(const char *text, size_t len, uint64_t *out, struct err *e);

static void check(parse_fn *parse, const struct number *t)
{
	_cleanup_free_ char *text = exact(t->text, t->len);
	uint64_t v = 12345;
	struct err e = { 0 };
	int r = parse(text, t->len, &v, &e);
	if (r != t->result || v != (r ? 12345 : t->value))
		fail_msg("%s: result %d, value %llu", t->text, r, (unsigned long long)v);
	assert_int_equal(e.code, -r);
	assert_int_equal(parse(text, t->len, &v, NULL), r);
}

static void bytes_are_read(void **state)
{
	EACH(bytes, i)
		check(parse_bytes, &bytes[i]);
}

static void counts_are_read(void **state)
{
	EACH(counts, i)
		check(parse_count, &counts[i]);
}

static void a_megabyte_is_an_error(void **state)
{
	_cleanup_free_ char *digits = filled(1 << 20, '9'), *blanks = filled(1 << 20, ' ');
	struct err e;
	uint64_t v;
	uint32_t s;
	assert_int_equal(parse_bytes(digits, 1 << 20, &v, &e), -ERANGE);
	assert_int_equal(parse_bytes(blanks, 1 << 20, &v, &e), -EINVAL);
	assert_int_equal(parse_count(digits, 1 << 20, &v, &e), -ERANGE);
	assert_int_equal(parse_cpu(digits, 1 << 20, &v, &v, &e), -ERANGE);
	assert_int_equal(parse_seconds(digits, 1 << 20, &s, &e), -ERANGE);
	memset(digits, '0', 1 << 19);
	assert_int_equal(parse_bytes(digits, 1 << 19, &v, &e), 0);
}

static void the_sentence_helps(void **state)
{
	struct err e;
	uint64_t v;
	parse_bytes("10Q", 3, &v, &e);
	assert_string_equal(e.text, "10Q is not a quantity (try 256M, 1Gi, max)");
	parse_bytes("", 0, &v, &e);
	assert_string_equal(e.text, "\"\" is not a quantity (try 256M, 1Gi, max)");
	parse_bytes("8E", 2, &v, &e);
	assert_string_equal(e.text, "8E is too big");
}

static const struct {
	const char *text;
	int result;
	uint64_t quota, period;
} cpus[] = {
	{ "0.5", 0, 50000, 100000 },
	{ "2", 0, 200000, 100000 },
	{ "1.25\n", 0, 125000, 100000 },
	{ "500m", 0, 50000, 100000 },
	{ "1500m", 0, 150000, 100000 },
	{ "10m", 0, 1000, 100000 },
	{ "0.01", 0, 1000, 100000 },
	{ "0.333333333", 0, 33334, 100000 },
	{ "8192", 0, 819200000, 100000 },
	{ "max", 0, LIMIT_MAX, 100000 },
	{ "max 100000", 0, LIMIT_MAX, 100000 },
	{ "max 50000", 0, LIMIT_MAX, 50000 },
	{ "50000 100000", 0, 50000, 100000 },
	{ " 50000\t100000 \n", 0, 50000, 100000 },
	{ "1000 1000", 0, 1000, 1000 },
	{ "5000000 1000000", 0, 5000000, 1000000 },
	{ "17592186044415 100000", 0, 17592186044415, 100000 },
	{ "", -EINVAL },
	{ "0", -EINVAL },
	{ "9m", -EINVAL },
	{ "0.001", -EINVAL },
	{ "-1", -EINVAL },
	{ "1e3", -EINVAL },
	{ "0.5 100000", -EINVAL },
	{ "500m 100000", -EINVAL },
	{ "50000", -EINVAL },
	{ "8193", -EINVAL },
	{ "50000 100000 1", -EINVAL },
	{ "999 100000", -EINVAL },
	{ "50000 999", -EINVAL },
	{ "50000 1000001", -EINVAL },
	{ "50000 max", -EINVAL },
	{ "max max", -EINVAL },
	{ "500M", -EINVAL },
	{ "0.5 cpu", -EINVAL },
	{ "17592186044416 100000", -ERANGE },
	{ "99999999999999999999 100000", -ERANGE },
	{ "99999999999999999999", -ERANGE },
};

static void cpus_are_read(void **state)
{
	EACH(cpus, i) {
		size_t len = strlen(cpus[i].text);
		_cleanup_free_ char *text = exact(cpus[i].text, len);
		uint64_t quota = 1, period = 1;
		struct err e = { 0 };
		int r = parse_cpu(text, len, &quota, &period, &e);
		if (r != cpus[i].result || quota != (r ? 1 : cpus[i].quota) || period != (r ? 1 : cpus[i].period))
			fail_msg("%s: result %d (%s)", cpus[i].text, r, e.text);
	}
}

static const struct {
	const char *text;
	int seconds_result, millis_result;
	uint32_t ms;
} times[] = {
	{ "0", 0, 0, 0 },
	{ "30", 0, 0, 30000 },
	{ "30s\n", 0, 0, 30000 },
	{ "2m", 0, 0, 120000 },
	{ "1h", 0, 0, 3600000 },
	{ "31536000", 0, -ERANGE, 0 },
	{ "0.1", -EINVAL, 0, 100 },
	{ "0.5m", -EINVAL, 0, 30000 },
	{ "1.2345", -EINVAL, 0, 1235 },
	{ "4294967.295", -EINVAL, 0, UINT32_MAX },
	{ "4294967.296", -EINVAL, -ERANGE, 0 },
	{ "31536001", -ERANGE, -ERANGE, 0 },
	{ "8761h", -ERANGE, -ERANGE, 0 },
	{ "99999999999999999999999999", -ERANGE, -ERANGE, 0 },
	{ "", -EINVAL, -EINVAL, 0 },
	{ "s", -EINVAL, -EINVAL, 0 },
	{ "-1", -EINVAL, -EINVAL, 0 },
	{ "1d", -EINVAL, -EINVAL, 0 },
	{ "1h30m", -EINVAL, -EINVAL, 0 },
	{ "max", -EINVAL, -EINVAL, 0 },
};

static void times_are_read(void **state)
{
	EACH(times, i) {
		size_t len = strlen(times[i].text);
		_cleanup_free_ char *text = exact(times[i].text, len);
		uint32_t s = 7, ms = 7;
		struct err e = { 0 };
		int rs = parse_seconds(text, len, &s, &e), rm = parse_millis(text, len, &ms, &e);
		if (rs != times[i].seconds_result || rm != times[i].millis_result)
			fail_msg("%s: %d, %d (%s)", times[i].text, rs, rm, e.text);
		assert_int_equal(ms, rm ? 7 : times[i].ms);
		if (!rs && !rm)
			assert_int_equal(s, times[i].ms / 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_read),
		cmocka_unit_test(counts_are_read),
		cmocka_unit_test(cpus_are_read),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(a_megabyte_is_an_error),
		cmocka_unit_test(the_sentence_helps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
