/* Attributes: owners, modes, times, links, and who may write.
 *
 * A file's mode is its row's, seen through its pod's: what the pod's folder does not give a class of users, no file in it
 * gives. Runs in podfs-server.
 */
#include "fs/handle.h"
#include "fs/job.h"
#include "fs/node.h"
#include "fs/op.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* One class of users (shift 3: group, 0: others). It has what both row and pod give it; where the pod lets it write, it has
 * what the owner has. */
static mode_t class_bits(mode_t row, mode_t pod, unsigned shift)
{
	mode_t theirs = row >> shift & 7, owners = row >> 6 & 7, given = pod >> shift & 7;
	mode_t bits = theirs & given;
	if (given & 2)
		bits |= owners;
	return bits << shift;
}

static mode_t mode_of(const struct node *n)
{
	mode_t mode = n->row->mode;
	if (n->row == &rows[R_ROOT] && n->fs->nusers)
		return S_IFDIR | S_ISVTX | 0777; /* as /tmp: op_mkdir asks who it is */
	if (!n->ref.pod || S_ISLNK(mode))
		return mode;
	mode_t pod = n->ref.pod->spec->mode;
	if (n->row == &rows[R_POD])
		return S_IFDIR | (pod & 0777);
	/* To look into a folder is to search it; a pod that may be read may have its files read. */
	return (mode & (S_IFMT | 0700)) | class_bits(mode, pod, 3) | class_bits(mode, pod, 0);
}

static struct timespec ns_time(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
}

static uint64_t created_ns(const struct node *n)
{
	if (n->ref.s)
		return n->ref.s->created_ns;
	if (n->ref.c)
		return n->ref.c->spec->created_ns;
	return n->ref.pod ? n->ref.pod->spec->created_ns : n->fs->started_ns;
}

void node_stat(const struct node *n, struct stat *st)
{
	const struct pod_spec *p = n->ref.pod ? n->ref.pod->spec : NULL;
	*st = (struct stat){
		.st_ino = n->id & ~0xffff00ull, .st_mode = mode_of(n), .st_nlink = 1, .st_blksize = 4096,
		.st_uid = n->ref.s ? n->ref.s->owner : p ? p->owner : 0,
		.st_gid = n->ref.s ? n->ref.s->group : p ? p->group : 0,
	};
	st->st_atim = st->st_mtim = st->st_ctim = ns_time(created_ns(n));
	if (n->row->kind && n->row->kind->stat)
		n->row->kind->stat(n, st);
	st->st_blocks = (st->st_size + 511) / 512;
}

/* want: S_IROTH or S_IWOTH. The caller's groups are only looked for where it makes a difference. */
static bool may(struct fuse_req *req, uid_t owner, gid_t group, mode_t mode, mode_t want)
{
	struct caller who = req_caller(req);
	if (who.uid == 0)
		return true;
	if (who.uid == owner)
		return mode >> 6 & want;
	if ((mode >> 3 & want) == (mode & want))
		return mode & want;
	return (req_in_group(req, group) ? mode >> 3 : mode) & want;
}

bool node_may_write(const struct node *n, struct fuse_req *req)
{
	struct stat st;
	node_stat(n, &st);
	return may(req, st.st_uid, st.st_gid, st.st_mode, S_IWOTH);
}

bool pod_may_read(const struct pod *p, struct fuse_req *req)
{
	return may(req, p->spec->owner, p->spec->group, p->spec->mode, S_IROTH);
}

int node_link(const struct node *n, char *out, size_t size)
{
	pid_t pid = n->ref.pod ? n->ref.pod->pid : 0;
	if (!S_ISLNK(n->row->mode))
		return -EINVAL;
	if (n->ref.c) {
		int fd = n->ref.c->status.root_fd;
		if (!pid || fd < 0)
			return -ENOENT;
		snprintf(out, size, "/proc/%d/fd/%d", pid, fd);
		return 0;
	}
	if (!pid)
		return -ENOENT;
	/* The shared PID namespace is that of the children of podfs-pod, not its own. */
	snprintf(out, size, "/proc/%d/ns/%s", pid, n->row == &rows[R_NS_PID] ? "pid_for_children" : n->row->name);
	return 0;
}

void node_name(const struct node *n, char *out, size_t size)
{
	const struct row *folder = &rows[n->row->parent];
	const char *own = n->row->name ? n->row->name : n->ref.path ? n->ref.path : n->ref.c ? n->ref.c->spec->name : "";
	if (n->ref.s)
		snprintf(out, size, "exec/%s/%s", n->ref.s->name, own);
	else if (n->ref.path)
		snprintf(out, size, "images/%s", own);
	else if (folder->name && folder != &rows[R_NODE])
		snprintf(out, size, "%s/%s", folder->name, own);
	else
		snprintf(out, size, "%s", *own ? own : n->ref.pod ? n->ref.pod->spec->name : "/");
}

int node_refused(const struct node *n, const struct err *e)
{
	char name[300];
	node_name(n, name, sizeof name);
	engine_refused(n->fs->en, n->ref.pod, n->ref.c, name, e);
	return -e->code;
}

int node_refuse(const struct node *n, int code, const char *fmt, ...)
{
	char text[400];
	struct err e = { 0 };
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set(&e, code, "%s", text);
	return node_refused(n, &e);
}

/* --- operations --- */

/* Of an opened text: that text's size, for lseek(2) from its end. */
void op_getattr(struct fs *fs, struct fuse_req *req, uint64_t ino, uint64_t fh)
{
	struct node n;
	struct stat st;
	struct handle *h = fh ? handle_find(fs, fh) : NULL;
	int r = node_get(fs, ino, &n);
	if (r) {
		reply(req, r);
		return;
	}
	node_stat(&n, &st);
	if (h && h->text.data)
		st.st_size = (off_t)h->text.len;
	reply_attr(req, &st, node_open_flags(&n));
}

static bool chown_answer(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct node n;
	if (r < 0 && !node_get(j->fs, j->ino, &n))
		node_refused(&n, e);
	if (req && r < 0)
		reply(req, r);
	else if (req)
		op_getattr(j->fs, req, j->ino, 0);
	return false;
}

static void pod_chown(struct node *n, struct fuse_req *req, const struct attr_change *c)
{
	struct err e = { 0 };
	struct job *j = job_new(n, req, chown_answer);
	if (!j)
		return;
	int r = engine_pod_chown(n->ref.pod, c->has_uid ? c->uid : (uid_t)-1, c->has_gid ? c->gid : (gid_t)-1,
				 c->has_mode ? c->mode & 0777 : (mode_t)-1, job_done, j, &e);
	job_started(j, r, &e, JOB_SHORT_MS);
}

/* Sizes and times are accepted and mean nothing, but for ftruncate of what is written as lines. */
void op_setattr(struct fs *fs, struct fuse_req *req, uint64_t ino, const struct attr_change *c)
{
	struct node n;
	int r = node_get(fs, ino, &n);
	if (!r && (c->has_mode || c->has_uid || c->has_gid)) {
		if (n.row == &rows[R_POD]) {
			pod_chown(&n, req, c);
			return;
		}
		r = node_refuse(&n, EPERM, "owner and mode are those of the pod: change them there");
	}
	struct handle *h = !r && c->has_size && c->fh ? handle_find(fs, c->fh) : NULL;
	if (h && h->row->kind->truncate)
		h->row->kind->truncate(h, c->size);
	if (r)
		reply(req, r);
	else
		op_getattr(fs, req, ino, c->fh);
}

void op_readlink(struct fs *fs, struct fuse_req *req, uint64_t ino)
{
	struct node n;
	char target[64];
	int r = node_get(fs, ino, &n);
	if (!r)
		r = node_link(&n, target, sizeof target);
	if (r)
		reply(req, r);
	else
		reply_link(req, target);
}

void op_statfs(struct fs *fs, struct fuse_req *req)
{
	reply_statfs(req, fs->en->npods);
}
