/* Streams of sessions: bytes between the pipes that podfs-pod made and the requests of who reads and writes them.
 *
 * Nothing is buffered here: a reader waits until the pipe has something, a writer until it has room, as with pipes. Owns the
 * watches; the pipes are the session's. Runs in podfs-server.
 */
#ifndef PODFS_FS_STREAM_H
#define PODFS_FS_STREAM_H

#include "fs/handle.h"

struct stream;

/* One stream of the session with that serial; counted. NULL: no memory. */
struct stream *stream_get(struct fs *fs, uint64_t session, enum stream_of which);
void stream_put(struct stream *st);

/* Called instead of an empty answer when a reader has come to the end. Answers req. */
typedef void stream_end_fn(void *arg, struct fuse_req *req, size_t size);
void stream_read(struct stream *st, struct fuse_req *req, size_t size, bool nonblock, stream_end_fn *end, void *arg);
void stream_write(struct stream *st, struct fuse_req *req, const char *data, size_t size, bool nonblock);
/* EPOLL… that hold now; when that is nothing, pollers are asked again once it changes. */
unsigned stream_ready(struct stream *st);
/* The last writer has gone: end of file for the command, unless it has a terminal. */
void stream_close(struct stream *st);

/* Sessions have started, ended or gone. */
void stream_changed(struct fs *fs);

#endif
