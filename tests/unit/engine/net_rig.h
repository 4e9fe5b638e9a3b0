/* The engine's network code with a podfs-net and podfs-pods that are the test itself: it reads what they are asked and answers. */
#ifndef PODFS_TESTS_NET_RIG_H
#define PODFS_TESTS_NET_RIG_H

#include "runtime/base/util.h"
#include "runtime/engine/net_link.h"
#include "tests/unit/unit.h"

struct rig {
	struct loop loop;
	struct config cfg;
	struct engine en;
	unsigned spawned;     /* podfs-net processes */
	int spawn_error;      /* -errno: none can be started */
	int listener, net;    /* the newest podfs-net's sockets; -1 */
	char events[4000];    /* what engine_event was told */
	/* What the last done_fn, of rig_done, was told. */
	unsigned done;
	int result;
	struct err err;
	unsigned started;     /* container_start, container_go: by what is not under test */
};
extern struct rig rig;

void rig_open(void);
void rig_close(void);
/* A pod in the tree, not connected. */
struct pod *rig_pod(const char *name, enum net_mode mode);
void rig_free(struct pod *p); /* as pod.c frees it */
int rig_podfs_pod(const struct pod *p); /* the other end of its connection */
void rig_connect(struct pod *p);        /* a podfs-pod that stands already */

/* What is asked: `op` is expected next; anything else fails the test. Valid until the next one. */
struct wire_in *rig_take(int *sock, int op);
void rig_nothing(int sock);                /* nothing has been asked */
struct wire_in *rig_net(enum net_op op);   /* the same of podfs-net, which is accepted first if need be */
void rig_net_ends(void);                   /* it dies */
struct answer {
	int result;
	const char *words, *addr, *addr6, *dns;
	bool netns;                        /* a descriptor comes along */
};
void rig_answer(int sock, const struct wire_in *in, struct answer a);
#define rig_net_answer(in, ...) rig_answer(rig.net, in, (struct answer){ __VA_ARGS__ })
#define rig_pod_answer(p, in, ...) rig_answer(rig_podfs_pod(p), in, (struct answer){ __VA_ARGS__ })
void rig_rounds(void);                     /* of the loop, until nothing is left to do */
void rig_done(void *arg, int result, const struct err *e);
int rig_set(struct pod *p, const char *field, const char *text, bool by_root);
int rig_add(struct pod *p, const char *field, const char *text); /* behind what is there; by root */
const char *rig_text(const struct wire_in *in, int key); /* "" */
unsigned rig_count(const struct wire_in *in, int key);

#define A4 "10.9.0.2/24"
#define A6 "fd00::2/64"
struct pod *rig_made(const char *name, uint64_t *host); /* on the bridge, by mkdir; host: the number that was asked for */
struct wire_in *rig_pod_asked(struct pod *p, int op);   /* rig_take of its podfs-pod */
bool rig_record_has(const struct wire_in *in, const char *text);
struct container *rig_container(struct pod *p);
int rig_test_open(void **state);
int rig_test_close(void **state);
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_test_open, rig_test_close)

#endif
