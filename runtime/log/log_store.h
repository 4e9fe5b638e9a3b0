/* Segments and records as the writer makes them.
 *
 * Owns nothing: works on a struct log_writer. Shared by log_write.c (the pump) and log_mend.c (opening); nobody
 * else includes it. Runs in podfs-pod: allocates nothing.
 */
#ifndef PODFS_LOG_STORE_H
#define PODFS_LOG_STORE_H

#include "runtime/log/log.h"

/* The position of record i in an index. */
off_t log_rec_pos(uint32_t i);
/* pread and pwrite of a whole small thing. 0 or -errno; a short one is what the disk had: -ENODATA, -ENOSPC. */
int log_get_at(int fd, void *mem, size_t len, off_t pos);
int log_put_at(int fd, const void *mem, size_t len, off_t pos);

/* A segment or its index, for reading and writing. Descriptor or -errno. */
int log_open_at(const struct log_writer *w, uint64_t start, bool index, int flags);
void log_unlink_segment(int dirfd, uint64_t start);
/* Makes it the current one; takes over both descriptors. */
void log_use_segment(struct log_writer *w, int fd, int ifd, const struct log_head *h);
int log_write_head(struct log_writer *w);

/* Bytes that the current segment can hold at most. */
uint64_t log_hard_end(const struct log_writer *w);
/* Sees to a segment with room in it. */
int log_ready(struct log_writer *w);
/* Gives the n bytes behind the last record their place in the index. On failure nothing has changed but bytes
 * on the disk that nobody counts. */
int log_record(struct log_writer *w, size_t n, enum log_stream stream, uint64_t time_ns);

#endif
