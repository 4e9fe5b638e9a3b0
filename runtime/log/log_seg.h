/* Segments as the reader sees them, and positions in the views.
 *
 * Shared by log_read.c (which segments there are), log_view.c (openings) and log_text.c (the views that are
 * not the bytes as they stand). Nobody else includes it. Runs in the server.
 */
#ifndef PODFS_LOG_SEG_H
#define PODFS_LOG_SEG_H

#include "runtime/log/log.h"

#include <time.h>

struct seg {
	struct log_head head;
	struct log_rec last; /* its totals; once `sealed`, for good */
	uint32_t nrec;
	int dirfd;           /* the reader's */
	int fd, ifd;         /* open while an opening uses it: a log that nobody reads holds no descriptors */
	uint32_t refs, users;
	bool sealed;         /* a newer segment exists, so this one doesn't grow any more */
};

struct log_reader {
	int dirfd;
	uint32_t refs;
	struct seg **segs; /* by start */
	size_t nsegs;
	struct timespec seen; /* the folder's mtime when it was listed; 0: list it again */
	uint64_t generation;  /* counts changes of segs */
};

/* Running totals at one place of the log. */
struct totals {
	uint64_t all, out, lines;
};

struct log_reader *log_reader_ref(struct log_reader *r);
struct seg *log_seg_ref(struct seg *s);
void log_seg_unref(struct seg *s);
/* Opens its files for an opening of the log, which from then on is not touched by their removal. -ENOENT: they are gone. */
int log_seg_use(struct seg *s);
void log_seg_unuse(struct seg *s);
/* Looks how far the segment reaches by now. false: it can't be seen. */
bool log_seg_refresh(struct seg *s);
/* Reads records [k, k + n) of a segment in use, fewer at the end. How many. */
size_t log_seg_recs(const struct seg *s, uint32_t k, struct log_rec *recs, size_t n);
struct totals log_seg_begin(const struct seg *s);
/* Totals at the end of a record of that segment (all 0: the segment's beginning). */
struct totals log_seg_at(const struct seg *s, const struct log_rec *rec);
struct totals log_seg_end(const struct seg *s);
/* The place as an offset of the view (LOG_PREVIOUS: as LOG_ALL). */
uint64_t log_pos(enum log_view v, struct totals t);
/* The first record that ends behind pos, which the segment holds. Returns its number; it and the one before it
 * (all 0: none) in pair[1] and pair[0]. -1 when the index can't be read. */
int64_t log_seg_find(const struct seg *s, enum log_view v, uint64_t pos, struct log_rec pair[2]);
/* The newest and the last run. */
void log_reader_runs(struct log_reader *r, uint64_t *run, uint64_t *prev);

/* Where a log_stamped_read ended; all 0: nowhere. */
struct log_text {
	uint64_t start; /* of the segment */
	uint64_t next;  /* offset in the view behind what was read, */
	uint64_t text;  /* at or behind this one, which is that of */
	uint32_t at;    /* this byte of the segment: */
	bool bol;       /* a line's first, so a stamp comes before it */
	bool valid;
	int64_t k;      /* the record it is in */
	struct log_rec rec;
};

/* As much of the view's bytes at pos as the segment holds; it holds pos. Bytes, or -errno. */
ssize_t log_stream_read(const struct seg *s, enum log_view v, uint64_t pos, char *mem, size_t len);
ssize_t log_stamped_read(const struct seg *s, struct log_text *t, uint64_t pos, char *mem, size_t len);

#endif
