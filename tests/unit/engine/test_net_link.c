/* The connection to podfs-net: started where there is none, again when it dies, and who asks gets an answer in any case. */
#include "tests/unit/engine/net_rig.h"

#include <fcntl.h>

static struct {
	unsigned n;
	int result, fds;
	struct err e;
} told;

static void on_told(void *arg, int result, struct wire_in *in, const struct err *e)
{
	told.n++;
	told.result = result;
	told.fds = in ? in->nfds : -1;
	told.e = *e;
}

static int open_rig(void **state)
{
	memset(&told, 0, sizeof told);
	rig_open();
	rig.cfg.network.mode = NET_NONE; /* nobody but those who ask wants a podfs-net */
	return 0;
}

static int close_rig(void **state)
{
	rig_close();
	return 0;
}

static void ask(const char *uid, int fd, unsigned within_s)
{
	struct wire_out o = { 0 };
	net_begin(&o, N_RATE);
	net_str(&o, K_UID, uid);
	if (fd >= 0)
		wire_fd(&o, fd);
	assert_int_equal(net_ask(&rig.en, &o, within_s, on_told, NULL), 0);
	assert_int_equal(told.n, 0); /* not before this has returned */
}

static void one_is_started_and_answers(void **state)
{
	ask("a", -1, 5);
	rig_net(N_SYNC); /* first of all, it is told who is there */
	struct wire_in *in = rig_net(N_RATE);
	assert_string_equal(rig_text(in, K_UID), "a");
	rig_net_answer(in, .result = -ENOENT, .words = "not attached");
	assert_int_equal(told.n, 1);
	assert_int_equal(told.result, -ENOENT);
	assert_string_equal(told.e.text, "not attached");
	assert_int_equal(rig.spawned, 1);
}

static void one_that_listens_is_used(void **state)
{
	rig.listener = wire_listen(rig.en.run_fd, "net.sock");
	ask("a", -1, 5);
	struct wire_in *in = rig_net(N_SETUP);
	char want[300];
	snprintf(want, sizeof want, "%s\n%s\npodfs0\nauto\nauto\npodfs\n/etc/cni/net.d\n/usr/lib/cni\n", rig.cfg.run, rig.cfg.state);
	assert_string_equal(rig_text(in, K_TEXT), want);
	rig_nothing(rig.net);
	rig_net_answer(in, 0);
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_RATE), .netns = true);
	assert_int_equal(told.fds, 1);
	assert_int_equal(rig.spawned, 0);
}

static void one_with_other_settings_is_replaced(void **state)
{
	rig.listener = wire_listen(rig.en.run_fd, "net.sock");
	ask("a", -1, 5);
	rig_net_answer(rig_net(N_SETUP), .result = -ESTALE);
	rig_net_ends();
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_RATE), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(rig.spawned, 1);
	assert_string_equal(rig.events, "podfs-net is started anew: its settings have changed\n");
}

static void a_socket_that_nobody_serves_is_replaced(void **state)
{
	int old = wire_listen(rig.en.run_fd, "net.sock");
	close(old);
	ask("a", -1, 5);
	rig_net(N_SYNC);
	rig_net_answer(rig_net(N_RATE), 0);
	assert_int_equal(told.n, 1);
	assert_int_equal(rig.spawned, 1);
}

static void the_next_one_is_asked_again_in_order(void **state)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ask("a", fd, 5);
	close(fd);
	ask("b", -1, 5);
	rig_net(N_SYNC);
	rig_net(N_RATE);
	rig_net(N_RATE);
	rig_net_ends();
	rig_net(N_SYNC);
	assert_int_equal(rig.spawned, 2);
	struct wire_in *in = rig_net(N_RATE);
	assert_string_equal(rig_text(in, K_UID), "a");
	assert_int_equal(in->nfds, 1);
	rig_net_answer(in, 0);
	in = rig_net(N_RATE);
	assert_string_equal(rig_text(in, K_UID), "b");
	rig_net_answer(in, 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.result, 0);
}

static void two_that_die_are_enough(void **state)
{
	ask("a", -1, 5);
	for (int i = 0; i < 2; i++) {
		rig_net(N_SYNC);
		rig_net(N_RATE);
		rig_net_ends();
		rig_rounds();
	}
	assert_int_equal(told.n, 1);
	assert_int_equal(told.result, -EIO);
	assert_non_null(strstr(told.e.text, "podfs-net ended twice"));
	assert_non_null(strstr(rig.events, "podfs-net ended unexpectedly"));
}

static void one_that_cannot_be_started_is_told(void **state)
{
	rig.spawn_error = -ENOENT;
	ask("a", -1, 5);
	rig_rounds();
	assert_int_equal(told.n, 1);
	assert_int_equal(told.result, -ENOENT);
	assert_non_null(strstr(told.e.text, "podfs-net can't be started"));
}

static void one_that_does_not_answer_is_waited_for_no_longer(void **state)
{
	ask("a", -1, 1);
	rig_net(N_SYNC);
	struct wire_in *in = rig_net(N_RATE);
	while (!told.n)
		loop_once(&rig.loop, 2000);
	assert_int_equal(told.result, -ETIMEDOUT);
	assert_string_equal(told.e.text, "podfs-net does not answer");
	rig_net_answer(in, .netns = true); /* too late: nobody gets it */
	assert_int_equal(told.n, 1);
}

static void the_end_of_the_server_answers_nobody(void **state)
{
	ask("a", -1, 5);
	rig_net(N_SYNC);
	rig_net(N_RATE);
	ask("b", -1, 5);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
	const struct CMUnitTest tests[] = {
		T(one_is_started_and_answers), T(one_that_listens_is_used), T(one_with_other_settings_is_replaced),
		T(a_socket_that_nobody_serves_is_replaced),
		T(the_next_one_is_asked_again_in_order), T(two_that_die_are_enough), T(one_that_cannot_be_started_is_told),
		T(one_that_does_not_answer_is_waited_for_no_longer), T(the_end_of_the_server_answers_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
