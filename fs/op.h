/* What the kernel asks: one function an operation, called by fuse.c for each request.
 *
 * Each answers its request or parks it (park.h). dir.c has names and folders, file.c what is done with an opened
 * file, attr.c the attributes. They find the node, check, and call the functions of its kind. Runs in podfs-server.
 */
#ifndef PODFS_FS_OP_H
#define PODFS_FS_OP_H

#include "fs/fuse.h"

struct fs;
struct fuse_req;

/* dir.c */
void op_lookup(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name);
void op_mkdir(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name, mode_t mode);
void op_rmdir(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name);
void op_unlink(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name);
/* mknod, symlink, link, rename, and create where nothing can be made. */
void op_refused(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name);
void op_opendir(struct fs *fs, struct fuse_req *req, uint64_t ino);
void op_readdir(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, size_t size, uint64_t off);
void op_releasedir(struct fs *fs, struct fuse_req *req, uint64_t fh);

/* attr.c */
struct attr_change {
	bool has_mode, has_uid, has_gid, has_size;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	uint64_t fh; /* 0: by name */
};
void op_getattr(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh); /* fh 0: by name */
void op_setattr(struct fs *fs, struct fuse_req *req, uint64_t ino, const struct attr_change *c);
void op_readlink(struct fs *fs, struct fuse_req *req, uint64_t ino);
void op_statfs(struct fs *fs, struct fuse_req *req);

/* file.c */
void op_create(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name, int flags);
void op_open(struct fs *fs, struct fuse_req *req, uint64_t ino, int flags);
/* cached: for the page cache, not for a reader. */
void op_read(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, bool cached, size_t size,
	     uint64_t off);
void op_write(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags, const char *data, size_t size,
	      uint64_t off);
void op_flush(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh);
void op_release(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, int flags);
/* ph may be NULL; it is owned by the callee. */
void op_poll(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, struct fuse_pollhandle *ph);

#endif
