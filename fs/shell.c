/* exec/NAME: see shell.h. */
#include "fs/shell.h"

#include "fs/job.h"
#include "fs/stream.h"
#include "fs/wait.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#define QUEUED_MAX 16 /* shells of one container whose output waits */

/* The output of a shell that was opened for writing. */
struct shell {
	struct shell *next; /* in the order they were opened */
	uint64_t session, container;
	uid_t uid;
	struct stream *out;
	struct handle *reader; /* who has taken it; NULL: it waits */
};

/* An opening. */
struct opening {
	uint64_t session; /* 0: for reading only */
	struct stream *in, *out;
	bool taken; /* a reader has taken what was waiting */
};

static struct session *session_by(struct fs *fs, uint64_t serial)
{
	struct entity *e = engine_entity(fs->en, serial);
	return e && e->kind == ENTITY_SESSION ? container_of(e, struct session, entity) : NULL;
}

static void end_session(struct fs *fs, uint64_t serial)
{
	struct session *s = session_by(fs, serial);
	if (s)
		engine_session_remove(s);
}

/* --- what waits --- */

static void shell_drop(struct fs *fs, struct shell *sh)
{
	for (struct shell **p = &fs->shells; *p; p = &(*p)->next)
		if (*p == sh) {
			*p = sh->next;
			break;
		}
	end_session(fs, sh->session);
	stream_put(sh->out);
	free(sh);
}

/* Room for one more of n's container: the oldest output of a shell that has ended goes, if nobody reads it. One that runs is
 * never ended for another. */
static int make_room(struct node *n)
{
	unsigned waiting = 0;
	struct shell *oldest = NULL;
	for (struct shell *sh = n->fs->shells; sh; sh = sh->next) {
		if (sh->container != node_serial(n) || sh->reader)
			continue;
		const struct session *s = session_by(n->fs, sh->session);
		if (!oldest && (!s || s->state == S_ENDED))
			oldest = sh;
		waiting++;
	}
	if (waiting < QUEUED_MAX)
		return 0;
	if (!oldest)
		return node_refuse(n, EBUSY, "%d shells run whose output nobody reads: read it, or let them end", QUEUED_MAX);
	shell_drop(n->fs, oldest);
	return 0;
}

/* Serials grow, so the order of serials is the order of opening. */
static int queue(struct fs *fs, uint64_t session, uint64_t container, uid_t uid)
{
	struct shell *sh = calloc(1, sizeof *sh);
	if (!sh)
		return -ENOMEM;
	*sh = (struct shell){ .session = session, .container = container, .uid = uid,
			      .out = stream_get(fs, session, STREAM_OUT) };
	if (!sh->out) {
		free(sh);
		return -ENOMEM;
	}
	struct shell **p = &fs->shells;
	while (*p && (*p)->session < session)
		p = &(*p)->next;
	sh->next = *p;
	*p = sh;
	return 0;
}

static void restore_of(struct fs *fs, struct pod *p)
{
	for (struct session *s = p->sessions; s; s = s->next) {
		struct container *c = *s->name ? NULL : engine_container(p, s->container);
		if (c && s->mode == O_WRONLY && s->state != S_NEW)
			queue(fs, s->entity.serial, c->entity.serial, s->owner);
	}
}

void shell_restore(struct fs *fs)
{
	for (size_t i = 0; i < fs->en->npods; i++)
		restore_of(fs, fs->en->pods[i]);
}

/* Those whose session has gone, with its container or pod. */
void shell_changed(struct fs *fs)
{
	for (struct shell *sh = fs->shells, *next; sh; sh = next) {
		next = sh->next;
		if (!session_by(fs, sh->session))
			shell_drop(fs, sh);
	}
}

/* --- reading what waits --- */

static struct shell *first_of(struct handle *h)
{
	struct shell *sh = h->fs->shells;
	while (sh && sh->reader != h)
		sh = sh->next;
	return sh;
}

static void take_waiting(struct handle *h)
{
	struct opening *o = h->data;
	uint64_t container = h->ino >> 24;
	for (struct shell *sh = h->fs->shells; sh && !o->taken; sh = sh->next)
		if (sh->container == container && sh->uid == h->uid && !sh->reader)
			sh->reader = h;
	o->taken = true;
}

static void read_waiting(struct handle *h, struct fuse_req *req, size_t size);

static void at_end(void *arg, struct fuse_req *req, size_t size)
{
	struct handle *h = arg;
	struct shell *sh = first_of(h);
	if (sh)
		shell_drop(h->fs, sh);
	read_waiting(h, req, size);
}

static void read_waiting(struct handle *h, struct fuse_req *req, size_t size)
{
	struct shell *sh = first_of(h);
	if (sh)
		stream_read(sh->out, req, size, h->flags & O_NONBLOCK, at_end, h);
	else
		reply_data(req, "", 0);
}

static void shell_read(struct handle *h, struct fuse_req *req, size_t size, uint64_t off)
{
	struct opening *o = h->data;
	if (o->out) {
		stream_read(o->out, req, size, h->flags & O_NONBLOCK, NULL, NULL);
		return;
	}
	take_waiting(h);
	read_waiting(h, req, size);
}

static void shell_write(struct handle *h, struct fuse_req *req, const char *data, size_t size, uint64_t off)
{
	struct opening *o = h->data;
	stream_write(o->in, req, data, size, h->flags & O_NONBLOCK);
}

static unsigned shell_ready(struct handle *h)
{
	struct opening *o = h->data;
	if (!o->session) {
		struct shell *sh = first_of(h);
		return sh ? stream_ready(sh->out) : EPOLLIN;
	}
	return (o->out ? stream_ready(o->out) : 0) | (o->in ? stream_ready(o->in) : 0);
}

/* --- opening --- */

static void opening_free(struct handle *h)
{
	struct opening *o = h->data;
	if (o && o->in)
		stream_put(o->in);
	if (o && o->out)
		stream_put(o->out);
	free(o);
	h->data = NULL;
}

static int connect_streams(struct handle *h, uint64_t container)
{
	struct opening *o = h->data;
	o->in = stream_get(h->fs, o->session, STREAM_IN);
	if (!o->in)
		return -ENOMEM;
	if (!handle_reads(h))
		return queue(h->fs, o->session, container, h->uid);
	o->out = stream_get(h->fs, o->session, STREAM_OUT);
	return o->out ? 0 : -ENOMEM;
}

static bool started(struct job *j, struct fuse_req *req, int r, const struct err *e)
{
	struct handle *h = handle_find(j->fs, j->fh);
	struct opening *o = h->data;
	struct node n;
	int g = node_get(j->fs, j->ino, &n);
	if (r < 0 && !g)
		node_refused(&n, e);
	if (!r)
		r = g ? g : req ? connect_streams(h, node_serial(&n)) : -EINTR;
	wait_poke(j->fs);
	if (!r) {
		file_opened(h, req);
		return false;
	}
	end_session(j->fs, o->session);
	opening_free(h);
	file_not_opened(h, req, r);
	return false;
}

/* Its number is not known to the kernel before it is opened, so the handle lives until the engine has answered. */
static int start(struct node *n, struct handle *h, struct fuse_req *req)
{
	struct err e = { 0 };
	struct caller who = req_caller(req);
	struct opening *o = h->data;
	struct session *s;
	int r = handle_reads(h) ? 0 : make_room(n);
	if (r)
		return r;
	r = engine_session_create(n->ref.pod, "", who.uid, who.gid, &s, &e);
	if (r)
		return node_refused(n, &e);
	o->session = s->entity.serial;
	snprintf(s->container, sizeof s->container, "%s", n->ref.c->spec->name);
	struct job *j = job_new(n, NULL, started);
	if (!j || engine_session_opened(s, h->fh, h->flags & O_ACCMODE)) {
		free(j);
		engine_session_remove(s);
		return -ENOMEM;
	}
	static char sh[] = "/bin/sh";
	static char *argv[] = { sh, NULL };
	j->fh = h->fh;
	j->late_is_undone = true;
	job_next(j, req);
	r = engine_session_run(s, &(struct strs){ argv, 1 }, true, job_done, j, &e);
	job_started(j, r, &e, JOB_START_MS);
	return PARKED;
}

/* The session that this opening had before the server was another. */
static int reopen(struct node *n, struct handle *h, struct session *s)
{
	struct opening *o = h->data;
	o->session = s->entity.serial;
	h->flags = (h->flags & ~O_ACCMODE) | s->mode;
	o->in = stream_get(h->fs, o->session, STREAM_IN);
	if (handle_reads(h))
		o->out = stream_get(h->fs, o->session, STREAM_OUT);
	return o->in && (o->out || !handle_reads(h)) ? 0 : -ENOMEM;
}

/* Of an open that is sent again: the session it has begun already; NULL: none that runs. */
static struct session *begun(struct node *n, const struct handle *h)
{
	struct session *s = h->fs->again ? engine_session_of(n->ref.pod, h->fh) : NULL;
	if (!s || s->state != S_NEW)
		return s;
	engine_session_remove(s);
	return NULL;
}

static int shell_open(struct node *n, struct handle *h, struct fuse_req *req)
{
	h->data = calloc(1, sizeof(struct opening));
	if (!h->data)
		return -ENOMEM;
	struct session *s = begun(n, h);
	int r = s ? reopen(n, h, s) : handle_writes(h) ? start(n, h, req) : 0;
	if (r < 0)
		opening_free(h);
	return r;
}

static int shell_adopt(struct node *n, struct handle *h, uint64_t off)
{
	struct session *s = engine_session_of(n->ref.pod, h->fh);
	if (!s && handle_writes(h))
		return -EIO; /* its shell has been removed */
	h->data = calloc(1, sizeof(struct opening));
	int r = !h->data ? -ENOMEM : s ? reopen(n, h, s) : 0;
	if (r)
		opening_free(h);
	return r;
}

/* What a reader has not finished waits again. */
static void shell_release(struct handle *h)
{
	struct opening *o = h->data;
	for (struct shell *sh = h->fs->shells; sh; sh = sh->next)
		if (sh->reader == h)
			sh->reader = NULL;
	struct session *s = session_by(h->fs, o->session);
	if (s)
		engine_session_closed(s, h->fh);
	if (o->in)
		stream_close(o->in);
	if (o->session && handle_reads(h))
		end_session(h->fs, o->session);
	opening_free(h);
}

static void shell_stat(const struct node *n, struct stat *st)
{
	st->st_size = 1;
}

const struct kind kind_shell = {
	.open_flags = OPEN_DIRECT | OPEN_NOFLUSH | OPEN_STREAM, .open = shell_open, .adopt = shell_adopt, .read = shell_read,
	.write = shell_write,
	.release = shell_release, .ready = shell_ready,
	.stat = shell_stat,
};
