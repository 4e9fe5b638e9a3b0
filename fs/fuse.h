/* The way to the kernel: one session on /dev/fuse, requests in, replies out.
 *
 * fuse.c behind this header is the only includer of libfuse; the rest of fs/ knows these names. Owns
 * the session and its descriptor, knows no pod. A request is answered exactly once, now or later, by one of the
 * reply functions, and is gone with that. Runs in podfs-server, on its one loop.
 */
#ifndef PODFS_FS_FUSE_H
#define PODFS_FS_FUSE_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs;
struct fuse_req;        /* a request that has not been answered */
struct fuse_pollhandle; /* a poller that wants to be told */
struct session_fd;      /* the session */

/* Takes fd over. again: another server had this mount before; its INIT has been answered. Requests are handed to op.h's
 * functions from then on. */
int fuse_open(struct fs *fs, struct loop *loop, int fd, bool again, struct session_fd **out, struct err *e);
void fuse_close(struct session_fd *s);
/* True once the file system has been unmounted. */
bool fuse_gone(const struct session_fd *s);

/* Who asks. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* of the thread; 0: not visible from here */
};
struct caller req_caller(struct fuse_req *req);
/* Whether the caller is in the group, also by its supplementary ones. */
bool req_in_group(struct fuse_req *req, gid_t gid);
/* fn is called when the kernel wants the request back. Only for a request that is not yet interrupted: libfuse 3.14 calls fn
 * inside the registration otherwise and then touches the request again, which fn has freed. */
bool req_interrupted(struct fuse_req *req);
void req_on_interrupt(struct fuse_req *req, void (*fn)(struct fuse_req *req, void *arg), void *arg);

/* How a file is opened. */
enum open_flags {
	OPEN_DIRECT = 1,  /* no page cache: every read asks, the size does not matter */
	OPEN_NOFLUSH = 2, /* close(2) does not ask */
	OPEN_STREAM = 4,  /* no position: a parked read does not keep a write on the same descriptor waiting */
	OPEN_NOSEEK = 8,  /* read from the start to the end only: tail(1) then does not trust the size */
	OPEN_CACHED = 16, /* all the same, what asks through the page cache is answered: mmap(2), sendfile(2) */
	OPEN_OWNSIZE = 32, /* what is opened has another size than the file: lseek(2) from its end has to ask */
};

/* r: 0 or -errno. */
void reply(struct fuse_req *req, int r);
void reply_data(struct fuse_req *req, const void *mem, size_t len);
void reply_written(struct fuse_req *req, size_t len);
/* flags: open_flags of the file's kind. */
void reply_attr(struct fuse_req *req, const struct stat *st, unsigned flags);
void reply_entry(struct fuse_req *req, uint64_t ino, const struct stat *st, unsigned flags);
void reply_link(struct fuse_req *req, const char *target);
void reply_poll(struct fuse_req *req, unsigned revents);
void reply_statfs(struct fuse_req *req, uint64_t files);
/* False: the opener was killed meanwhile and no release will come for fh. */
bool reply_open(struct fuse_req *req, uint64_t fh, unsigned flags);
bool reply_create(struct fuse_req *req, uint64_t ino, const struct stat *st, uint64_t fh, unsigned flags);

/* One entry of a folder into mem; the bytes it takes, more than room: it was not put in. off: where to go on behind it. */
size_t dirent_put(struct fuse_req *req, char *mem, size_t room, const char *name, uint64_t ino, mode_t type, off_t off);

/* Tells the poller; never from within a request (libfuse: notifications). */
void poll_notify(struct fuse_pollhandle *ph);
/* Once for each handle that an operation was given. */
void poll_destroy(struct fuse_pollhandle *ph);

#endif
