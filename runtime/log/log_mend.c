/* Opening a log that is there: what a crash left is made whole.
 *
 * Owns nothing: works on a struct log_writer (log.h). Runs in podfs-pod, at the first start of a container.
 */
#include "runtime/base/util.h"
#include "runtime/log/log_dir.h"
#include "runtime/log/log_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Drops records that speak of bytes which are not there, and leaves the last whole one. *cut: stream and time
 * of one that speaks of more than there is. */
static int load_records(struct log_writer *w, uint64_t size, uint64_t index_size, struct log_rec *cut)
{
	uint32_t n = (uint32_t)((index_size - sizeof w->head) / sizeof w->last);
	struct log_rec rec[2] = { 0 }; /* before, last */
	for (; n; n--) {
		rec[0] = (struct log_rec){ 0 };
		size_t pair = n > 1 ? 2 : 1;
		int r = log_get_at(w->ifd, rec + 2 - pair, pair * sizeof *rec, log_rec_pos(n - (uint32_t)pair));
		if (r)
			return r;
		bool good = rec[1].end > rec[0].end && rec[0].end < size &&
		            (rec[1].stream == LOG_STDOUT || rec[1].stream == LOG_STDERR);
		if (good && rec[1].end <= size)
			break;
		if (good)
			*cut = rec[1];
		rec[1] = rec[0] = (struct log_rec){ 0 };
	}
	w->nrec = n;
	w->last = rec[1];
	w->before = rec[0];
	return ftruncate(w->ifd, log_rec_pos(n)) ? -errno : 0;
}

static int load_bol(struct log_writer *w)
{
	w->bol = !w->head.midline;
	if (!w->last.end)
		return 0;
	char c;
	int r = log_get_at(w->fd, &c, 1, (off_t)w->last.end - 1);
	w->bol = c == '\n';
	return r;
}

/* Bytes that a crash kept from being recorded. (An mtime may lie a clock tick behind the last record.) */
static int record_rest(struct log_writer *w, const struct stat *st, const struct log_rec *as)
{
	uint64_t time_ns = as->time_ns > w->last.time_ns ? as->time_ns : w->last.time_ns;
	uint64_t size = (uint64_t)st->st_size < UINT32_MAX ? (uint64_t)st->st_size : UINT32_MAX;
	while (w->last.end < size) {
		uint64_t n = size - w->last.end;
		int r = log_record(w, n < LOG_MAX_REC ? n : LOG_MAX_REC, as->stream, time_ns);
		if (r)
			return r;
	}
	return 0;
}

/* The head that the index of a segment has. */
static bool stored_head(const struct log_writer *w, uint64_t start, struct log_head *h)
{
	_cleanup_close_ int ifd = log_open_at(w, start, true, 0);
	return ifd >= 0 && !log_get_at(ifd, h, sizeof *h, 0) && h->magic == LOG_MAGIC && h->start == start;
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
	_cleanup_close_ int fd = log_open_at(w, b.best, false, 0);
	_cleanup_close_ int ifd = log_open_at(w, b.best, true, 0);
	struct stat st;
	if (fd < 0 || ifd < 0 || fstat(ifd, &st) || st.st_size < log_rec_pos(1))
		return false;
	uint32_t n = (uint32_t)(((uint64_t)st.st_size - sizeof h) / sizeof(struct log_rec));
	struct log_rec rec;
	char last;
	if (log_get_at(ifd, &rec, sizeof rec, log_rec_pos(n - 1)) || h.start + rec.end != start || log_get_at(fd, &last, 1, (off_t)rec.end - 1))
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
	_cleanup_close_ int fd = log_open_at(w, start, false, 0);
	if (fd < 0)
		return fd;
	_cleanup_close_ int ifd = log_open_at(w, start, true, O_CREAT);
	if (ifd < 0)
		return ifd;
	if (fstat(fd, &st) || fstat(ifd, &ist))
		return -errno;
	log_use_segment(w, take_fd(&fd), take_fd(&ifd), &h);
	w->dropped = h.dropped;
	struct log_rec rest = { .stream = LOG_STDOUT };
	rest.time_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	int r = good ? load_records(w, (uint64_t)st.st_size, (uint64_t)ist.st_size, &rest)
	             : ftruncate(w->ifd, 0) ? -errno : log_write_head(w);
	if (!r)
		r = load_bol(w);
	return r ? r : record_rest(w, &st, &rest);
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
	log_use_segment(w, -1, -1, &h);
	w->broken = -why;
}

struct found {
	uint64_t newest; /* segment */
	uint64_t index;  /* newest index */
	bool any, any_index;
};

static int note(void *arg, uint64_t start, bool index)
{
	struct found *f = arg;
	uint64_t *max = index ? &f->index : &f->newest;
	bool *any = index ? &f->any_index : &f->any;
	if (!*any || start > *max)
		*max = start;
	*any = true;
	return 0;
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
	if (f.any_index && (!f.any || f.index > f.newest))
		log_unlink_segment(dirfd, f.index); /* the segment itself was not made yet */
	if (f.any && (r = attach(w, f.newest)))
		step_over(w, f.newest, r);
	w->rotated = false;
	return 0;
}
