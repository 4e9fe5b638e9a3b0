/* What the cgroup tests need around the code under test: a host with a parent group of its
 * own, a pod, processes in its groups, and the kernel's files read raw.
 */
#ifndef PODFS_TESTS_CGROUP_GROUPS_H
#define PODFS_TESTS_CGROUP_GROUPS_H

#include "runtime/cgroup/host.h"

#define TEST_UID "01234567-89ab-4cde-8f01-23456789abcd"

struct fixture {
	struct cg_host *h;
	struct pod_spec *pod;
	char parent[40];
};

/* cmocka fixture: skips the tests (fixture NULL) where there is no root or no cgroup to write to. */
int fixture_up(void **state);
int fixture_down(void **state);

struct container_spec *add_container(struct fixture *f, const char *name, uint64_t serial);
/* The raw file of a group, without its last newline; container NULL: the pod's. */
const char *raw(struct fixture *f, const struct container_spec *c, enum cg_ctl ctl, const char *file);
uint64_t raw_u64(struct fixture *f, const struct container_spec *c, enum cg_ctl ctl, const char *file);
/* cg_limit, then each write as podfs-pod would do it. 0 or the first failure. */
int apply(struct fixture *f, struct container_spec *c, const char *file);
void set_cpu(struct limits *l, uint64_t quota, uint64_t period);

/* A process in the group: runs fn, then waits to be killed if fn returns. Returns when it is in. */
pid_t run_in(struct fixture *f, const char *id, void (*fn)(void *arg), void *arg);
/* Waits for its end: the wait status. */
int reap(pid_t pid);
/* Destroys the pod's groups; the processes in there are already reaped. */
int destroy(struct fixture *f);

#endif
