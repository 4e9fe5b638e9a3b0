/* The views that are not the bytes as they stand: one stream, and lines with their time.
 *
 * Owns nothing; works on one segment. Runs in the server: a call reads at most what it returns and, to find its
 * place in .timestamps, one record (LOG_MAX_REC).
 */
#include "runtime/base/util.h"
#include "runtime/log/log_seg.h"

#include <errno.h>
#include <string.h>

enum { WINDOW = 64 * 1024, BATCH = 128 };

/* --- .stdout and .stderr --- */

/* Bytes of the segment that were read ahead, because records may be small. */
struct window {
	const struct seg *s;
	uint32_t at, len;
	char mem[WINDOW];
};

static ssize_t segment_read(const struct seg *s, uint32_t at, char *mem, size_t len)
{
	ssize_t n = pread(s->fd, mem, len, (off_t)at);
	return n < 0 ? -errno : n;
}

/* Copies [at, at + len), which the segment holds, through the window. */
static ssize_t window_read(struct window *w, uint32_t at, char *mem, size_t len)
{
	if (len >= WINDOW / 4)
		return segment_read(w->s, at, mem, len);
	if (at < w->at || at + len > w->at + w->len) {
		size_t left = w->s->last.end - at;
		ssize_t n = segment_read(w->s, at, w->mem, left < WINDOW ? left : WINDOW);
		w->at = at;
		w->len = n < 0 ? 0 : (uint32_t)n;
		if (n < 0)
			return n;
	}
	if (len > w->len)
		len = w->len;
	memcpy(mem, w->mem + (at - w->at), len);
	return (ssize_t)len;
}

/* A walk over records from one place on. */
struct walk {
	int64_t k; /* of recs[i] */
	size_t i, n;
	struct log_rec before, recs[BATCH];
};

static bool walk_load(struct walk *k, const struct seg *s)
{
	k->i = 0;
	k->n = k->k < s->nrec ? log_seg_recs(s, (uint32_t)k->k, k->recs, BATCH) : 0;
	return k->n;
}

static bool walk_find(struct walk *k, const struct seg *s, enum log_view v, uint64_t pos)
{
	struct log_rec pair[2];
	k->k = log_seg_find(s, v, pos, pair);
	k->before = pair[0];
	return k->k >= 0 && walk_load(k, s);
}

/* To the first record that ends behind pos: within what is loaded step by step, else by bisection. */
static bool walk_to(struct walk *k, const struct seg *s, enum log_view v, uint64_t pos)
{
	for (; k->i < k->n; k->i++, k->k++) {
		if (log_pos(v, log_seg_at(s, &k->recs[k->i])) > pos)
			return true;
		k->before = k->recs[k->i];
	}
	return walk_find(k, s, v, pos);
}

ssize_t log_stream_read(const struct seg *s, enum log_view v, uint64_t pos, char *mem, size_t len)
{
	static struct window w; /* one thread; the stack need not grow for it */
	struct walk k;
	size_t done = 0;
	w.s = s;
	w.len = 0;
	k.i = k.n = 0;
	while (done < len && walk_to(&k, s, v, pos)) {
		uint64_t from = log_pos(v, log_seg_at(s, &k.before));
		uint64_t part = log_pos(v, log_seg_at(s, &k.recs[k.i])) - pos;
		uint32_t at = k.before.end + (uint32_t)(pos - from);
		if (part > len - done)
			part = len - done;
		ssize_t n = window_read(&w, at, mem + done, part);
		if (n <= 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		pos += (uint64_t)n;
	}
	return (ssize_t)done;
}

/* --- .timestamps --- */

/* Where text goes: the first `skip` bytes were asked for by nobody. */
struct sink {
	uint64_t skip;
	char *mem;
	size_t left;
};

/* How many of the n bytes went in. */
static size_t sink_put(struct sink *k, const char *p, size_t n)
{
	size_t skip = k->skip < n ? k->skip : n;
	size_t put = n - skip < k->left ? n - skip : k->left;
	memcpy(k->mem, p + skip, put);
	k->skip -= skip;
	k->mem += put;
	k->left -= put;
	return skip + put;
}

static bool at_line_start(const struct seg *s, uint32_t at)
{
	char c;
	if (!at)
		return !s->head.midline;
	return segment_read(s, at - 1, &c, 1) == 1 && c == '\n';
}

/* To the beginning of the record that holds pos. */
static bool text_find(const struct seg *s, struct log_text *t, uint64_t pos)
{
	struct log_rec pair[2];
	t->k = log_seg_find(s, LOG_TIMESTAMPS, pos, pair);
	if (t->k < 0)
		return false;
	t->start = s->head.start;
	t->rec = pair[1];
	t->at = pair[0].end;
	t->text = log_pos(LOG_TIMESTAMPS, log_seg_at(s, &pair[0]));
	t->bol = at_line_start(s, t->at);
	return true;
}

/* The record that t->at is in: it may have grown, or the next one is it. */
static bool text_rec(const struct seg *s, struct log_text *t)
{
	while (t->at >= t->rec.end) {
		struct log_rec rec;
		if (t->k >= s->nrec || !log_seg_recs(s, (uint32_t)t->k, &rec, 1))
			return false;
		if (rec.end > t->rec.end)
			t->rec = rec;
		else if (t->k + 1 < s->nrec)
			t->k++;
		else
			return false; /* the last one, which may still grow */
	}
	return true;
}

static void stamp(char out[LOG_STAMP_LEN + 1], uint64_t time_ns)
{
	format_time(time_ns, out);
	out[LOG_STAMP_LEN - 1] = ' ';
}

/* Puts the bytes at t->at with a stamp before each line. false: no more goes in. */
static bool text_put(struct log_text *t, struct sink *k, const char *p, size_t len)
{
	char mark[LOG_STAMP_LEN + 1];
	stamp(mark, t->rec.time_ns);
	while (len) {
		if (t->bol && sink_put(k, mark, LOG_STAMP_LEN) < LOG_STAMP_LEN)
			return false; /* t stays before the stamp; the next read skips what this one gave of it */
		t->text += t->bol ? LOG_STAMP_LEN : 0;
		const char *nl = memchr(p, '\n', len);
		size_t line = nl ? (size_t)(nl - p) + 1 : len;
		size_t put = sink_put(k, p, line);
		t->bol = nl && put == line;
		t->text += put;
		t->at += (uint32_t)put;
		if (put < line)
			return false;
		p += line;
		len -= line;
	}
	return k->left;
}

ssize_t log_stamped_read(const struct seg *s, struct log_text *t, uint64_t pos, char *mem, size_t len)
{
	static char window[WINDOW];
	if (!(t->valid && t->start == s->head.start && t->next == pos) && !text_find(s, t, pos))
		return 0;
	struct sink k = { .skip = pos - t->text, .mem = mem, .left = len };
	ssize_t n = 0;
	for (bool more = true; more && text_rec(s, t);) {
		size_t part = t->rec.end - t->at;
		n = segment_read(s, t->at, window, part < WINDOW ? part : WINDOW);
		more = n > 0 && text_put(t, &k, window, (size_t)n);
	}
	size_t done = len - k.left;
	t->next = pos + done;
	t->valid = !k.skip;
	return done ? (ssize_t)done : n < 0 ? n : 0;
}
