/* Nodes: what the numbers that the kernel knows our files by stand for.
 *
 * A node id is computed (docs/design.md, "Names of things in the tree"), so nothing is kept here: a node is made anew for
 * each request and does not outlive it. Runs in podfs-server.
 */
#ifndef PODFS_FS_NODE_H
#define PODFS_FS_NODE_H

#include "fs/fs.h"
#include "fs/row.h"

struct node {
	struct fs *fs;
	uint64_t id;
	const struct row *row;
	struct ref ref;
};

/* 0; -ENODEV: what it stood for has gone; -ESTALE: no such number. */
int node_get(struct fs *fs, uint64_t id, struct node *out);
/* The entry name of a folder: -ENOENT, -ENOTDIR. A fresh row gets a new nonce. */
int node_child(const struct node *dir, const char *name, struct node *out);
/* A node of that row for what ref names. */
void node_make(struct fs *fs, const struct row *row, uint64_t serial, const struct ref *ref, struct node *out);
uint64_t node_serial(const struct node *n);
/* Of its pod; 0: none. */
uint64_t node_pod_serial(const struct node *n);
void node_stat(const struct node *n, struct stat *st);
static inline unsigned node_open_flags(const struct node *n) { return n->row->kind ? n->row->kind->open_flags : 0; }
/* Where a symbolic link points. 0 or -errno. */
int node_link(const struct node *n, char *out, size_t size);
/* Path below the pod's (or the node's) folder, for sentences. */
void node_name(const struct node *n, char *out, size_t size);
/* Whether the caller may write: as default_permissions judges it, asked again. */
bool node_may_write(const struct node *n, struct fuse_req *req);
/* Whether the caller may read the pod's folder. */
bool pod_may_read(const struct pod *p, struct fuse_req *req);

/* Refuses a write: the sentence goes to the nearest error, and the result is -code. */
int node_refuse(const struct node *n, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int node_refused(const struct node *n, const struct err *e);

/* The entries of a folder, each once. */
typedef void entry_fn(void *arg, const char *name, const struct node *n);
void node_list(const struct node *dir, entry_fn *fn, void *arg);

#endif
