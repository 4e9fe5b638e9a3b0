/* What cg_host holds, and what the files of this folder share.
 *
 * Private to runtime/cgroup. Nothing here keeps a descriptor or a value of the kernel's:
 * the groups themselves are the state.
 */
#ifndef PODFS_CGROUP_HOST_H
#define PODFS_CGROUP_HOST_H

#include "runtime/cgroup/cgroup.h"

#include <limits.h>

enum cg_ctl { CG_MEMORY, CG_CPU, CG_CPUACCT, CG_PIDS, CG_FREEZER, CG_NCTL };

struct cg_host {
	int version;
	char *parent;            /* "podfs": below every mount */
	char *mount[CG_NCTL];    /* where the controller's hierarchy is mounted; NULL: the host lacks it. v2: all the same */
	const struct cg_file *files;
};

/* A group of ours: the pod's own (name NULL) or a container's. */
struct cg_group {
	const struct cg_host *host;
	const char *uid, *name; /* name: container_spec_id */
};

/* One row a file of the tree, by v2's name. Two tables: cgroup_v1.c and cgroup_v2.c. */
struct cg_file {
	const char *name;
	enum cg_ctl ctl;
	/* A limit: the writes that make it hold. Its value has been checked. */
	int (*limit)(const struct cg_file *f, const struct cg_host *h, struct spec_ref r, struct cg_writes *out);
	/* A use: its text. */
	int (*show)(const struct cg_file *f, const struct cg_group *g, struct buf *out);
	const char *kernel; /* the file that the kernel has for it, where there is just one */
};
extern const struct cg_file cg_files_v1[], cg_files_v2[]; /* end with a row whose name is NULL */

/* cgroup.c: names and paths */
extern const char *const cg_ctl_names[CG_NCTL];
bool cg_is_uid(const char *s);
bool cg_is_id(const char *s);
/* True for the first controller of each hierarchy: what to walk where a hierarchy counts once. */
bool cg_first(const struct cg_host *h, int ctl);
/* MOUNT/PARENT/UID[/c.NAME][/file]; file NULL: the folder. -EOPNOTSUPP: the host lacks the controller. */
int cg_path(const struct cg_group *g, enum cg_ctl ctl, const char *file, char out[PATH_MAX]);

/* cgroup_show.c: what the kernel says. Each -ENOENT: no such group; -EOPNOTSUPP: no such file in it. */
int cg_read(const struct cg_group *g, enum cg_ctl ctl, const char *file, struct buf *out);
int cg_read_u64(const struct cg_group *g, enum cg_ctl ctl, const char *file, uint64_t *v);
/* The number behind KEY in lines `KEY NUMBER`; 0 when there is no such line. */
uint64_t cg_key(const char *text, const char *key);
int cg_show_plain(const struct cg_file *f, const struct cg_group *g, struct buf *out);
/* Calls fn for every container's folder in the pod's; stops at the first result that is not 0. */
int cg_each_container(const struct cg_group *pod, enum cg_ctl ctl, int (*fn)(void *arg, const char *id), void *arg);

/* cgroup_limit.c */
int cg_add_write(struct cg_writes *w, const struct cg_group *g, enum cg_ctl ctl, const char *file, const char *value);
const struct limits *cg_limits(struct spec_ref r);
struct cg_group cg_group_of(const struct cg_host *h, struct spec_ref r, char id[CONTAINER_ID_MAX]);
/* What stands where nothing is set. */
uint64_t cg_memory_max(const struct limits *l), cg_memory_high(const struct limits *l), cg_pids_max(const struct limits *l),
	cg_cpu_weight(const struct limits *l), cg_cpu_quota(const struct limits *l), cg_cpu_period(const struct limits *l);

/* cgroup_v2.c: makes the folders of group (relative to the mount) and hands them the controllers, root first. */
int cg_v2_delegate(const struct cg_host *h, const char *group, struct err *e);

/* cgroup_lib.c: libcgroup */
int cg_lib_find(struct cg_host *h, struct err *e);
int cg_lib_create(const struct cg_host *h, const char *group, struct err *e);

#endif
