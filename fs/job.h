/* Requests whose answer is what the engine says when it is done.
 *
 * Joins an engine call (done_fn) with a parked request, whichever ends first. A job lives until the engine has called done;
 * its request may have lapsed before that. Runs in podfs-server.
 */
#ifndef PODFS_FS_JOB_H
#define PODFS_FS_JOB_H

#include "fs/node.h"
#include "fs/park.h"
#include "runtime/base/buf.h"

#define JOB_SHORT_MS 2000  /* what holds a folder or an inode lock answers until then */
#define JOB_START_MS 10000 /* the start of a container */
#define JOB_LONG_MS 0      /* until it is done, or ^C */

struct job;
/* Answers req (NULL: nobody waits any more); e has the sentence when r < 0. True: it has called the engine again for this
 * job, after job_next and with job_started, and j may be gone; false: the job is over. */
typedef bool job_fn(struct job *j, struct fuse_req *req, int r, const struct err *e);

struct job {
	struct park park;
	struct fs *fs;
	struct fuse_req *req;   /* until it is parked */
	job_fn *fn;
	bool in_call, done;     /* the engine's function has not returned; done came meanwhile: result and err */
	int result;
	struct err err;
	bool late_is_success;   /* when its time is over, the write has been taken on */
	bool late_is_undone;    /* what comes after that is taken back */
	bool told_late;         /* it was answered ETIMEDOUT: the end is an event */
	unsigned deadline_ms;   /* of each of its calls, where there are several */
	/* for fn */
	uint64_t ino, fh;
	uint64_t asked;         /* number of the request, for the engine's call that completes it */
	size_t len, pos, again;
	uid_t uid;
	bool cut, adds;
	char name[256];
	struct buf text;
	void *data;
};

/* Before the engine's call. req NULL: nobody waits for it. NULL: no memory, req has been answered. */
struct job *job_new(const struct node *n, struct fuse_req *req, job_fn *fn);
/* The engine's done_fn; arg is the job. */
done_fn job_done;
/* After the call has returned r (r < 0: and filled e). The job may be gone afterwards. */
void job_started(struct job *j, int r, const struct err *e, unsigned deadline_ms);
/* In fn, before another call for the same job. */
void job_next(struct job *j, struct fuse_req *req);

#endif
