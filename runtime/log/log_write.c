/* The writing end of a container's log: see log.h.
 *
 * Owns: the log's folder while the pod lives; it is the only writer there. Runs in podfs-pod, so it
 * must not allocate, must not end anything because of a disk, and must never leave a
 * container waiting on a full pipe.
 */
#include "runtime/base/util.h"
#include "runtime/log/log_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
	SCRATCH = 16 * 1024,          /* on the stack */
	RETRY_NS = 100 * 1000 * 1000, /* how often a broken disk is tried again */
};

void log_writer_close(struct log_writer *w)
{
	if (w->dropped != w->head.dropped)
		log_write_head(w);
	close_fd(&w->fd);
	close_fd(&w->ifd);
	close_fd(&w->dirfd);
}

bool log_writer_gone(const struct log_writer *w)
{
	struct stat st;
	return !fstat(w->fd >= 0 ? w->fd : w->dirfd, &st) && !st.st_nlink;
}

void log_run_begin(struct log_writer *w)
{
	w->head.prev = w->head.run;
	w->head.run = w->head.start + w->last.end;
	int r = log_write_head(w);
	if (r)
		w->broken = -r; /* the head in memory goes to the disk with the next segment or repair */
}

/* --- the pump --- */

/* What can't be kept is taken all the same: a container never waits for its log. */
static ssize_t discard(struct log_writer *w, int pipefd, size_t len)
{
	char mem[SCRATCH];
	ssize_t n = read(pipefd, mem, len < sizeof mem ? len : sizeof mem);
	if (n < 0)
		return -errno;
	w->dropped += (uint64_t)n;
	return n;
}

static void fail(struct log_writer *w, int r)
{
	w->broken = -r;
	w->retry_ns = now_mono_ns() + RETRY_NS;
}

void log_writer_again(struct log_writer *w, int dirfd)
{
	if (dirfd < 0) {
		fail(w, dirfd);
		return;
	}
	close_fd(&w->fd);
	close_fd(&w->ifd);
	close_fd(&w->dirfd);
	w->dirfd = dirfd;
}

/* What was taken from the pipe, and how much of it is behind the last record. */
struct piece {
	size_t taken, kept;
};

/* For file systems without splice. */
static int copy(struct log_writer *w, int pipefd, size_t len, struct piece *p)
{
	char mem[SCRATCH];
	ssize_t n = read(pipefd, mem, len < sizeof mem ? len : sizeof mem);
	if (n < 0)
		return -errno;
	ssize_t kept = n ? pwrite(w->fd, mem, (size_t)n, (off_t)w->last.end) : 0;
	if (kept < n)
		fail(w, kept < 0 ? -errno : -ENOSPC);
	p->taken = (size_t)n;
	p->kept = kept < 0 ? 0 : (size_t)kept;
	return 0;
}

/* Pipe to file. 0, both zero at the end of the pipe; or -errno: -EAGAIN and -EINTR are the pipe's, all others the disk's. */
static int move(struct log_writer *w, int pipefd, size_t len, struct piece *p)
{
	if (!w->copy) {
		off_t pos = (off_t)w->last.end;
		ssize_t n = splice(pipefd, NULL, w->fd, &pos, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0 && errno != EINVAL)
			return -errno;
		if (n >= 0) {
			p->taken = p->kept = (size_t)n;
			return 0;
		}
		w->copy = true;
	}
	return copy(w, pipefd, len, p);
}

/* Puts what was moved into the index. */
static void keep(struct log_writer *w, const struct piece *p, enum log_stream stream)
{
	w->dropped += p->taken - p->kept;
	int r = p->kept ? log_record(w, p->kept, stream, now_real_ns()) : 0;
	if (r) {
		fail(w, r);
		w->dropped += p->kept;
		/* Should this fail too, the next piece writes over what has no record. */
		UNUSED int ignored = ftruncate(w->fd, (off_t)w->last.end);
	} else if (w->broken && p->kept && p->kept == p->taken) {
		w->broken = 0;
		log_write_head(w); /* with what was dropped meanwhile */
	}
}

/* One piece, into the log or, while the disk fails, nowhere. */
static ssize_t take(struct log_writer *w, int pipefd, enum log_stream stream, size_t len)
{
	if (w->broken && now_mono_ns() < w->retry_ns)
		return discard(w, pipefd, len);
	int r = log_ready(w);
	if (!r) {
		/* A whole large pipe at once: each call has its price in the file system. */
		uint64_t room = log_hard_end(w) - w->last.end;
		room = room < LOG_MAX_REC ? room : LOG_MAX_REC;
		struct piece p = { 0 };
		r = move(w, pipefd, len < room ? len : room, &p);
		if (!r)
			keep(w, &p, stream);
		if (!r || r == -EAGAIN || r == -EINTR)
			return r ? r : (ssize_t)p.taken;
	}
	fail(w, r);
	return discard(w, pipefd, len);
}

ssize_t log_pump(struct log_writer *w, int pipefd, enum log_stream stream, size_t budget)
{
	size_t moved = 0;
	while (moved < budget) {
		ssize_t n = take(w, pipefd, stream, budget - moved);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return moved ? (ssize_t)moved : n;
		moved += (size_t)n;
	}
	return (ssize_t)moved;
}

int log_remove(int dirfd, const char *name)
{
	return remove_tree_at(dirfd, name);
}
