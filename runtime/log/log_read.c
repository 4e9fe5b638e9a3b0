/* Which segments a log has, and how large its views are: see log.h.
 *
 * Owns: struct log_reader and its open segments. Reads only. Runs in the server: each call is a handful of
 * system calls, whatever the log holds.
 */
#include "runtime/base/util.h"
#include "runtime/log/log_dir.h"
#include "runtime/log/log_seg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* --- segments --- */

struct seg *log_seg_ref(struct seg *s)
{
	s->refs++;
	return s;
}

void log_seg_unref(struct seg *s)
{
	if (!--s->refs)
		free(s);
}

static int open_at(int dirfd, uint64_t start, bool index)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, start, index);
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int log_seg_use(struct seg *s)
{
	if (s->users++)
		return 0;
	int r = s->fd = open_at(s->dirfd, s->head.start, false);
	if (r >= 0)
		r = s->ifd = open_at(s->dirfd, s->head.start, true);
	if (r >= 0)
		return 0;
	log_seg_unuse(s);
	return r;
}

void log_seg_unuse(struct seg *s)
{
	if (--s->users)
		return;
	close_fd(&s->fd);
	close_fd(&s->ifd);
}

/* The index, if need be opened for this call: then it is also in *mine, to be closed. */
static int index_of(const struct seg *s, int *mine)
{
	return s->ifd >= 0 ? s->ifd : (*mine = open_at(s->dirfd, s->head.start, true));
}

static bool read_head(int ifd, uint64_t start, struct log_head *h)
{
	return pread(ifd, h, sizeof *h, 0) == sizeof *h && h->magic == LOG_MAGIC && h->start == start;
}

static struct seg *seg_new(int dirfd, uint64_t start)
{
	_cleanup_close_ int ifd = open_at(dirfd, start, true);
	struct log_head h;
	if (ifd < 0 || !read_head(ifd, start, &h))
		return NULL;
	struct seg *s = calloc(1, sizeof *s);
	if (s)
		*s = (struct seg){ .head = h, .dirfd = dirfd, .fd = -1, .ifd = -1, .refs = 1 };
	return s;
}

static off_t rec_pos(uint32_t k)
{
	return (off_t)(sizeof(struct log_head) + (uint64_t)k * sizeof(struct log_rec));
}

size_t log_seg_recs(const struct seg *s, uint32_t k, struct log_rec *recs, size_t n)
{
	if (n > s->nrec - k)
		n = s->nrec - k;
	ssize_t got = pread(s->ifd, recs, n * sizeof *recs, rec_pos(k));
	return got < 0 ? 0 : (size_t)got / sizeof *recs;
}

bool log_seg_refresh(struct seg *s)
{
	_cleanup_close_ int mine = -1;
	struct stat st;
	struct log_rec last = { 0 };
	if (s->sealed)
		return true;
	int ifd = index_of(s, &mine);
	if (ifd < 0 || fstat(ifd, &st) || st.st_size < (off_t)sizeof s->head)
		return false;
	uint32_t n = (uint32_t)(((uint64_t)st.st_size - sizeof s->head) / sizeof last);
	if (n && pread(ifd, &last, sizeof last, rec_pos(n - 1)) != sizeof last)
		return false;
	s->nrec = n;
	s->last = last;
	return true;
}

/* --- places --- */

struct totals log_seg_at(const struct seg *s, const struct log_rec *rec)
{
	return (struct totals){ s->head.start + rec->end, s->head.out + rec->out, s->head.lines + rec->lines };
}

struct totals log_seg_begin(const struct seg *s)
{
	return (struct totals){ s->head.start, s->head.out, s->head.lines };
}

struct totals log_seg_end(const struct seg *s)
{
	return log_seg_at(s, &s->last);
}

uint64_t log_pos(enum log_view v, struct totals t)
{
	switch (v) {
	case LOG_VIEW_STDOUT:
		return t.out;
	case LOG_VIEW_STDERR:
		return t.all - t.out;
	case LOG_TIMESTAMPS:
		return t.all + LOG_STAMP_LEN * t.lines;
	default:
		return t.all;
	}
}

int64_t log_seg_find(const struct seg *s, enum log_view v, uint64_t pos, struct log_rec pair[2])
{
	uint32_t low = 0, high = s->nrec; /* records before low end at or before pos; high and after end behind it */
	pair[0] = (struct log_rec){ 0 };
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		struct log_rec rec;
		if (!log_seg_recs(s, mid, &rec, 1))
			return -1;
		bool behind = log_pos(v, log_seg_at(s, &rec)) > pos;
		pair[behind] = rec;
		*(behind ? &high : &low) = behind ? mid : mid + 1;
	}
	return low < s->nrec ? (int64_t)low : -1;
}

/* --- the folder --- */

struct listing {
	uint64_t *starts;
	size_t n, cap;
};

static int note(void *arg, uint64_t start, bool index)
{
	struct listing *l = arg;
	if (index)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		uint64_t *p = realloc(l->starts, cap * sizeof *p);
		if (!p)
			return -ENOMEM;
		l->starts = p;
		l->cap = cap;
	}
	l->starts[l->n++] = start;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static struct seg *known(struct log_reader *r, uint64_t start)
{
	for (size_t i = 0; i < r->nsegs; i++)
		if (r->segs[i]->head.start == start)
			return log_seg_ref(r->segs[i]);
	return NULL;
}

static void set_segs(struct log_reader *r, struct seg **segs, size_t n)
{
	for (size_t i = 0; i < r->nsegs; i++)
		log_seg_unref(r->segs[i]);
	free(r->segs);
	r->segs = segs;
	r->nsegs = n;
	r->generation++;
	for (size_t i = 0; i + 1 < n; i++)
		segs[i]->sealed = log_seg_refresh(segs[i]);
}

/* Takes what the listing names. false: a segment could not be opened (just removed, or its head is not whole yet). */
static bool adopt(struct log_reader *r, const struct listing *l)
{
	struct seg **segs = calloc(l->n ? l->n : 1, sizeof(struct seg *));
	if (!segs)
		return false;
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct seg *s = known(r, l->starts[i]);
		if (!s)
			s = seg_new(r->dirfd, l->starts[i]);
		if (s)
			segs[n++] = s;
	}
	set_segs(r, segs, n);
	return n == l->n;
}

/* A folder that changed within the clock's grain may change again without its mtime telling. */
static bool settled(const struct timespec *t)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > t->tv_sec + 1 || now.tv_sec < t->tv_sec;
}

int log_reader_rescan(struct log_reader *r)
{
	struct stat st;
	if (fstat(r->dirfd, &st))
		return -errno;
	if (r->seen.tv_sec == st.st_mtim.tv_sec && r->seen.tv_nsec == st.st_mtim.tv_nsec)
		return 0;
	struct listing l = { 0 };
	int e = log_dir_each(r->dirfd, note, &l);
	if (!e) {
		if (l.n)
			qsort(l.starts, l.n, sizeof *l.starts, by_start);
		bool whole = adopt(r, &l);
		r->seen = whole && settled(&st.st_mtim) ? st.st_mtim : (struct timespec){ 0 };
	}
	free(l.starts);
	return e;
}

int log_reader_open(int dirfd, struct log_reader **out)
{
	struct log_reader *r = calloc(1, sizeof *r);
	if (!r) {
		close(dirfd);
		return -ENOMEM;
	}
	r->dirfd = dirfd;
	r->refs = 1;
	int e = log_reader_rescan(r);
	if (e) {
		log_reader_free(r);
		return e;
	}
	*out = r;
	return 0;
}

bool log_reader_gone(const struct log_reader *r)
{
	struct stat st;
	return !fstat(r->dirfd, &st) && !st.st_nlink;
}

/* By the same number, as segments know it too. */
void log_reader_again(struct log_reader *r, int dirfd)
{
	dup3(dirfd, r->dirfd, O_CLOEXEC);
	close(dirfd);
	r->seen = (struct timespec){ 0 };
	log_reader_rescan(r);
}

struct log_reader *log_reader_ref(struct log_reader *r)
{
	r->refs++;
	return r;
}

void log_reader_free(struct log_reader *r)
{
	if (!r || --r->refs)
		return;
	set_segs(r, NULL, 0);
	close_fd(&r->dirfd);
	free(r);
}

/* --- sizes --- */

static struct seg *newest(struct log_reader *r)
{
	log_reader_rescan(r);
	if (!r->nsegs)
		return NULL;
	struct seg *s = r->segs[r->nsegs - 1];
	log_seg_refresh(s);
	return s;
}

void log_reader_runs(struct log_reader *r, uint64_t *run, uint64_t *prev)
{
	_cleanup_close_ int mine = -1;
	struct seg *s = newest(r);
	struct log_head h;
	*run = *prev = 0;
	if (s && read_head(index_of(s, &mine), s->head.start, &h)) {
		*run = h.run;
		*prev = h.prev;
	}
}

static uint64_t oldest_byte(struct log_reader *r)
{
	return r->nsegs ? r->segs[0]->head.start : 0;
}

uint64_t log_size(struct log_reader *r, enum log_view v)
{
	uint64_t run, prev;
	if (v == LOG_PREVIOUS) {
		log_reader_runs(r, &run, &prev);
		return run - prev;
	}
	struct seg *s = newest(r);
	return s ? log_pos(v, log_seg_end(s)) : 0;
}

uint64_t log_oldest(struct log_reader *r, enum log_view v)
{
	uint64_t run, prev;
	if (v == LOG_PREVIOUS) {
		log_reader_runs(r, &run, &prev);
		uint64_t oldest = oldest_byte(r);
		return oldest <= prev ? 0 : (oldest < run ? oldest : run) - prev;
	}
	log_reader_rescan(r);
	return r->nsegs ? log_pos(v, log_seg_begin(r->segs[0])) : 0;
}

uint64_t log_mtime_ns(struct log_reader *r)
{
	struct seg *s = newest(r);
	struct stat st;
	char name[LOG_NAME_LEN + 1] = "";
	if (s)
		log_name(name, s->head.start, false);
	if (fstatat(r->dirfd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}
