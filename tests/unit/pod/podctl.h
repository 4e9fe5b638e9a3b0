/* A server in miniature for the tests of podfs-pod: starts one in a folder of its own, speaks the wire, waits.
 *
 * Needs root and cgroup v1 controllers or none (then tests of limits are skipped). Every wait ends after
 * PATIENCE_MS at the latest, as a failure of the test.
 */
#ifndef PODCTL_H
#define PODCTL_H

#include "runtime/base/util.h"
#include "runtime/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_MS 20000

/* What W_CONTAINER said last. */
struct seen {
	char name[64];
	bool known;
	int state, code, signal, root_fd, last_code;
	unsigned restarts, tells;
	int pid;
	uint64_t next_ns, started_ns, finished_ns;
	char reason[40], error[480];
	struct seen *next;
};

struct seen_session {
	uint64_t serial;
	int state, code, tells;
	int fds[3], nfds; /* of a W_SESSION that carried some */
	struct seen_session *next;
};

struct rig {
	char base[64], uid[40];
	int sock;
	pid_t pid;
	uint32_t seq;
	struct seen *containers;
	struct seen_session *sessions;
	unsigned ready, gone, leaks, dropped, logs;
	char events[2048]; /* a line each */
	bool leaving, closed;
	char note[200], last_leak[480];
	int result;        /* of the last call */
	char error[480];
	int fds[3], nfds;  /* of the last reply */
	uint32_t waiting;
	bool answered;
	bool cgroups;      /* this host has them */
	int cgversion;
	char *mem;
};

/* A rootfs of busybox below base/root, shared by all containers; sandbox when asked for. */
void rig_open(struct rig *r, bool sandbox);
void rig_open_on(struct rig *r, bool sandbox, int cgversion); /* 1: v2 where there is nothing else */
void rig_spawn(struct rig *r, const char *mode); /* another podfs-pod for the same pod */
int rig_sandbox(struct rig *r);
void rig_sandbox_message(struct rig *r, struct wire_out *o); /* what rig_sandbox sends */
int rig_sandbox_in(struct rig *r, int netns); /* -1: one of its own */
/* Deletes the pod if it is still there, and checks that nothing of it is left. */
void rig_close(struct rig *r);
void rig_reconnect(struct rig *r);

void rig_begin(struct rig *r, struct wire_out *o, enum wire_op op);
int rig_call(struct rig *r, struct wire_out *o); /* sends, waits for the reply: its result */
void rig_send(struct rig *r, struct wire_out *o); /* without waiting; rig_answer waits */
int rig_answer(struct rig *r);
int rig_simple(struct rig *r, enum wire_op op, const char *name); /* only K_NAME */

/* W_ADD, with cgroups where there are some. */
int rig_add(struct rig *r, const char *name);
/* A W_START with defaults and `sh -c SCRIPT`; more fields can be put before it is sent. */
void rig_plan(struct rig *r, struct wire_out *o, const char *name, const char *script);
void rig_plan_argv(struct rig *r, struct wire_out *o, const char *name, char *const *argv);
int rig_run(struct rig *r, const char *name, const char *script); /* add if new, start */

struct seen *rig_container(struct rig *r, const char *name);
struct seen_session *rig_session(struct rig *r, uint64_t serial);
/* Handles messages until the condition holds; false: patience is over or the socket closed. */
#define RIG_UNTIL(r, cond) ({ uint64_t end_ = now_mono_ns() + PATIENCE_MS * 1000000ull; bool ok_; \
	while (!(ok_ = (cond)) && rig_step((r), end_)) { } ok_; })
bool rig_step(struct rig *r, uint64_t end_ns);
bool rig_wait(struct rig *r, const char *name, int state);

/* --- place.c --- */
_Noreturn void rig_die(const char *what);
void rig_path(const struct rig *r, char *out, size_t size, const char *name); /* below base */
#define RIG_PATH 256
void rig_pod_path(const struct rig *r, char out[RIG_PATH], const char *name); /* below the pod's folder */
/* A file there, and one as the container sees it, has that text; the test ends if not. */
void rig_expect(const struct rig *r, const char *name, const char *text);
void rig_expect_inside(struct rig *r, const char *container, const char *name, const char *text);
/* Before the sandbox: makes its etc/ a tmpfs of four pages, all of them taken by a file. */
void rig_fill_etc(const struct rig *r, char etc[RIG_PATH], char filler[RIG_PATH]);
void rig_put(const struct rig *r, const char *name, const char *text, mode_t mode);
void rig_make_root(struct rig *r);
void rig_new_uid(struct rig *r);
void rig_find_groups(struct rig *r, int version);
void rig_make_groups(struct rig *r, const char *name);
void rig_put_groups(struct rig *r, struct wire_out *o, const char *name); /* NULL: the pod's */
void rig_no_groups(struct rig *r);
bool rig_memory_file(struct rig *r, const char *name, char *out, size_t size);
/* Everything in the container's log, in a static buffer. */
const char *rig_log(struct rig *r, const char *name);
/* Waits until the log has that text. */
bool rig_logged(struct rig *r, const char *name, const char *text);
bool alive(int pid);
bool wait_dead(int pid); /* also of strangers: by pidfd */
void rig_cgdir(struct rig *r, const char *controller, const char *name, char *out, size_t size);

#endif
