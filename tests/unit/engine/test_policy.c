/* Decisions of the engine about images: who is pulled, how long a pull backs off, how fast it is, which image goes. */
#include "runtime/engine/private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000ull

static void which_start_needs_a_pull(void **state)
{
	static const struct { enum pull_policy policy; bool present; enum start_how how; } t[] = {
		{ PULL_IF_NOT_PRESENT, true, START_NOW }, { PULL_IF_NOT_PRESENT, false, START_PULLS },
		{ PULL_ALWAYS, true, START_PULLS }, { PULL_ALWAYS, false, START_PULLS },
		{ PULL_NEVER, true, START_NOW }, { PULL_NEVER, false, START_REFUSED },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(start_how(t[i].policy, t[i].present), t[i].how);
}

static void backoff_doubles_to_the_cap(void **state)
{
	static const uint64_t want[] = { 10, 20, 40, 80, 160, 300, 300 };
	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(pull_backoff_ms(i + 1, 10, 300), want[i]);
	assert_int_equal(pull_backoff_ms(4000000000u, 10, 300), 300);
	assert_int_equal(pull_backoff_ms(1, 500, 300), 300); /* a base above the cap */
	assert_int_equal(pull_backoff_ms(100, UINT32_MAX, UINT32_MAX), UINT32_MAX);
}

static void some_failures_are_final(void **state)
{
	static const int final[] = { ENOENT, EACCES, EPERM, EINVAL, ENOSYS };
	static const int passing[] = { EIO, ENOSPC, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, EPROTO, EBADMSG, EREMOTEIO };
	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		assert_true(pull_hopeless(final[i]));
	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		assert_false(pull_hopeless(passing[i]));
}

/* Ten a second: the rate is that of the last seconds, whatever was before. */
static void rate_is_of_late(void **state)
{
	struct rate r = { 0 };
	uint64_t bytes = 0, at = 5 * S, rate = rate_add(&r, at, 0);
	assert_int_equal(rate, 0);
	for (int i = 0; i < 100; i++)
		rate = rate_add(&r, at += S / 10, bytes += 1000000);
	assert_in_range(rate, 9900000, 10100000);
	for (int i = 0; i < 100; i++)
		rate = rate_add(&r, at += S / 10, bytes += 100);
	assert_in_range(rate, 990, 1010);
	rate = rate_add(&r, at += 60 * S, bytes);
	assert_in_range(rate, 0, 20);
	assert_int_equal(rate_add(&r, at + S, 5), 0); /* it began again */
}

static void which_image_goes(void **state)
{
	const uint64_t now = 1000 * S;
	struct gc_image v[] = {
		{ .imported_ns = 100 * S, .used_ns = 500 * S },
		{ .imported_ns = 300 * S },                     /* never used: counts from its import */
		{ .imported_ns = 50 * S, .named = true },       /* the oldest, but a container names it */
		{ .imported_ns = 100 * S, .used_ns = 900 * S }, /* used a minute and a half ago */
	};
	assert_int_equal(gc_choose(v, 4, now, false), 1);
	v[1].named = true;
	assert_int_equal(gc_choose(v, 4, now, false), 0);
	v[0].named = true;
	assert_int_equal(gc_choose(v, 4, now, false), 4);
	assert_int_equal(gc_choose(v, 4, now, true), 3); /* the disk is full now */
	v[3].named = true;
	assert_int_equal(gc_choose(v, 4, now, true), 4);
	assert_int_equal(gc_choose(NULL, 0, now, true), 0);
	v[3] = (struct gc_image){ .imported_ns = now + 5 * S }; /* the clock was put back */
	assert_int_equal(gc_choose(v, 4, now, false), 4);
	assert_int_equal(gc_choose(v, 4, now, true), 3);
}

static void used_is_what_df_says(void **state)
{
	struct statvfs s = { .f_blocks = 1000, .f_bfree = 250, .f_bavail = 200 };
	assert_int_equal(used_percent(&s), 79); /* 750 of 950, rounded up */
	s.f_bavail = s.f_bfree = 1000;
	assert_int_equal(used_percent(&s), 0);
	s.f_bavail = s.f_bfree = 0;
	assert_int_equal(used_percent(&s), 100);
	s.f_blocks = 0; /* a file system that counts nothing */
	assert_int_equal(used_percent(&s), 0);
}

static void leases_go_round(void **state)
{
	const struct {
		uint64_t taken[4];
		size_t n;
		uint64_t next, max, want;
	} t[] = {
		{ { 0 }, 0, 0, UINT64_MAX, 2 },        /* 1 is the bridge */
		{ { 0 }, 0, 7, UINT64_MAX, 7 },
		{ { 4, 2, 3 }, 3, 2, UINT64_MAX, 5 },
		{ { 9, 7, 8 }, 3, 5, 100, 5 },
		{ { 6, 2, 2 }, 3, 6, 6, 3 },           /* round; the same twice: one is being moved */
		{ { 5, 4, 3, 2 }, 4, 4, 6, 6 },
		{ { 5, 4, 3, 2 }, 4, 4, 5, 0 },
		{ { 0 }, 0, 3, 1, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint64_t taken[4];
		memcpy(taken, t[i].taken, sizeof taken);
		assert_int_equal(lease_choose(taken, t[i].n, t[i].next, t[i].max), t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_start_needs_a_pull), cmocka_unit_test(backoff_doubles_to_the_cap),
		cmocka_unit_test(some_failures_are_final), cmocka_unit_test(rate_is_of_late), cmocka_unit_test(which_image_goes),
		cmocka_unit_test(used_is_what_df_says), cmocka_unit_test(leases_go_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
