/* Which ends of a server make a row, and how long that lasts: tools/row.c. */
#include "tests/unit/unit.h"

#include "tools/row.h"

static const struct life
	calm = { .ready = true, .ms = 60000 },
	crash = { .ready = true, .ms = 10 },
	kill_calm = { .ready = true, .killed = true, .ms = 5000 },
	kill_soon = { .ready = true, .killed = true, .ms = 10 },
	no_start = { .ms = 0 },
	killed_at_start = { .killed = true },
	hang = { .hung = true };

/* How often it is started again, and how long that waits in all. */
static unsigned starts(struct row *row, const struct life *life, int *total)
{
	unsigned n = 0;
	*total = 0;
	for (int wait; (wait = row_next(row, life)) >= 0 && n < 1000; n++)
		*total += wait;
	return n;
}

static void failures_in_a_row(void **state)
{
	const struct life *each[] = { &crash, &no_start, &killed_at_start };
	int total;
	EACH(each, i) {
		struct row row = { 0 };
		assert_int_equal(starts(&row, each[i], &total), 10);
		assert_in_range(total, 20000, 30000);
	}
	struct row row = { 0 };
	assert_int_equal(starts(&row, &hang, &total), 2);
}

static void first_end_does_not_wait(void **state)
{
	const struct life *each[] = { &calm, &crash, &no_start, &killed_at_start, &kill_calm, &hang };
	EACH(each, i) {
		struct row row = { 0 };
		assert_int_equal(row_next(&row, each[i]), 0);
	}
}

static void broken_by_one_that_is_ready(void **state)
{
	const struct life *each[] = { &calm, &kill_calm, &kill_soon };
	EACH(each, i) {
		struct row row = { 0 };
		for (unsigned n = 0; n < 100; n++) {
			assert_in_range(row_next(&row, n % 5 ? &killed_at_start : each[i]), 0, 1000);
			assert_true(row.failures <= 5);
		}
	}
}

static void killed_when_ready_waits_longer_and_goes_on(void **state)
{
	struct row row = { 0 };
	assert_int_equal(row_next(&row, &kill_soon), 50);
	assert_int_equal(row_next(&row, &kill_soon), 100);
	for (unsigned n = 0; n < 1000; n++)
		assert_in_range(row_next(&row, &kill_soon), 100, 1000);
	assert_int_equal(row_next(&row, &kill_soon), 1000);
	assert_int_equal(row_next(&row, &kill_calm), 0);
	assert_int_equal(row_next(&row, &kill_soon), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_in_a_row),
		cmocka_unit_test(first_end_does_not_wait),
		cmocka_unit_test(broken_by_one_that_is_ready),
		cmocka_unit_test(killed_when_ready_waits_longer_and_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
