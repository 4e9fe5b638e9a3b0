/* Control groups, v1 and v2, behind the names of v2.
 *
 * Owns every cgroup folder of podfs: HIERARCHY/PARENT/UID for a pod (UID: the pod's uid)
 * and HIERARCHY/PARENT/UID/c.ID for a container
 * (ID: container_spec_id; it is what `name` means below). The only includer of libcgroup, which
 * finds the hierarchies and makes the groups; what it does badly is plain file I/O here
 * (cgroup.c says what and why). Reads are plain files: bounded, microseconds.
 *
 * Runs in podfs-server. Writes of limits are only computed here (cg_limit) and done by
 * podfs-pod, because a write that has to reclaim memory can take seconds.
 */
#ifndef PODFS_CGROUP_H
#define PODFS_CGROUP_H

#include "runtime/base/err.h"
#include "runtime/spec/spec.h"

struct cg_host;

/* Finds the hierarchies: v2 when the unified one has the memory, cpu and pids controllers, else
 * v1 (also on hybrid hosts). parent: config's `cgroup`. e says what is missing. A controller that the
 * host lacks is not an error here; its files answer -EOPNOTSUPP with that reason. */
int cg_open(const char *parent, struct cg_host **out, struct err *e);
void cg_close(struct cg_host *h); /* removes the parent folders when they are empty */
int cg_version(const struct cg_host *h); /* 1 or 2 */

/* name NULL: the pod's own group. Limits are those of the spec. -EEXIST is success. */
int cg_create(struct cg_host *h, const char *uid, const char *name, struct err *e);
/* The folders a container's first process enters and that go with it, into out. */
int cg_dirs(const struct cg_host *h, const char *uid, const char *name, struct strs *out);
/* Is the process in the container's group, in every hierarchy? 1, 0, or -errno: that can't be seen. */
int cg_holds(const struct cg_host *h, const char *uid, const char *name, pid_t pid);
/* Kills what is in the group (and below) and removes it; for what no podfs-pod owns any more.
 * One pass, never waits: -EBUSY while something is still dying: call again. */
int cg_destroy(struct cg_host *h, const char *uid);
/* Pods' uids that have a folder of ours: for finding leftovers. */
int cg_list(const struct cg_host *h, struct strs *uids);

/* Where to write what, in order, so that the limit `file` ("memory.max" …) of r holds: pairs of
 * absolute path and value. On v1 cpu.max of a pod also rewrites its containers' quotas, because v1 refuses a
 * child above its parent and v2 does not. */
struct cg_write { char *path; char *value; };
struct cg_writes { struct cg_write *v; size_t n; };
int cg_limit(const struct cg_host *h, struct spec_ref r, const char *file, struct cg_writes *out, struct err *e);
void cg_writes_free(struct cg_writes *w);

/* Text of a read-only file under v2's name: memory.current memory.peak memory.events cpu.stat
 * pids.current; on v1 made from what v1 has, with v2's keys in v2's order. */
int cg_show(const struct cg_host *h, const char *uid, const char *name, const char *file, struct buf *out);
/* For top and describe: -errno where it is not there. */
struct cg_use { uint64_t memory, cpu_usec, pids; };
int cg_use(const struct cg_host *h, const char *uid, const char *name, struct cg_use *out);

/* For the launch plan. oom: the file with a line "oom_kill N". freeze: file and the two values. */
struct cg_plan { char *oom, *freeze; const char *freeze_on, *freeze_off; };
int cg_plan(const struct cg_host *h, const char *uid, const char *name, struct cg_plan *out);
void cg_plan_free(struct cg_plan *p);

#endif
