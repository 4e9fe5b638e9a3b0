/* Children of podfs-pod: made by clone3, watched by pidfd, reaped in the loop.
 *
 * A job is a child that runs a function of ours and reports an error: removal of trees, writes to kernel
 * files that may take long. Runs in podfs-pod.
 */
#ifndef PODFS_POD_CHILD_H
#define PODFS_POD_CHILD_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"

#include <stdint.h>
#include <sys/types.h>

struct pod;

struct child {
	struct watch watch; /* fd: pidfd, -1: none */
	pid_t pid;          /* 0: none, or reaped */
	/* Reaped. status as si_code and si_status of waitid(2): code 0-255, or 128 + signal with signal set. */
	void (*exited)(struct child *c, int code, int signal);
};

/* Clones with the CLONE_ flags given and calls run in the child, which then ends. into: a cgroup's descriptor or -1;
 * ns: a pidfd in whose PID namespace the child is to be, or with CLONE_NEWPID its own is to lie; -1: ours. 0 or -errno.
 * The child dies by SIGKILL with podfs-pod. */
int child_clone(struct pod *p, struct child *c, uint64_t flags, int into, int ns, void (*run)(void *), void *arg);
void child_watch(struct pod *p, struct child *c);
/* By pidfd, so it can't hit a stranger. 0 or -errno; -ESRCH when there is none. */
int child_signal(const struct child *c, int sig);
/* SIGKILL, and waits until it is reaped; exited is not called. -ETIMEDOUT: not yet, it stays watched. */
int child_end(struct pod *p, struct child *c, int ms);
/* In the child, after its credentials changed: SIGKILL when podfs-pod dies, also if it has just died. */
void child_follow_parent(const struct pod *p);
/* Closes every descriptor above stderr but these (they are sorted). */
void close_all_but(int *keep, size_t n);

/* What a child says on its socket: that it goes well so far (result 0, then maybe with a descriptor, -1: none), or why not. */
struct report {
	struct err err; /* code 0: it goes well */
	int code;       /* what it is to end with */
	int fd;         /* owned */
};
int report_send(int sock, int result, int code, const struct err *e, int fd);
int report_read(int sock, struct report *rep); /* as wire_recv */

struct job {
	struct job *next;
	struct pod *pod;
	struct child child;
	int status, report; /* sockets: ours, the child's */
	struct err err; /* code 0: it went well */
	int (*run)(void *arg, struct err *e);         /* in the child */
	void (*done)(void *arg, const struct err *e); /* in the parent; e->code 0: went well */
	void *arg;
};
/* Without memory or processes for it done is called at once, with that error. */
void job_start(struct pod *p, int (*run)(void *, struct err *), void (*done)(void *, const struct err *), void *arg);

#endif
