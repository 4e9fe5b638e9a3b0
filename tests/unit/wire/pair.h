/* A connected pair of sockets for the tests of messages. */
#ifndef PODFS_TESTS_WIRE_PAIR_H
#define PODFS_TESTS_WIRE_PAIR_H

#include "runtime/base/util.h"
#include "runtime/wire/wire.h"
#include "tests/unit/unit.h"

static int sv[2];
static char mem[WIRE_MAX];

static int setup(void **state)
{
	return wire_socketpair(sv);
}

static int teardown(void **state)
{
	close_fd(&sv[0]);
	close_fd(&sv[1]);
	return 0;
}

#endif
