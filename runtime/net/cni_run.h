/* One child of podfs-net: a CNI plugin, or a function of ours that may wait for the disk.
 *
 * Owns the process (by pidfd; a process group of its own), its pipes and what it prints, which is bounded. A plugin gets the
 * environment that it is given and nothing else: no descriptor, no signal mask. It dies with podfs-net.
 */
#ifndef PODFS_NET_CNI_RUN_H
#define PODFS_NET_CNI_RUN_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/loop.h"

#include <stdbool.h>
#include <sys/types.h>

#define CNI_OUTPUT_MAX (1024 * 1024)
#define CNI_STDERR_MAX 4096 /* the last of it */

struct cni_run {
	struct loop *loop;
	struct watch child, out, err; /* child: pidfd, -1: nothing runs */
	pid_t pid;
	struct buf out_text, err_text;
	bool too_much; /* it printed more than CNI_OUTPUT_MAX, and was killed */
	int code, sig; /* exit code, or 0 and the signal */
	void (*done)(struct cni_run *r); /* it has ended; it may be started again from here */
};

void cni_run_init(struct cni_run *r, struct loop *l, void (*done)(struct cni_run *));
/* env: a NULL-terminated list; in: what it reads. 0 or -errno: nothing was started. */
int cni_run_plugin(struct cni_run *r, const char *path, char *const *env, const char *in, size_t len, struct err *e);
/* The child calls fn; r->code is then its errno, r->out_text its words. */
int cni_run_job(struct cni_run *r, int (*fn)(void *arg, struct err *e), void *arg, struct err *e);
void cni_run_kill(struct cni_run *r); /* SIGKILL to the group; done is called when it has ended */
void cni_run_free(struct cni_run *r); /* kills and waits; done is not called */

#endif
