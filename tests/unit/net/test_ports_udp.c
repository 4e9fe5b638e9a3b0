/* Relays of UDP: datagrams between clients of the host and the pod, with real sockets in namespaces of their own. */
#include "tests/unit/net/ports_relay_rig.h"

#include <sys/socket.h>

static int echo_datagrams(void *arg)
{
	static char b[65536];
	const struct addresses *a = arg;
	_cleanup_close_ int fd = serve(SOCK_DGRAM, a->pod);
	for (;;) {
		union net_sockaddr from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, b, sizeof b, 0, &from.any, &len);
		NEED(n >= 0 && sendto(fd, b, (size_t)n, 0, &from.any, len) == n);
	}
}

static void ask_datagram(int fd, size_t len, int id)
{
	static char b[65536], got[65536];
	memset(b, id, len);
	NEED(send(fd, b, len, 0) == (ssize_t)len);
	NEED(recv(fd, got, sizeof got, 0) == (ssize_t)len && !memcmp(b, got, len));
}

/* Connected sockets take answers only from the address that they have sent to. */
static int ask_by_datagrams(void *arg)
{
	int fd[4];
	const char *const *to = arg;
	for (int i = 0; i < 4; i++)
		NEED((fd[i] = rig_connect(SOCK_DGRAM, to[i], PORT)) >= 0);
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 4; i++)
			ask_datagram(fd[i], (size_t[]){ 1, 0, 1400, 60000 }[(round + i) % 4], i + 1);
	return 0;
}

static void udp(void **state)
{
	static const char *const to4[] = { "127.0.0.1", "127.0.0.2", HOST4, "127.0.0.1" };
	static const char *const to6[] = { "::1", HOST6, "::1", HOST6 };
	hold(SOCK_DGRAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, echo_datagrams, (void *)&v4);
	assert_int_equal(rig_run(ON_HOST, ask_by_datagrams, (void *)to4), 0);
	assert_int_equal(all.nflows, 4);
	rig_end(pod);
	relay_stop(&relay);
	assert_int_equal(all.nflows, 0);
	hold(SOCK_DGRAM, v6.hold, POD6);
	pod = rig_start(IN_POD, echo_datagrams, (void *)&v6);
	assert_int_equal(rig_run(ON_HOST, ask_by_datagrams, (void *)to6), 0);
	assert_int_equal(all.nflows, 4);
	rig_end(pod);
}

static int ask_from_fifty(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int fd = rig_connect(SOCK_DGRAM, "127.0.0.1", PORT);
		NEED(fd >= 0);
		ask_datagram(fd, 100, i);
	}
	return 0;
}

static void udp_flows_are_bounded_and_forgotten(void **state)
{
	all.max_flows = 8;
	all.flow_ms = 60;
	hold(SOCK_DGRAM, v4.hold, POD4);
	unsigned files = rig_open_files();
	pid_t pod = rig_start(IN_POD, echo_datagrams, (void *)&v4);
	assert_int_equal(rig_run(ON_HOST, ask_from_fifty, NULL), 0);
	assert_in_range(all.nflows, 1, 8);
	assert_in_range(rig_open_files(), files, files + 8 + 2);
	rig_spin(150);
	assert_int_equal(all.nflows, 0);
	assert_false(all.quiet.at_ns);
	rig_end(pod);
}

static int ask_in_vain(void *arg)
{
	int on = 1;
	_cleanup_close_ int fd = rig_connect(SOCK_DGRAM, arg, PORT);
	if (fd < 0) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		union net_sockaddr a = rig_addr(arg, PORT);
		NEED(!setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) && !connect(fd, &a.any, sizeof a.in));
	}
	for (int i = 0; i < 3; i++)
		NEED(send(fd, "x", 1, 0) == 1 || errno == ECONNREFUSED);
	return 0;
}

static void udp_comes_back(void **state)
{
	static const char *const to4[] = { "127.0.0.1", "127.0.0.1", HOST4, "127.0.0.1" };
	hold(SOCK_DGRAM, v4.hold, POD4);
	assert_int_equal(rig_run(ON_HOST, ask_in_vain, (void *)"127.0.0.1"), 0);
	rig_spin(20);
	unsigned rounds = rig_rounds;
	rig_spin(100);
	assert_in_range(rig_rounds - rounds, 0, 5);
	pid_t pod = rig_start(IN_POD, echo_datagrams, (void *)&v4);
	assert_int_equal(rig_run(ON_HOST, ask_by_datagrams, (void *)to4), 0);
	rig_end(pod);
}

static void udp_broadcast_is_not_relayed(void **state)
{
	hold(SOCK_DGRAM, v4.hold, POD4);
	assert_int_equal(rig_run(ON_HOST, ask_in_vain, (void *)"10.99.0.255"), 0);
	rig_spin(20);
	assert_int_equal(all.nflows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(udp),
		TEST(udp_flows_are_bounded_and_forgotten),
		TEST(udp_comes_back),
		TEST(udp_broadcast_is_not_relayed),
	};
	return cmocka_run_group_tests(tests, rig_enter, rig_leave);
}
