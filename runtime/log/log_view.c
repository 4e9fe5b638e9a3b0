/* Openings of a log's views: see log.h.
 *
 * Owns: struct log_cursor, and which segments an opening keeps alive. Runs in the server.
 *
 * What is pinned: the segments that were there when a reader began to read; they are let go when it has read to the end
 * (a follower must not hold space for ever) and pinned anew when it reads on. So one opening holds at most what
 * one log may hold.
 */
#include "runtime/base/util.h"
#include "runtime/log/log_seg.h"

#include <errno.h>

struct log_cursor {
	struct log_reader *r;
	enum log_view view;
	struct seg **segs; /* by start: pinned ones, then those in the folder */
	size_t nsegs;
	uint64_t generation; /* of r, when segs was made */
	bool pinned;
	uint64_t pin_limit;   /* start of the newest pinned one */
	uint64_t base, limit; /* the part of the view that is shown */
	/* A reader that asked for what is gone was led on: its offsets [from, to] mean `shift` more. */
	bool led;
	uint64_t shift, from, to;
	struct log_text text;
};

static void put_segs(struct seg **segs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		log_seg_unuse(segs[i]);
		log_seg_unref(segs[i]);
	}
	free(segs);
}

/* Adds s to segs, unless its files have gone before they were opened. */
static int use(struct seg **segs, size_t *n, struct seg *s)
{
	int r = log_seg_use(s);
	if (!r)
		segs[(*n)++] = log_seg_ref(s);
	return r == -ENOENT ? 0 : r;
}

/* Pinned segments that have left the folder, and all that are in it. Those that left are older. */
static int gather(struct log_cursor *c)
{
	struct log_reader *r = c->r;
	struct seg **segs = calloc(c->nsegs + r->nsegs + 1, sizeof(struct seg *));
	if (!segs)
		return -ENOMEM;
	size_t n = 0;
	int e = 0;
	for (size_t i = 0; i < c->nsegs && !e; i++) {
		struct seg *s = c->segs[i];
		bool gone = !r->nsegs || s->head.start < r->segs[0]->head.start;
		if (gone && c->pinned && s->head.start <= c->pin_limit)
			e = use(segs, &n, s);
	}
	for (size_t i = 0; i < r->nsegs && !e; i++)
		e = use(segs, &n, r->segs[i]);
	if (e) {
		put_segs(segs, n);
		return e;
	}
	put_segs(c->segs, c->nsegs);
	c->segs = segs;
	c->nsegs = n;
	c->generation = r->generation;
	return 0;
}

static int sync_segs(struct log_cursor *c)
{
	int e = log_reader_rescan(c->r);
	if (!e && c->generation != c->r->generation)
		e = gather(c);
	for (size_t i = 0; i < c->nsegs; i++)
		log_seg_refresh(c->segs[i]);
	return e;
}

static void pin(struct log_cursor *c)
{
	if (c->pinned || !c->nsegs)
		return;
	c->pinned = true;
	c->pin_limit = c->segs[c->nsegs - 1]->head.start;
}

static void unpin(struct log_cursor *c)
{
	c->pinned = false;
	c->generation = 0; /* gather again: what has left the folder goes */
}

int log_cursor_open(struct log_reader *r, enum log_view v, struct log_cursor **out)
{
	struct log_cursor *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->r = log_reader_ref(r);
	c->view = v;
	c->limit = UINT64_MAX;
	int e = sync_segs(c);
	if (e) {
		log_cursor_free(c);
		return e;
	}
	if (v == LOG_PREVIOUS)
		log_reader_runs(r, &c->limit, &c->base);
	pin(c);
	*out = c;
	return 0;
}

void log_cursor_free(struct log_cursor *c)
{
	if (!c)
		return;
	put_segs(c->segs, c->nsegs);
	log_reader_free(c->r);
	free(c);
}

/* --- from the reader's offset to the view's --- */

/* The segment that holds *pos, or the next one that holds anything: then *pos moves there. NULL: the end. */
static struct seg *locate(struct log_cursor *c, uint64_t *pos)
{
	for (size_t i = 0; i < c->nsegs; i++) {
		struct seg *s = c->segs[i];
		uint64_t begin = log_pos(c->view, log_seg_begin(s));
		uint64_t at = *pos > begin ? *pos : begin;
		if (at >= log_pos(c->view, log_seg_end(s)))
			continue;
		*pos = at;
		return at < c->limit ? s : NULL;
	}
	return NULL;
}

/* What the reader means by off. */
static uint64_t meant(const struct log_cursor *c, uint64_t off)
{
	return c->led && off >= c->from && off <= c->to ? off + c->shift : off;
}

/* Notes that n bytes at pos answered a read at off. */
static void answered(struct log_cursor *c, uint64_t off, uint64_t pos, size_t n)
{
	if (pos == off)
		return;
	if (!c->led || pos != meant(c, off)) {
		c->led = true;
		c->from = c->to = off;
		c->shift = pos - off;
	}
	if (off + n > c->to)
		c->to = off + n;
}

/* Where a read at off (both with base) finds its bytes. NULL: the end. */
static struct seg *begin_read(struct log_cursor *c, uint64_t off, uint64_t *pos)
{
	*pos = meant(c, off);
	struct seg *s = locate(c, pos);
	if (s)
		pin(c);
	else
		unpin(c);
	return s;
}

/* --- reading --- */

static ssize_t read_segment(struct log_cursor *c, const struct seg *s, uint64_t pos, char *mem, size_t len)
{
	if (c->view == LOG_VIEW_STDOUT || c->view == LOG_VIEW_STDERR)
		return log_stream_read(s, c->view, pos, mem, len);
	if (c->view == LOG_TIMESTAMPS)
		return log_stamped_read(s, &c->text, pos, mem, len);
	uint64_t left = log_seg_end(s).all - pos;
	ssize_t n = pread(s->fd, mem, len < left ? len : left, (off_t)(pos - s->head.start));
	return n < 0 ? -errno : n;
}

/* From pos on over the ends of segments, up to a place where bytes are missing. */
static ssize_t read_on(struct log_cursor *c, struct seg *s, uint64_t pos, char *mem, size_t len)
{
	size_t done = 0;
	while (s && done < len) {
		ssize_t n = read_segment(c, s, pos, mem + done, len - done);
		if (n <= 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		uint64_t next = pos += (uint64_t)n;
		s = locate(c, &next);
		if (next != pos)
			break;
	}
	return (ssize_t)done;
}

ssize_t log_cursor_read(struct log_cursor *c, uint64_t off, void *mem, size_t len)
{
	uint64_t pos;
	int e = sync_segs(c);
	if (e)
		return e;
	off += c->base;
	struct seg *s = begin_read(c, off, &pos);
	if (!s)
		return 0;
	if (len > c->limit - pos)
		len = c->limit - pos;
	ssize_t n = read_on(c, s, pos, mem, len);
	if (n > 0)
		answered(c, off, pos, (size_t)n);
	return n;
}

int log_cursor_file(struct log_cursor *c, uint64_t off, size_t *len, int *fd, off_t *where)
{
	uint64_t pos;
	if (c->view != LOG_ALL && c->view != LOG_PREVIOUS)
		return -EAGAIN;
	int e = sync_segs(c);
	if (e)
		return e;
	off += c->base;
	struct seg *s = begin_read(c, off, &pos);
	if (!s) {
		*len = 0;
		return 0;
	}
	uint64_t end = log_seg_end(s).all;
	if (end > c->limit)
		end = c->limit;
	if (*len > end - pos)
		*len = end - pos;
	*fd = s->fd;
	*where = (off_t)(pos - s->head.start);
	answered(c, off, pos, *len);
	return 0;
}
