/* Names and folders: lookup, listing, mkdir, rmdir, and what cannot be made or removed.
 *
 * mkdir and rmdir hold the parent folder in the kernel, so they are answered in milliseconds or fail after two seconds.
 * Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/image_name.h"
#include "fs/images.h"
#include "fs/job.h"
#include "fs/op.h"
#include "fs/shell.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

#define WALK_NS 5000000000ull /* how long a refused removal is remembered */

static void reply_node(struct fuse_req *req, const struct node *n)
{
	struct stat st;
	node_stat(n, &st);
	reply_entry(req, n->id, &st, node_open_flags(n));
}

void op_lookup(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name)
{
	struct node dir, n;
	int r = node_get(fs, parent, &dir);
	if (!r)
		r = node_child(&dir, name, &n);
	if (r)
		reply(req, r);
	else
		reply_node(req, &n);
}

/* --- listing --- */

struct entry {
	uint64_t key; /* order and cookie: stays the same while others come and go, and for another server */
	uint64_t ino;
	mode_t type;
	size_t name; /* offset in names */
};

struct listing {
	struct entry *v;
	size_t n, cap;
	struct buf names;
	bool failed;
};

static void listing_add(struct listing *l, const char *name, uint64_t key, uint64_t ino, mode_t type)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct entry *v = reallocarray(l->v, cap, sizeof *v);
		if (!v) {
			l->failed = true;
			return;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct entry){ key, ino, type, l->names.len };
	buf_put(&l->names, name, strlen(name) + 1);
}

/* Serial and row; 1 and 2 are the folder itself and its parent. */
static void listing_entry(void *arg, const char *name, const struct node *n)
{
	uint64_t key = (node_serial(n) << 8 | row_number(n->row)) + 3;
	listing_add(arg, name, key, n->id & ~0xffff00ull, n->row->mode & S_IFMT);
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->key < y->key ? -1 : x->key > y->key;
}

static void listing_free(struct listing *l)
{
	free(l->v);
	buf_free(&l->names);
	*l = (struct listing){ 0 };
}

static int listing_make(struct listing *l, const struct node *dir)
{
	listing_free(l);
	listing_add(l, ".", 1, dir->id, S_IFDIR);
	listing_add(l, "..", 2, 1, S_IFDIR);
	node_list(dir, listing_entry, l);
	if (l->failed || l->names.failed)
		return -ENOMEM;
	qsort(l->v, l->n, sizeof *l->v, by_key);
	return 0;
}

void op_opendir(struct fs *fs, struct fuse_req *req, uint64_t ino)
{
	struct node dir;
	int r = node_get(fs, ino, &dir);
	struct handle *h = r ? NULL : handle_new(fs, &dir, 0, req_caller(req).uid);
	if (h)
		h->data = calloc(1, sizeof(struct listing));
	if (!h || !h->data) {
		if (h)
			handle_free(h);
		reply(req, r ? r : -ENOMEM);
	} else if (!reply_open(req, h->fh, 0)) {
		free(h->data);
		handle_free(h);
	}
}

static void reply_listing(struct fuse_req *req, const struct listing *l, size_t size, uint64_t off)
{
	_cleanup_free_ char *mem = malloc(size);
	size_t used = 0;
	if (!mem) {
		reply(req, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &l->v[i];
		if (e->key <= off)
			continue;
		size_t n = dirent_put(req, mem + used, size - used, l->names.data + e->name, e->ino, e->type, (off_t)e->key);
		if (n > size - used)
			break;
		used += n;
	}
	reply_data(req, mem, used);
}

/* Listed anew at the start, so that rewinddir(3) sees what is there now. */
void op_readdir(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh, size_t size, uint64_t off)
{
	struct handle *h = handle_find(fs, fh);
	struct listing own = { 0 }, *l = h ? h->data : &own;
	struct node dir;
	int r = 0;
	if (!off || !l->n) {
		r = node_get(fs, ino, &dir);
		if (!r)
			r = listing_make(l, &dir);
	}
	if (r)
		reply(req, r);
	else
		reply_listing(req, l, size, off);
	listing_free(&own);
}

void op_releasedir(struct fs *fs, struct fuse_req *req, uint64_t fh)
{
	struct handle *h = handle_find(fs, fh);
	if (h) {
		listing_free(h->data);
		free(h->data);
		handle_free(h);
	}
	reply(req, 0);
}

/* --- mkdir --- */

static bool may_make_pods(const struct fs *fs, uid_t uid)
{
	for (size_t i = 0; i < fs->nusers; i++)
		if (fs->users[i] == uid)
			return true;
	return uid == 0;
}

/* As the engine's sentences begin. */
static const char *object_word(const struct node *dir)
{
	unsigned row = row_number(dir->row);
	return row == R_ROOT ? "pod" : row == R_CONTAINERS ? "container" : row == R_EXEC ? "session" :
	       row == R_IMAGES || row == R_IMAGE_DIR ? "images" : "mkdir";
}

static void object_refused(const struct node *dir, const struct err *e)
{
	engine_refused(dir->fs->en, dir->ref.pod, dir->ref.c, object_word(dir), e);
}

static void unmade(void *arg UNUSED, int result UNUSED, const struct err *e UNUSED)
{
}

/* Its maker was told that it failed. */
static void unmake(struct node *n)
{
	struct err e = { 0 };
	if (n->row == &rows[R_POD])
		engine_pod_remove(n->ref.pod, unmade, NULL, &e);
	else if (n->row == &rows[R_CONTAINER])
		engine_container_remove(n->ref.c, unmade, NULL, &e);
}

/* A refused name belongs to the folder that would have it. */
static bool mkdir_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node dir, n;
	int g = node_get(j->fs, j->ino, &dir);
	if (r < 0 && !g)
		object_refused(&dir, e);
	if (!r)
		r = g ? g : node_child(&dir, j->name, &n);
	if (!req && !r)
		unmake(&n);
	if (!req)
		return false;
	if (r < 0)
		reply(req, r);
	else
		reply_node(req, &n);
	return false;
}

static int session_make(struct node *dir, const char *name, struct caller who, struct err *e)
{
	struct session *s;
	return engine_session_create(dir->ref.pod, name, who.uid, who.gid, &s, e);
}

static void mkdir_object(struct fs *fs, struct node *dir, struct fuse_req *req, const char *name, mode_t mode)
{
	struct err e = { 0 };
	struct caller who = req_caller(req);
	struct job *j = job_new(dir, req, mkdir_answer);
	int r;
	if (!j)
		return;
	snprintf(j->name, sizeof j->name, "%s", name);
	j->late_is_undone = true;
	switch (row_number(dir->row)) {
	case R_ROOT:
		r = !may_make_pods(fs, who.uid) ? err_set(&e, EPERM, "pod %s: who may make pods stands in config's `users`", name) :
			engine_pod_create(fs->en, name, who.uid, who.gid, mode & 0777, job_done, j, &e);
		break;
	case R_CONTAINERS:
		r = engine_container_create(dir->ref.pod, name, job_done, j, &e);
		break;
	case R_EXEC:
		r = session_make(dir, name, who, &e);
		j->done = true;
		break;
	default:
		r = err_set(&e, EPERM, "%s: no folder can be made here", name);
	}
	job_started(j, r, &e, JOB_SHORT_MS);
}

/* The folder has been locked since before this was sent first, when the name was not there. So when it is, either the server before
 * this one has made it, or somebody by another way since the kernel looked: what it finds itself it refuses without asking. */
static void mkdir_there(struct fs *fs, const struct node *dir, struct fuse_req *req, const struct node *n, const char *name)
{
	struct err e = { 0 };
	if (fs->again) {
		reply_node(req, n);
		return;
	}
	err_set(&e, EEXIST, n->row == &rows[R_SHELL] ? "%s %s: a container has that name" : "%s %s: exists already",
		object_word(dir), name);
	object_refused(dir, &e);
	reply(req, -EEXIST);
}

static int check_folder(struct fs *fs, struct fuse_req *req, uint64_t parent, struct node *dir)
{
	int r = node_get(fs, parent, dir);
	if (!r && dir->row != &rows[R_ROOT] && !node_may_write(dir, req))
		r = -EPERM;
	return r;
}

void op_mkdir(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name, mode_t mode)
{
	struct node dir, n;
	int r = check_folder(fs, req, parent, &dir);
	if (r) {
		reply(req, r);
	} else if (!node_child(&dir, name, &n)) {
		mkdir_there(fs, &dir, req, &n, name);
	} else if (row_number(dir.row) == R_IMAGES || row_number(dir.row) == R_IMAGE_DIR) {
		r = image_mkdir(&dir, name, &n);
		if (r)
			reply(req, r);
		else
			reply_node(req, &n);
	} else {
		mkdir_object(fs, &dir, req, name, mode);
	}
}

/* --- removal --- */

/* `rm -r` must remove nothing (interface.md, rule 9), and not every rm stops at a file that it could not remove: busybox'
 * and find -delete go on and try the folder. So who has just been refused a file of a pod is refused its folders. */
static void remember_refusal(struct fs *fs, const struct node *dir, struct fuse_req *req)
{
	struct refusal *f = &fs->refusals[fs->nrefusals++ % REFUSALS];
	*f = (struct refusal){ node_pod_serial(dir), now_mono_ns(), req_caller(req).pid };
}

static bool is_walking(struct fs *fs, uint64_t pod_serial, pid_t pid)
{
	uint64_t now = now_mono_ns();
	for (size_t i = 0; i < REFUSALS; i++)
		if (fs->refusals[i].serial == pod_serial && fs->refusals[i].pid == pid && now - fs->refusals[i].at_ns < WALK_NS)
			return true;
	return false;
}

static bool remove_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node dir;
	if (r < 0 && !node_get(j->fs, j->ino, &dir))
		object_refused(&dir, e);
	if (req)
		reply(req, r);
	return false;
}

static void rmdir_object(struct node *dir, struct node *n, struct fuse_req *req)
{
	struct err e = { 0 };
	int r = 0;
	struct job *j = job_new(dir, req, remove_answer);
	if (!j)
		return;
	if (row_number(n->row) == R_POD) {
		r = engine_pod_remove(n->ref.pod, job_done, j, &e);
	} else if (row_number(n->row) == R_CONTAINER) {
		r = engine_container_remove(n->ref.c, job_done, j, &e);
	} else {
		engine_session_remove(n->ref.s);
		j->done = true;
	}
	job_started(j, r, &e, JOB_SHORT_MS);
}

/* As in op_mkdir: it was there when this was sent first. */
static int removed_before(const struct fs *fs, int r)
{
	return r == -ENOENT && fs->again ? 0 : r;
}

void op_rmdir(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name)
{
	struct node dir, n;
	int r = check_folder(fs, req, parent, &dir);
	if (!r)
		r = node_child(&dir, name, &n);
	if (r) {
		reply(req, removed_before(fs, r));
		return;
	}
	switch (row_number(n.row)) {
	case R_POD:
	case R_CONTAINER:
	case R_SESSION:
		if (!is_walking(fs, node_pod_serial(&n), req_caller(req).pid)) {
			rmdir_object(&dir, &n, req);
			return;
		}
		r = node_refuse(&n, ENOTEMPTY, "%s: rm -r removes nothing here; use rmdir", name);
		break;
	case R_IMAGE_DIR:
		r = image_rmdir(&n);
		break;
	default:
		r = S_ISDIR(n.row->mode) ? node_refuse(&n, EPERM, "this folder cannot be removed") : -ENOTDIR;
	}
	reply(req, r);
}

/* A pull under way ends, and the image, should there be one, stays: it is what the next rm removes. */
static void unlink_image(struct node *dir, struct node *n, struct fuse_req *req)
{
	struct err e = { 0 };
	struct engine *en = dir->fs->en;
	const struct pull *pull = image_pull_at(en, n->ref.path);
	const struct image *image = image_at(en, n->ref.path);
	struct job *j = job_new(dir, req, remove_answer);
	int r;
	if (!j)
		return;
	if (pull) {
		r = engine_pull_cancel(en, pull->reference, &e);
		j->done = true;
	} else {
		r = engine_image_remove(en, image ? image->written : n->ref.path, job_done, j, &e);
	}
	job_started(j, r, &e, JOB_SHORT_MS);
}

void op_unlink(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name)
{
	struct node dir, n;
	int r = check_folder(fs, req, parent, &dir);
	if (!r)
		r = node_child(&dir, name, &n);
	if (!r && row_number(n.row) == R_IMAGE) {
		unlink_image(&dir, &n, req);
		return;
	}
	if (!r) {
		/* Said once a walk: `error` has room for a few lines. */
		bool again = is_walking(fs, node_pod_serial(&dir), req_caller(req).pid);
		remember_refusal(fs, &dir, req);
		r = again ? -EPERM :
			node_refuse(&n, EPERM, "files are not removed here; rmdir removes a pod, container or session");
	}
	reply(req, removed_before(fs, r));
}

void op_refused(struct fs *fs, struct fuse_req *req, uint64_t parent, const char *name)
{
	struct node dir;
	int r = node_get(fs, parent, &dir);
	if (!r)
		r = node_refuse(&dir, EPERM, "%s: files cannot be made or renamed here", name);
	reply(req, r);
}
