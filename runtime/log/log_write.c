/* The writing end of a container's log: see log.h.
 *
 * Owns: the log's folder while the pod lives; it is the only writer there. Runs in podfs-pod, so it
 * must not allocate, must not end anything because of a disk, and must never leave a
 * container waiting on a full pipe.
 *
 * The bytes go from pipe to page cache with splice(2). They are then read back, while they are still in the
 * processor's cache, to count the lines: it costs a tenth and makes the size of .timestamps known at any time.
 */
#include "runtime/log/log.h"

#include "runtime/base/util.h"
#include "runtime/log/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	SCRATCH = 32 * 1024,             /* on the stack */
	MERGE_NS = 1000 * 1000,          /* what comes within this time of a record's beginning joins it */
	RETRY_NS = 100 * 1000 * 1000,    /* how often a broken disk is tried again */
};

static off_t rec_pos(uint32_t i)
{
	return (off_t)(sizeof(struct log_head) + (uint64_t)i * sizeof(struct log_rec));
}

/* pread and pwrite of a whole small thing. 0 or -errno; a short one is what the disk had: -ENODATA, -ENOSPC. */
static int get_at(int fd, void *mem, size_t len, off_t pos)
{
	ssize_t n = pread(fd, mem, len, pos);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -ENODATA;
}

static int put_at(int fd, const void *mem, size_t len, off_t pos)
{
	ssize_t n = pwrite(fd, mem, len, pos);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -ENOSPC;
}

/* --- lines --- */

typedef uint8_t lanes __attribute__((vector_size(16), may_alias, aligned(1)));

static uint32_t count_newlines(const uint8_t *p, size_t len)
{
	uint32_t total = 0;
	while (len >= sizeof(lanes)) {
		lanes sum = { 0 };
		size_t rounds = len / sizeof(lanes) < 255 ? len / sizeof(lanes) : 255; /* a lane is a byte */
		for (size_t i = 0; i < rounds; i++)
			sum -= (lanes)(((const lanes *)(const void *)p)[i] == '\n');
		for (size_t i = 0; i < sizeof sum; i++)
			total += sum[i];
		p += rounds * sizeof(lanes);
		len -= rounds * sizeof(lanes);
	}
	while (len--)
		total += *p++ == '\n';
	return total;
}

/* Adds the lines that begin in the segment's bytes [pos, pos + len) to *lines; *bol: is the next byte
 * the first of a line, before and after. */
static int count_lines(int fd, uint64_t pos, size_t len, bool *bol, uint32_t *lines)
{
	uint8_t mem[SCRATCH];
	while (len) {
		size_t part = len < sizeof mem ? len : sizeof mem;
		int r = get_at(fd, mem, part, (off_t)pos);
		if (r)
			return r;
		bool ends = mem[part - 1] == '\n';
		*lines += count_newlines(mem, part) + *bol - ends;
		*bol = ends;
		pos += part;
		len -= part;
	}
	return 0;
}

/* --- records --- */

/* Gives the n bytes behind the last record their place in the index. On failure nothing has changed but bytes
 * on the disk that nobody counts. */
static int record(struct log_writer *w, size_t n, enum log_stream stream, uint64_t time_ns)
{
	struct log_rec rec = w->last;
	bool bol = w->bol;
	bool merge = w->nrec && rec.stream == stream && time_ns - rec.time_ns < MERGE_NS &&
	             rec.end - w->before.end + n <= LOG_MAX_REC;
	if (!merge) {
		rec.time_ns = time_ns;
		rec.stream = stream;
	}
	int r = count_lines(w->fd, rec.end, n, &bol, &rec.lines);
	if (r)
		return r;
	rec.end += (uint32_t)n;
	if (stream == LOG_STDOUT)
		rec.out += (uint32_t)n;
	r = put_at(w->ifd, &rec, sizeof rec, rec_pos(merge ? w->nrec - 1 : w->nrec));
	if (r)
		return r;
	if (!merge) {
		w->before = w->last;
		w->nrec++;
	}
	w->last = rec;
	w->bol = bol;
	return 0;
}

static int write_head(struct log_writer *w)
{
	w->head.dropped = w->dropped;
	return w->ifd < 0 ? 0 : put_at(w->ifd, &w->head, sizeof w->head, 0);
}

/* --- segments --- */

struct found {
	uint64_t oldest, newest; /* segments */
	uint32_t count;
	uint64_t index; /* newest index */
	bool any_index;
};

static int note(void *arg, uint64_t start, bool index)
{
	struct found *f = arg;
	if (index) {
		f->index = f->any_index && f->index > start ? f->index : start;
		f->any_index = true;
		return 0;
	}
	f->oldest = f->count && f->oldest < start ? f->oldest : start;
	f->newest = f->count && f->newest > start ? f->newest : start;
	f->count++;
	return 0;
}

static void unlink_segment(int dirfd, uint64_t start)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, start, false);
	unlinkat(dirfd, name, 0);
	log_name(name, start, true); /* last: an index that stays behind is found and removed at the next opening */
	unlinkat(dirfd, name, 0);
}

/* Leaves the newest `keep` segments. */
static void prune(struct log_writer *w, uint32_t keep)
{
	for (uint32_t left = UINT32_MAX;;) {
		struct found f = { 0 };
		if (log_dir_each(w->dirfd, note, &f) || f.count <= keep || f.count >= left)
			return;
		left = f.count;
		unlink_segment(w->dirfd, f.oldest);
		w->rotated = true;
	}
}

static int open_at(const struct log_writer *w, uint64_t start, bool index, int flags)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, start, index);
	int fd = openat(w->dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	return fd < 0 ? -errno : fd;
}

/* What stands before a segment that begins at the end of w's current one. */
static struct log_head next_head(const struct log_writer *w)
{
	struct log_head h = w->head;
	h.magic = LOG_MAGIC;
	h.start += w->last.end;
	h.out += w->last.out;
	h.lines += w->last.lines;
	h.midline = !w->bol;
	h.dropped = w->dropped;
	return h;
}

static void use_segment(struct log_writer *w, int fd, int ifd, const struct log_head *h)
{
	close_fd(&w->fd);
	close_fd(&w->ifd);
	w->fd = fd;
	w->ifd = ifd;
	w->head = *h;
	w->last = w->before = (struct log_rec){ 0 };
	w->nrec = 0;
	w->bol = !h->midline;
	w->rotated = true;
}

static int begin_segment(struct log_writer *w)
{
	struct log_head h = next_head(w);
	prune(w, w->files - 1); /* first: it may be what makes the room */
	_cleanup_close_ int ifd = open_at(w, h.start, true, O_CREAT | O_TRUNC);
	int r = ifd < 0 ? ifd : put_at(ifd, &h, sizeof h, 0);
	int fd = r ? r : open_at(w, h.start, false, O_CREAT | O_TRUNC);
	if (fd < 0) {
		unlink_segment(w->dirfd, h.start);
		return fd;
	}
	use_segment(w, fd, take_fd(&ifd), &h);
	return 0;
}

static uint64_t hard_end(const struct log_writer *w)
{
	return w->max + w->max / 8;
}

/* A segment with room in it. */
static int ready(struct log_writer *w)
{
	uint64_t size = w->last.end;
	if (w->fd >= 0 && (size < w->max || !w->bol) && size < hard_end(w) &&
	    w->nrec * sizeof(struct log_rec) < w->max / 2)
		return 0;
	return begin_segment(w);
}

/* --- opening what is there --- */

/* Drops records that speak of bytes which are not there; leaves last and before. */
static int load_records(struct log_writer *w, uint64_t size, uint64_t index_size)
{
	uint32_t n = (uint32_t)((index_size - sizeof w->head) / sizeof w->last);
	struct log_rec rec = { 0 }, before = { 0 };
	for (; n; n--) {
		int r = get_at(w->ifd, &rec, sizeof rec, rec_pos(n - 1));
		if (r)
			return r;
		before = (struct log_rec){ 0 };
		if (n > 1 && (r = get_at(w->ifd, &before, sizeof before, rec_pos(n - 2))))
			return r;
		if (before.end < size && before.end < rec.end)
			break;
	}
	bool whole = n && rec.end <= size;
	w->nrec = whole ? n : n ? n - 1 : 0;
	w->last = !n ? (struct log_rec){ 0 } : whole ? rec : before;
	w->before = (struct log_rec){ 0 };
	if (w->nrec > 1) {
		int r = get_at(w->ifd, &w->before, sizeof w->before, rec_pos(w->nrec - 2));
		if (r)
			return r;
	}
	return ftruncate(w->ifd, rec_pos(w->nrec)) ? -errno : 0;
}

static int load_bol(struct log_writer *w)
{
	w->bol = !w->head.midline;
	if (!w->last.end)
		return 0;
	char c;
	int r = get_at(w->fd, &c, 1, (off_t)w->last.end - 1);
	w->bol = c == '\n';
	return r;
}

/* Bytes that a crash kept from being recorded. */
static int record_rest(struct log_writer *w, const struct stat *st)
{
	uint64_t t = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
	uint64_t size = (uint64_t)st->st_size < UINT32_MAX ? (uint64_t)st->st_size : UINT32_MAX;
	while (w->last.end < size) {
		uint64_t n = size - w->last.end;
		int r = record(w, n < LOG_MAX_REC ? n : LOG_MAX_REC, LOG_STDOUT, t);
		if (r)
			return r;
	}
	return 0;
}

/* The head that the index of a segment has. */
static bool stored_head(const struct log_writer *w, uint64_t start, struct log_head *h)
{
	_cleanup_close_ int ifd = open_at(w, start, true, 0);
	return ifd >= 0 && !get_at(ifd, h, sizeof *h, 0) && h->magic == LOG_MAGIC && h->start == start;
}

struct below {
	uint64_t limit, best;
	bool any;
};

static int note_below(void *arg, uint64_t start, bool index)
{
	struct below *b = arg;
	if (!index && start < b->limit && (!b->any || start > b->best)) {
		b->best = start;
		b->any = true;
	}
	return 0;
}

/* The totals at `start` by the segment before it. */
static bool head_after(const struct log_writer *w, uint64_t start, struct log_head *out)
{
	struct below b = { .limit = start };
	struct log_head h;
	if (log_dir_each(w->dirfd, note_below, &b) || !b.any || !stored_head(w, b.best, &h))
		return false;
	_cleanup_close_ int fd = open_at(w, b.best, false, 0);
	_cleanup_close_ int ifd = open_at(w, b.best, true, 0);
	struct stat st;
	if (fd < 0 || ifd < 0 || fstat(ifd, &st) || st.st_size < rec_pos(1))
		return false;
	uint32_t n = (uint32_t)(((uint64_t)st.st_size - sizeof h) / sizeof(struct log_rec));
	struct log_rec rec;
	char last;
	if (get_at(ifd, &rec, sizeof rec, rec_pos(n - 1)) || h.start + rec.end != start || get_at(fd, &last, 1, (off_t)rec.end - 1))
		return false;
	h.start = start;
	h.out += rec.out;
	h.lines += rec.lines;
	h.midline = last != '\n';
	*out = h;
	return true;
}

/* A head for a segment that has lost its own. With nothing to go by: as if all before had been one line of stdout. */
static struct log_head guess_head(const struct log_writer *w, uint64_t start)
{
	struct log_head h = { .magic = LOG_MAGIC, .start = start, .out = start, .lines = start != 0, .run = start, .prev = start };
	head_after(w, start, &h);
	return h;
}

static int attach(struct log_writer *w, uint64_t start)
{
	struct stat st, ist;
	struct log_head h;
	bool good = stored_head(w, start, &h);
	if (!good)
		h = guess_head(w, start);
	_cleanup_close_ int fd = open_at(w, start, false, 0);
	if (fd < 0)
		return fd;
	_cleanup_close_ int ifd = open_at(w, start, true, O_CREAT);
	if (ifd < 0)
		return ifd;
	if (fstat(fd, &st) || fstat(ifd, &ist))
		return -errno;
	use_segment(w, take_fd(&fd), take_fd(&ifd), &h);
	w->dropped = h.dropped;
	int r = good ? load_records(w, (uint64_t)st.st_size, (uint64_t)ist.st_size)
	             : ftruncate(w->ifd, 0) ? -errno : write_head(w);
	if (!r)
		r = load_bol(w);
	return r ? r : record_rest(w, &st);
}

/* The newest segment can't be gone on with: the next one begins behind it. */
static void step_over(struct log_writer *w, uint64_t start, int why)
{
	char name[LOG_NAME_LEN + 1];
	struct stat st;
	log_name(name, start, false);
	uint64_t size = fstatat(w->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !st.st_size ? 1 : (uint64_t)st.st_size;
	struct log_head h = guess_head(w, start);
	h.start += size;
	h.out += size;
	use_segment(w, -1, -1, &h);
	w->broken = -why;
}

int log_writer_open(struct log_writer *w, int dirfd, uint64_t max, uint32_t files)
{
	*w = (struct log_writer){ .dirfd = dirfd, .fd = -1, .ifd = -1, .bol = true };
	w->max = max < LOG_MIN_SEGMENT ? LOG_MIN_SEGMENT : max > LOG_MAX_SEGMENT ? LOG_MAX_SEGMENT : max;
	w->files = files ? files : 1;
	struct found f = { 0 };
	int r = log_dir_each(dirfd, note, &f);
	if (r) {
		log_writer_close(w);
		return r;
	}
	if (f.any_index && (!f.count || f.index > f.newest))
		unlink_segment(dirfd, f.index); /* the segment itself was not made yet */
	if (f.count && (r = attach(w, f.newest)))
		step_over(w, f.newest, r);
	w->rotated = false;
	return 0;
}

void log_writer_close(struct log_writer *w)
{
	if (w->dropped != w->head.dropped)
		write_head(w);
	close_fd(&w->fd);
	close_fd(&w->ifd);
	close_fd(&w->dirfd);
}

void log_run_begin(struct log_writer *w)
{
	w->head.prev = w->head.run;
	w->head.run = w->head.start + w->last.end;
	int r = write_head(w);
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
	int r = p->kept ? record(w, p->kept, stream, now_real_ns()) : 0;
	if (r) {
		fail(w, r);
		w->dropped += p->kept;
		/* Should this fail too, the next piece writes over what has no record. */
		UNUSED int ignored = ftruncate(w->fd, (off_t)w->last.end);
	} else if (w->broken && p->kept == p->taken) {
		w->broken = 0;
		write_head(w); /* with what was dropped meanwhile */
	}
}

/* One piece, into the log or, while the disk fails, nowhere. */
static ssize_t take(struct log_writer *w, int pipefd, enum log_stream stream, size_t len)
{
	if (w->broken && now_mono_ns() < w->retry_ns)
		return discard(w, pipefd, len);
	int r = ready(w);
	if (!r) {
		uint64_t room = hard_end(w) - w->last.end;
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
