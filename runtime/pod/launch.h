/* The child's side of a start: from clone to execve, for containers and for sessions.
 *
 * A row of stages, run in order; each leaves what the next needs in struct launch. The first that fails is
 * reported to podfs-pod and ends the child. The image is hostile: no path of it is opened but
 * beneath its root, and no descriptor of the host is open any more when its names are looked up.
 */
#ifndef PODFS_POD_LAUNCH_H
#define PODFS_POD_LAUNCH_H

#include "runtime/pod/pod.h"

struct launch {
	const struct pod *pod;
	const char *container;
	struct wire_in plan;  /* the container's */
	struct wire_in args;  /* whose K_ARG is run */
	int report;           /* socket to podfs-pod */
	int stdio[3];         /* become 0, 1, 2; -1: stays /dev/null */
	unsigned run;         /* container: number of its folder */
	int shm;              /* container: the reaper, whose root it is */
	int join;             /* session: the container's first process */
	bool tty;
	unsigned rows, cols;

	/* made on the way */
	int dir;              /* STATE/pods/UID in the new mount namespace */
	int root;             /* O_PATH */
	int give;             /* sent with the report: the root or the terminal's master */
	int exit_code;        /* of a failure */
	uid_t uid;
	gid_t gid, *groups;
	size_t ngroups;
	char *home;
};

/* Of a struct launch, in the child; they do not return. */
void launch_container(void *arg);
void launch_session(void *arg);

/* Stages: 0 or -errno and the sentence. */
int launch_root(struct launch *l, struct err *e);    /* launch_root.c: mount namespace and overlay */
int launch_mounts(struct launch *l, struct err *e);  /* launch_mounts.c: proc, sys, dev, etc … */
int launch_pivot(struct launch *l, struct err *e);   /* launch_root.c */
int launch_user(struct launch *l, struct err *e);    /* launch_user.c: who it will be */
int launch_become(struct launch *l, struct err *e);  /* launch_caps.c: and is */
int launch_tty(struct launch *l, struct err *e);     /* launch_tty.c */
int launch_exec(struct launch *l, struct err *e);    /* launch_exec.c: reports, execs; returns on failure only */

/* Opens path beneath root, wherever the image's links lead inside it; magic links lead nowhere. */
int beneath(int root, const char *path, int flags);
/* The same, O_PATH, and makes what is missing: folders, and as last part a folder or an empty file. A dangling link in
 * the place of the last part is replaced. fd or -errno. */
int beneath_make(int root, const char *path, bool folder);

#endif
