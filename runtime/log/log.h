/* A container's log: what it wrote, as it wrote it.
 *
 * On disk, in the folder of one container's log:
 *   %016llx     a segment: the bytes of stdout and stderr in the order they came; the name is
 *               the logical offset of its first byte
 *   %016llx.i   its index: a struct log_head, then an array of struct log_rec, one a run of bytes
 * The logical offset counts every byte ever kept and never goes back, over rotation and restarts. Bytes
 * that could not be written (a full disk) are counted in `dropped` and have no offset: the log has no holes.
 *
 * A new segment is begun when the current one has reached log_max or its index half of that; only the newest log_files
 * segments are kept. A segment begins with a line, unless lines are longer than the writer can see: when the current one ends
 * inside a line, the line's beginning moves into the new segment.
 *
 * All sums in head and records are running totals. So every view's size is in the newest head and record, every
 * position is found by bisection, nothing has to be remembered and a dropped segment moves no offset.
 *
 * Order of writing, and what a crash leaves: index with its head, then the segment; bytes, then their record. Bytes without
 * a record are given one when the log is opened again (stdout, at the file's mtime), records without bytes are cut.
 *
 * Writer (podfs-pod, log_write.c): moves bytes from pipe to file with splice(2). Reader (server, log_read.c): makes NAME,
 * .stdout, .stderr, .timestamps and .previous out of the two. Both take their folder as a readable (not O_PATH)
 * descriptor and touch nothing else.
 */
#ifndef PODFS_LOG_H
#define PODFS_LOG_H

#include "runtime/base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum log_stream { LOG_STDOUT = 1, LOG_STDERR = 2 };

#define LOG_MAGIC 0x31676f6c73666470u /* "pdfslog1" */
#define LOG_MIN_SEGMENT 4096u
#define LOG_MAX_SEGMENT (1u << 30)
#define LOG_MAX_REC (1u << 20) /* bytes one record speaks of: what a reader scans at most to find a line */

/* The beginning of an index: totals of all that came before the segment. */
struct log_head {
	uint64_t magic;
	uint64_t start;   /* logical offset of the segment: bytes before it */
	uint64_t out;     /* of those, bytes of stdout */
	uint64_t lines;   /* lines begun before it */
	uint64_t run;     /* logical offset where the newest run begins (kept up to date in the newest segment) */
	uint64_t prev;    /* and the run before it; equal to run: it wrote nothing, or there was none */
	uint64_t dropped; /* bytes that found no room, until the head was last written */
	uint64_t midline; /* 1: the segment begins inside a line */
};

/* A run of bytes of one stream. Totals include the record and count from the beginning of the segment. */
struct log_rec {
	uint64_t time_ns; /* CLOCK_REALTIME when its first byte was taken */
	uint32_t end;     /* bytes */
	uint32_t out;     /* bytes of stdout */
	uint32_t lines;   /* lines begun */
	uint32_t stream;  /* enum log_stream */
};

/* --- writer --- */
struct log_writer {
	int dirfd;            /* owned */
	int fd, ifd;          /* current segment and index, -1: none yet */
	struct log_head head; /* of the current segment */
	struct log_rec last;  /* the newest record, rewritten in place while it grows; all 0: none */
	struct log_rec before; /* the record before it: where last begins */
	uint32_t nrec;
	uint64_t max;
	uint32_t files;
	uint64_t dropped;     /* bytes that did not fit on the disk, ever */
	int broken;           /* the errno while writing fails; 0: writing works */
	uint64_t retry_ns;    /* CLOCK_MONOTONIC: while broken, nothing is tried before */
	bool bol;             /* the next byte begins a line */
	bool copy;            /* this file system takes no splice(2) */
	bool rotated;         /* set when segments changed; the caller clears it and tells the server */
};
/* Takes over dirfd, also when it fails. Goes on after what is there (what a crash cut short is mended). A full or failing
 * disk is not an error here: the log is then `broken`. Nothing is made in the folder before the first byte comes. */
int log_writer_open(struct log_writer *w, int dirfd, uint64_t max, uint32_t files);
void log_writer_close(struct log_writer *w);
/* Has somebody removed what is being written to? Cheap. */
bool log_writer_gone(const struct log_writer *w);
/* Goes on in another folder (owned), at the same offset; -errno: there is none, what comes is dropped. */
void log_writer_again(struct log_writer *w, int dirfd);
/* Marks the beginning of a run. */
void log_run_begin(struct log_writer *w);
/* Moves what is in the nonblocking pipe into the log, at most `budget` bytes. Bytes moved (dropped ones count), 0 at
 * end of file, -EAGAIN when the pipe is empty. Never fails because of the disk: then it drops and counts. */
ssize_t log_pump(struct log_writer *w, int pipefd, enum log_stream stream, size_t budget);
/* Removes everything in the folder dirfd/name and the folder. */
int log_remove(int dirfd, const char *name);

/* --- reader --- */
enum log_view { LOG_ALL, LOG_VIEW_STDOUT, LOG_VIEW_STDERR, LOG_TIMESTAMPS, LOG_PREVIOUS };
#define LOG_STAMP_LEN 31u /* RFC 3339 with nine digits, Z, space: what LOG_TIMESTAMPS puts before each line */
struct log_reader; /* of one container; refcounted: cursors pin it */
int log_reader_open(int dirfd, struct log_reader **out); /* takes over dirfd, also when it fails; an empty folder is an empty log */
void log_reader_free(struct log_reader *r);
/* Looks at the folder again: new and dropped segments. Cheap when nothing changed; every other call does it by itself. */
int log_reader_rescan(struct log_reader *r);
/* Its folder has been removed. */
bool log_reader_gone(const struct log_reader *r);
/* Goes on in another folder, with all who have it open; takes over dirfd. */
void log_reader_again(struct log_reader *r, int dirfd);
/* Every byte ever kept in that view: the size of the file. Exact, three system calls. */
uint64_t log_size(struct log_reader *r, enum log_view v);
uint64_t log_oldest(struct log_reader *r, enum log_view v); /* first offset still kept */
uint64_t log_mtime_ns(struct log_reader *r);

/* One opening of one view. It pins the segments that were there when it opened, so what it has not read yet
 * is not lost to rotation. LOG_PREVIOUS stays the run that was the previous one at the opening. */
struct log_cursor;
int log_cursor_open(struct log_reader *r, enum log_view v, struct log_cursor **out);
void log_cursor_free(struct log_cursor *c);
/* As pread(2) in the view. 0 at the end. Reading below the oldest kept byte goes on at the oldest one, and a reader that
 * then reads on where the last read ended (or again what it has read so) is led on from there (interface.md: Logs). */
ssize_t log_cursor_read(struct log_cursor *c, uint64_t off, void *mem, size_t len);
/* For LOG_ALL and LOG_PREVIOUS: the file and position behind an offset, for splicing: *len in: wanted, out: what the file
 * has there (0: the end). fd stays the cursor's. -EAGAIN for the other views. Same leading on as log_cursor_read. */
int log_cursor_file(struct log_cursor *c, uint64_t off, size_t *len, int *fd, off_t *pos);

#endif
