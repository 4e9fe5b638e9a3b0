/* What the tests of CNI share: a folder with networks, plugins and records, and requests that are waited for.
 *
 * ports_rig.h has the host's namespace around it.
 */
#ifndef PODFS_TESTS_CNI_RIG_H
#define PODFS_TESTS_CNI_RIG_H

#include "runtime/net/cni_chain.h"
#include "tests/unit/net/ports_rig.h"

#define WEB "11111111-0000-4000-8000-000000000001"
#define DB "22222222-0000-4000-8000-000000000002"

/* Of one test: its folder, and in it net.d, the folders of plugins (bin, then Debian's), and records. */
extern char dir[64], conf[80], bin[200], cache[80];
extern struct loop loop;
extern struct cni *cni;
extern struct cni_setup setup;
extern unsigned leaks, frees;
extern char leak_words[512]; /* UID WORDS */

/* What the last request came to. */
struct outcome {
	unsigned n; /* answers */
	struct err e;
	char addrs[512]; /* and ` dns ADDRESS` each */
};
extern struct outcome out;
void on_done(void *outcome, const struct err *e, const struct cni_answer *got);

int cni_fixture(void **state);
int cni_unfixture(void **state); /* also: no descriptor was left open */

int sh(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* the exit status */
int in_netns(int netns, const char *cmd);                            /* the same */
void put_file(const char *folder, const char *name, mode_t mode, const char *text);
/* A plugin of the test's own: a shell script, run in the test's folder. There is one called `good`, which keeps a log. */
void put_plugin(const char *name, const char *script);
/* A network whose plugins are those types, with a blank between. */
void put_net(const char *name, const char *version, const char *types);
int new_netns(void); /* a pod's network namespace, with nothing in it */
bool has_record(const char *uid);

/* Ask, and run the loop until it is answered: -errno, and `out`. */
int add_ports(const char *uid, const char *net, int netns, const struct port *ports, size_t nports);
int add(const char *uid, const char *net, int netns);
int del(const char *uid, int netns);
int check(const char *uid, int netns);
void wait_for(const struct outcome *o);
/* r is as wanted, and out's words have these in them. */
void said(int r, int want, const char *words);

#define TEST(f) cmocka_unit_test_setup_teardown(f, cni_fixture, cni_unfixture)

#endif
