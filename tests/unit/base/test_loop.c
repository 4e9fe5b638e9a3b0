/* runtime/base/loop: watches and timers, also removed by another's callback. */
#include "runtime/base/loop.h"
#include "runtime/base/util.h"
#include "tests/unit/unit.h"

#include <fcntl.h>

static struct loop loop;
static int order[16], fired;

struct tick {
	struct timer timer;
	int number;
	struct tick *stops, *arms;
};

static void on_tick(struct timer *t)
{
	struct tick *k = container_of(t, struct tick, timer);
	order[fired++] = k->number;
	if (k->stops)
		timer_stop(&loop, &k->stops->timer);
	if (k->arms)
		timer_arm(&loop, &k->arms->timer, 0);
}

static int setup(void **state)
{
	fired = 0;
	return loop_init(&loop);
}

static int teardown(void **state)
{
	loop_free(&loop);
	return 0;
}

static void run_until(int n)
{
	for (int i = 0; i < 100 && fired < n; i++)
		assert_int_equal(loop_once(&loop, 1000), 0);
}

static void timers_come_in_order(void **state)
{
	struct tick t[4];
	static const unsigned ms[] = { 6, 2, 4, 2 };
	for (int i = 0; i < 4; i++) {
		t[i] = (struct tick){ .timer.fn = on_tick, .number = i };
		timer_arm(&loop, &t[i].timer, ms[i]);
	}
	run_until(4);
	static const int expected[] = { 1, 3, 2, 0 };
	assert_int_equal(fired, 4);
	assert_memory_equal(order, expected, sizeof expected);
	assert_null(loop.timers);
}

static void a_timer_can_be_stopped_and_moved(void **state)
{
	struct tick a = { .timer.fn = on_tick, .number = 1 }, b = { .timer.fn = on_tick, .number = 2 };
	timer_stop(&loop, &a.timer);
	timer_arm(&loop, &a.timer, 3600000);
	timer_arm(&loop, &b.timer, 2);
	timer_arm(&loop, &a.timer, 1);
	assert_true(a.timer.at_ns < b.timer.at_ns);
	timer_stop(&loop, &b.timer);
	run_until(1);
	assert_int_equal(fired, 1);
	assert_int_equal(order[0], 1);
	assert_int_equal(a.timer.at_ns, 0);
}

static void a_timer_may_stop_and_arm_others(void **state)
{
	struct tick c = { .timer.fn = on_tick, .number = 3 }, b = { .timer.fn = on_tick, .number = 2 };
	struct tick a = { .timer.fn = on_tick, .number = 1, .stops = &b, .arms = &c };
	timer_arm(&loop, &a.timer, 1);
	timer_arm(&loop, &b.timer, 1);
	run_until(2);
	assert_int_equal(fired, 2);
	assert_int_equal(order[1], 3);
}

static void a_timeout_ends_a_round(void **state)
{
	struct tick late = { .timer.fn = on_tick };
	timer_arm(&loop, &late.timer, 3600000);
	assert_int_equal(loop_once(&loop, 1), 0);
	assert_int_equal(fired, 0);
	timer_stop(&loop, &late.timer);
}

struct end {
	struct watch watch;
	struct end *removes;
	int calls;
};

static void on_end(struct watch *w, uint32_t events)
{
	struct end *e = container_of(w, struct end, watch);
	e->calls++;
	if (e->removes)
		loop_del(&loop, &e->removes->watch);
	loop.stop = true;
}

static void a_watch_may_remove_another(void **state)
{
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	int copy = fcntl(p[0], F_DUPFD_CLOEXEC, 0);
	struct end a = { .watch = { p[0], on_end } }, b = { .watch = { copy, on_end } };
	a.removes = &b;
	b.removes = &a;
	assert_int_equal(loop_add(&loop, &a.watch, EPOLLIN), 0);
	assert_int_equal(loop_add(&loop, &b.watch, EPOLLIN), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(loop_once(&loop, 1000), 0);
	assert_int_equal(a.calls + b.calls, 1);
	close(p[0]);
	close(p[1]);
	close(copy);
}

static void run_ends_when_told(void **state)
{
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	struct end a = { .watch = { p[0], on_end } };
	assert_int_equal(loop_add(&loop, &a.watch, 0), 0);
	assert_int_equal(loop_mod(&loop, &a.watch, EPOLLIN), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(a.calls, 1);
	loop_del(&loop, &a.watch);
	struct end none = { .watch = { -1, on_end } };
	loop_del(&loop, &none.watch);
	assert_int_equal(loop_add(&loop, &none.watch, EPOLLIN), -EBADF);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_can_be_stopped_and_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_may_stop_and_arm_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timeout_ends_a_round, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_may_remove_another, setup, teardown),
		cmocka_unit_test_setup_teardown(run_ends_when_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
