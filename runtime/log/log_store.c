/* Segments and records: see log_store.h.
 *
 * The bytes went from pipe to page cache with splice(2). They are read back here, while they are still in the
 * processor's cache, to count the lines: it costs a tenth and makes the size of .timestamps known at any time.
 */
#include "runtime/log/log_store.h"

#include "runtime/base/util.h"
#include "runtime/log/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
	SCRATCH = 16 * 1024,    /* on the stack */
	MERGE_NS = 1000 * 1000, /* what comes within this time of a record's beginning joins it */
};

off_t log_rec_pos(uint32_t i)
{
	return (off_t)(sizeof(struct log_head) + (uint64_t)i * sizeof(struct log_rec));
}

int log_get_at(int fd, void *mem, size_t len, off_t pos)
{
	ssize_t n = pread(fd, mem, len, pos);
	return n < 0 ? -errno : (size_t)n == len ? 0 : -ENODATA;
}

int log_put_at(int fd, const void *mem, size_t len, off_t pos)
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
		int r = log_get_at(fd, mem, part, (off_t)pos);
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

int log_record(struct log_writer *w, size_t n, enum log_stream stream, uint64_t time_ns)
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
	r = log_put_at(w->ifd, &rec, sizeof rec, log_rec_pos(merge ? w->nrec - 1 : w->nrec));
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

int log_write_head(struct log_writer *w)
{
	w->head.dropped = w->dropped;
	return w->ifd < 0 ? 0 : log_put_at(w->ifd, &w->head, sizeof w->head, 0);
}

/* --- segments --- */

struct oldest {
	uint64_t start;
	uint32_t count;
};

static int note(void *arg, uint64_t start, bool index)
{
	struct oldest *o = arg;
	if (index)
		return 0;
	if (!o->count++ || start < o->start)
		o->start = start;
	return 0;
}

void log_unlink_segment(int dirfd, uint64_t start)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, start, false);
	unlinkat(dirfd, name, 0);
	log_name(name, start, true); /* last: an index that stays behind is found and removed at the next opening */
	unlinkat(dirfd, name, 0);
}

/* Drops the oldest segment when there are more than `keep`. false: there are not, or it can't be dropped. */
static bool drop_oldest(struct log_writer *w, uint32_t keep)
{
	struct oldest before = { 0 }, after = { 0 };
	if (log_dir_each(w->dirfd, note, &before) || before.count <= keep)
		return false;
	log_unlink_segment(w->dirfd, before.start);
	w->rotated = true;
	return !log_dir_each(w->dirfd, note, &after) && after.count < before.count;
}

int log_open_at(const struct log_writer *w, uint64_t start, bool index, int flags)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, start, index);
	int fd = openat(w->dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	return fd < 0 ? -errno : fd;
}

void log_use_segment(struct log_writer *w, int fd, int ifd, const struct log_head *h)
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

/* A line's beginning at the end of a segment: it moves to the next one, so that segments begin with lines. */
struct tail {
	struct log_rec rec; /* its record there */
	struct log_rec cut; /* the last record here, without it */
	char mem[SCRATCH];
};

/* Whether w's last record ends with a newline and a piece of a line behind it. */
static bool find_tail(const struct log_writer *w, struct tail *t)
{
	size_t n = w->last.end - w->before.end;
	if (n > sizeof t->mem)
		n = sizeof t->mem;
	if (w->bol || !n || log_get_at(w->fd, t->mem, n, (off_t)(w->last.end - n)))
		return false;
	const char *nl = memrchr(t->mem, '\n', n);
	if (!nl)
		return false;
	uint32_t len = (uint32_t)(t->mem + n - (nl + 1));
	memmove(t->mem, nl + 1, len);
	uint32_t out = w->last.stream == LOG_STDOUT ? len : 0;
	t->cut = t->rec = w->last;
	t->rec.end = len;
	t->rec.out = out;
	t->rec.lines = 1;
	t->cut.end -= len;
	t->cut.out -= out;
	t->cut.lines--;
	return true;
}

/* What stands before a segment that begins behind `last`. */
static struct log_head next_head(const struct log_writer *w, const struct log_rec *last, bool bol)
{
	struct log_head h = w->head;
	h.magic = LOG_MAGIC;
	h.start += last->end;
	h.out += last->out;
	h.lines += last->lines;
	h.midline = !bol;
	h.dropped = w->dropped;
	return h;
}

static int put_tail(int fd, int ifd, const struct tail *t)
{
	int r = t ? log_put_at(fd, t->mem, t->rec.end, 0) : 0;
	return r || !t ? r : log_put_at(ifd, &t->rec, sizeof t->rec, log_rec_pos(0));
}

/* While both segments hold the tail, and should the old one keep it, a reader finds the same bytes at the same place. */
static int create_segment(struct log_writer *w, const struct log_head *h, const struct tail *t)
{
	_cleanup_close_ int ifd = log_open_at(w, h->start, true, O_CREAT | O_TRUNC);
	int r = ifd < 0 ? ifd : log_put_at(ifd, h, sizeof *h, 0);
	_cleanup_close_ int fd = r ? r : log_open_at(w, h->start, false, O_CREAT | O_TRUNC);
	r = fd < 0 ? fd : put_tail(fd, ifd, t);
	if (r) {
		log_unlink_segment(w->dirfd, h->start);
		return r;
	}
	if (t)
		log_put_at(w->ifd, &t->cut, sizeof t->cut, log_rec_pos(w->nrec - 1));
	log_use_segment(w, take_fd(&fd), take_fd(&ifd), h);
	if (t) {
		w->last = t->rec;
		w->nrec = 1;
		w->bol = false;
	}
	return 0;
}

static int begin_segment(struct log_writer *w, const struct tail *t)
{
	struct log_head h = next_head(w, t ? &t->cut : &w->last, t || w->bol);
	int r;
	do /* on a full disk the log lives on with less of itself */
		r = create_segment(w, &h, t);
	while ((r == -ENOSPC || r == -EDQUOT) && drop_oldest(w, 1));
	while (!r && drop_oldest(w, w->files))
		;
	return r;
}

uint64_t log_hard_end(const struct log_writer *w)
{
	return w->max + w->max / 8;
}

int log_ready(struct log_writer *w)
{
	uint64_t size = w->last.end, index = w->nrec * sizeof(struct log_rec);
	struct tail t;
	if (w->fd >= 0 && size < w->max && index < w->max / 2)
		return 0;
	if (w->fd < 0 || w->bol)
		return begin_segment(w, NULL);
	if (find_tail(w, &t))
		return begin_segment(w, &t);
	bool may_wait = size < log_hard_end(w) && index < w->max;
	return may_wait ? 0 : begin_segment(w, NULL);
}
