/* What the tests of relays share: one held port of the host, and the pod's port behind it. */
#ifndef PODFS_TESTS_PORTS_RELAY_RIG_H
#define PODFS_TESTS_PORTS_RELAY_RIG_H

#include "runtime/net/relay.h"
#include "tests/unit/net/ports_rig.h"

#define PORT 8080
#define POD_PORT 80

struct addresses {
	const char *hold, *host, *pod;
};
extern const struct addresses v4, v6;
extern struct relays all;
extern struct relay relay;

int relay_fixture(void **state);
int relay_unfixture(void **state); /* also: no connection and no flow is left */
void hold(int type, const char *at, const char *pod); /* starts `relay` */
int serve(int type, const char *at);                  /* in a peer: listens, and says that it is ready */

#define TEST(f) cmocka_unit_test_setup_teardown(f, relay_fixture, relay_unfixture)

#endif
