/* What the tests of relays share: see ports_relay_rig.h. */
#include "tests/unit/net/ports_relay_rig.h"

#include <fcntl.h>
#include <sys/socket.h>

static struct loop loop;
struct relays all;
struct relay relay;
const struct addresses v4 = { "0.0.0.0", "127.0.0.1", POD4 }, v6 = { "::", "::1", POD6 };

int relay_fixture(void **state)
{
	assert_int_equal(loop_init(&loop), 0);
	rig_loop = &loop;
	return relays_init(&all, &loop);
}

int relay_unfixture(void **state)
{
	relay_stop(&relay);
	assert_int_equal(all.nconns, 0);
	assert_int_equal(all.nflows, 0);
	assert_null(all.newest);
	relays_free(&all);
	loop_free(&loop);
	rig_loop = NULL;
	rig_go();
	return 0;
}

void hold(int type, const char *at, const char *pod)
{
	union net_sockaddr to = rig_addr(pod, POD_PORT);
	int fd = rig_listen(type, at, PORT);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(relay_start(&all, &relay, fd, type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP, &to), 0);
}

int serve(int type, const char *at)
{
	int fd = rig_listen(type, at, POD_PORT);
	NEED(fd >= 0);
	rig_ready();
	return fd;
}
