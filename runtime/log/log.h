/* A container's log: what it wrote, as it wrote it.
 *
 * On disk, in the folder of one container's log:
 *   %016llx     a segment: the bytes of stdout and stderr in the order they came; the name is
 *               the logical offset of its first byte
 *   %016llx.i   its index: an array of struct log_rec, one a run of bytes
 * The logical offset counts every byte ever written and never goes back, over rotation and restarts. A new
 * segment is begun when the current one has reached log_max; only the newest log_files segments are kept.
 *
 * Writer (podfs-pod, log_write.c): moves bytes from pipe to file with splice(2), so it never
 * sees them. Reader (server, log_read.c): makes NAME, .stdout, .stderr, .timestamps and .previous out of
 * the two. Both take their folder as a descriptor and touch nothing else.
 */
#ifndef PODFS_LOG_H
#define PODFS_LOG_H

#include "runtime/base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum log_stream { LOG_STDOUT = 1, LOG_STDERR = 2, LOG_RUN = 3 /* a run of the container begins here; len 0 */ };

struct log_rec {
	uint64_t off; /* logical */
	uint64_t time_ns; /* CLOCK_REALTIME when the first byte was taken */
	uint32_t len;
	uint32_t stream; /* enum log_stream */
};

/* --- writer --- */
struct log_writer {
	int dirfd;            /* owned */
	int fd, ifd;          /* current segment and index, -1: none */
	uint64_t start, size; /* of the current segment: logical start, bytes in it */
	struct log_rec last;  /* the newest record, rewritten in place while it grows */
	off_t last_pos;       /* its position in the index; -1: none */
	uint64_t max;
	uint32_t files;
	uint64_t dropped;     /* bytes that did not fit on the disk */
	int broken;           /* the errno while writing fails; 0: writing works */
	bool rotated;         /* set when segments changed; the caller clears it and tells the server */
};
/* Takes over dirfd. Goes on after what is there (a record cut short by a crash is mended). */
int log_writer_open(struct log_writer *w, int dirfd, uint64_t max, uint32_t files);
void log_writer_close(struct log_writer *w);
/* Marks the beginning of a run. */
void log_run_begin(struct log_writer *w);
/* Moves what is in the nonblocking pipe into the log, at most `budget` bytes. Bytes moved (dropped ones count), 0 at
 * end of file, -EAGAIN when the pipe is empty. Never fails because of the disk: then it drops and counts. */
ssize_t log_pump(struct log_writer *w, int pipefd, enum log_stream stream, size_t budget);
/* Removes everything in the folder dirfd/name and the folder. */
int log_remove(int dirfd, const char *name);

/* --- reader --- */
enum log_view { LOG_ALL, LOG_VIEW_STDOUT, LOG_VIEW_STDERR, LOG_TIMESTAMPS, LOG_PREVIOUS };
struct log_reader; /* of one container; refcounted: handles pin it and its segments */
int log_reader_open(int dirfd, struct log_reader **out); /* takes over dirfd; an empty folder is an empty log */
void log_reader_free(struct log_reader *r);
/* Looks at the folder again: new and dropped segments. Cheap when nothing changed. */
int log_reader_rescan(struct log_reader *r);
/* Every byte ever written in that view: the size of the file. For LOG_TIMESTAMPS as far as it has been scanned,
 * and each call scans at most 1 MiB on. */
uint64_t log_size(struct log_reader *r, enum log_view v);
uint64_t log_oldest(struct log_reader *r, enum log_view v); /* first offset still kept */
uint64_t log_mtime_ns(struct log_reader *r);

/* One opening of one view. It pins the segments that were there when it opened, so what it has not read yet
 * is not lost to rotation. */
struct log_cursor;
int log_cursor_open(struct log_reader *r, enum log_view v, struct log_cursor **out);
void log_cursor_free(struct log_cursor *c);
/* As pread(2) in the view. 0 at the end. Reading below the oldest kept byte goes on at the oldest one, and a reader that
 * then reads on where the last read ended is led on from there (interface.md: Logs). */
ssize_t log_cursor_read(struct log_cursor *c, uint64_t off, void *mem, size_t len);
/* For LOG_ALL: the file and position behind a logical offset, for splicing. -EAGAIN when it can't be had so. */
int log_cursor_file(struct log_cursor *c, uint64_t off, size_t *len, int *fd, off_t *pos);

#endif
