/* Ownership in types: cleanup attributes and moves, and small file helpers.
 *
 * Owns nothing itself. Runs in every process. House rule: whoever declares a
 * resource gives it a cleanup attribute, and hands it on with take_fd/take_ptr.
 */
#ifndef PODFS_BASE_UTIL_H
#define PODFS_BASE_UTIL_H

#include "runtime/base/buf.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define UNUSED __attribute__((unused))

static inline void cleanup_free(void *p) { free(*(void **)p); }
static inline void cleanup_close(int *fd) { if (*fd >= 0) close(*fd); }
static inline void cleanup_file(FILE **f) { if (*f) fclose(*f); }
static inline void cleanup_dir(DIR **d) { if (*d) closedir(*d); }
static inline void cleanup_buf(struct buf *b) { buf_free(b); }
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))
#define _cleanup_file_ __attribute__((cleanup(cleanup_file)))
#define _cleanup_dir_ __attribute__((cleanup(cleanup_dir)))
#define _cleanup_buf_ __attribute__((cleanup(cleanup_buf)))

/* Moves: the variable no longer owns what is returned. */
static inline int take_fd(int *fd) { int f = *fd; *fd = -1; return f; }
#define take_ptr(p) ({ __typeof__(p) p_ = (p); (p) = NULL; p_; })

/* Closes *fd if it is open and sets it to -1. */
void close_fd(int *fd);

/* Reads at most max bytes of dirfd/path (O_NOFOLLOW) and appends them to b. -EFBIG: the
 * file has more than max bytes; b is then as it was. */
int read_file_at(int dirfd, const char *path, size_t max, struct buf *b);

/* Writes all of data into the existing file at path with one open and one write(2), as
 * kernel files (cgroup, proc) want it. 0 or -errno. */
int write_file(const char *path, const char *data, size_t len);

/* Writes everything, over short writes and EINTR. 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/* Replaces dirfd/name atomically: tmp file, fsync, rename. mode as for open(2). */
int replace_file_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode);

/* mkdir -p of an absolute path, each part with mode; parts that exist are left alone. */
int mkdir_all(const char *path, mode_t mode);

/* Removes the tree dirfd/name, never following a symbolic link nor crossing into another
 * mount, also one from the same file system: that is -EBUSY, and all around it goes. A missing one is success. Needs no memory that
 * grows with the tree's size. */
int remove_tree_at(int dirfd, const char *name);

uint64_t now_mono_ns(void); /* CLOCK_MONOTONIC */
uint64_t now_real_ns(void); /* CLOCK_REALTIME, since the epoch */

double seconds_until(uint64_t real_ns); /* by CLOCK_REALTIME; 0: it is over */

#define RFC3339_LEN 30 /* 2006-01-02T15:04:05.999999999Z */
/* Writes the time as RFC 3339 in UTC with nine digits of fraction, and a NUL. */
void format_time(uint64_t real_ns, char out[RFC3339_LEN + 1]);
/* The same without the fraction: 2006-01-02T15:04:05Z. */
void format_time_s(uint64_t real_ns, char out[21]);

/* prctl(PR_SET_PDEATHSIG): `sig` when the parent ends. Who asks after it whether the parent is still there (getppid(2), a pidfd)
 * gets an answer that holds: either there will be the signal, or the parent is seen to be gone. 0 or -errno. */
int set_death_signal(int sig);

/* Where programs are looked for when PATH is not set. */
#define PATH_DEFAULT "/usr/sbin:/usr/bin:/sbin:/bin"
/* Is there such a program in PATH? Its relative parts are passed over. */
bool in_path(const char *program);

/* Bytes of what lies on a disk or comes over a net, as ls -h: 812, 45.2M, 135M. */
void put_size(struct buf *out, uint64_t bytes);

#endif
