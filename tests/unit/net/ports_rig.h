/* A host and a pod for the tests of published ports and relays: two network namespaces of their own, joined by a veth pair.
 *
 * The test program is the host and runs the loop; peers are children, in the pod or on the host. Nothing of it is seen
 * outside, all of it goes with the program.
 */
#ifndef PODFS_TESTS_PORTS_RIG_H
#define PODFS_TESTS_PORTS_RIG_H

#include "runtime/net/private.h"
#include "runtime/net/relay.h"
#include "tests/unit/unit.h"

#define HOST4 "10.99.0.1"
#define POD4 "10.99.0.2"
#define HOST6 "fd99::1"
#define POD6 "fd99::2"

enum where { ON_HOST, IN_POD };

extern struct loop *rig_loop; /* run while a peer is waited for */
extern unsigned rig_rounds;   /* of it, so far */

int rig_enter(void **state); /* a group's setup: enters the namespaces; skips all without the right to */
int rig_leave(void **state);

/* Forks; run's result is the exit status. The child says `ready` by rig_ready, and rig_start returns then. */
pid_t rig_start(enum where w, int (*run)(void *), void *arg);
void rig_ready(void);
void rig_go(void); /* lets all children that wait in rig_wait_go go on */
void rig_wait_go(void);
/* Runs the loop until it has ended; its exit status, or 128 + signal. */
int rig_wait(pid_t pid);
void rig_end(pid_t pid); /* SIGKILL, reaped */
/* The same for a peer that needs no ready. */
int rig_run(enum where w, int (*run)(void *), void *arg);
void rig_spin(unsigned ms); /* runs the loop for so long */

/* In peers: sockets, blocking; -errno. port 0 of a local address: none. */
union net_sockaddr rig_addr(const char *address, uint16_t port);
int rig_listen(int type, const char *address, uint16_t port);
int rig_connect(int type, const char *address, uint16_t port);
void rig_reset(int fd); /* closes it with a reset */
/* Peers' assertions: ends the child with 1 and a word. */
#define NEED(x) do { if (!(x)) rig_fail(#x, __FILE__, __LINE__); } while (0)
_Noreturn void rig_fail(const char *what, const char *file, int line);

unsigned rig_open_files(void); /* of this process */

#endif
