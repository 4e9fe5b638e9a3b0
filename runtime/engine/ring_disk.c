/* Rings on disk: lines that the next server reads.
 *
 * folder/events.N holds the bytes from logical offset N on. A segment takes half of the ring; the newest two are kept, so the
 * files are bounded as the ring is and offsets go on where they were. Lines are appended before any reader can have seen them and
 * without fsync(2): a kill takes none, a power cut perhaps the last, torn, which is cut off. Runs in podfs-server.
 */
#include "runtime/engine/ring.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX "events."
#define PATH_ROOM 128

static void path_of(char out[PATH_ROOM], const char *folder, uint64_t offset)
{
	snprintf(out, PATH_ROOM, "%s/" PREFIX "%" PRIu64, folder, offset);
}

/* --- loading --- */

static int offset_of(const char *name, uint64_t *out)
{
	char *end;
	size_t n = strlen(PREFIX);
	if (strncmp(name, PREFIX, n) || name[n] < '0' || name[n] > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(name + n, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static void drop_segment(int dir_fd, const char *folder, uint64_t offset)
{
	char path[PATH_ROOM];
	path_of(path, folder, offset);
	unlinkat(dir_fd, path, 0);
}

/* The newest two; others are left of a kill between two steps. */
static void find_segments(struct ring *r, int dir_fd, const char *folder)
{
	int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	uint64_t at;
	while (d && (de = readdir(d))) {
		if (offset_of(de->d_name, &at))
			continue;
		if (!r->segments || at > r->segment) {
			if (r->segments == 2)
				drop_segment(dir_fd, folder, r->before);
			r->before = r->segment;
			r->segment = at;
		} else if (r->segments == 1 || at > r->before) {
			if (r->segments == 2)
				drop_segment(dir_fd, folder, r->before);
			r->before = at;
		} else {
			drop_segment(dir_fd, folder, at);
			continue;
		}
		r->segments += r->segments < 2;
	}
}

/* Whole lines: after a power cut the last one may be torn, or zeros. */
static size_t whole(const char *text, size_t len)
{
	const char *nul = memchr(text, 0, len);
	if (nul)
		len = (size_t)(nul - text);
	while (len && text[len - 1] != '\n')
		len--;
	return len;
}

static void load_segment(struct ring *r, int dir_fd, const char *folder, uint64_t offset, struct buf *all)
{
	char path[PATH_ROOM];
	_cleanup_buf_ struct buf text = { 0 };
	struct stat st;
	path_of(path, folder, offset);
	if (read_file_at(dir_fd, path, r->max, &text) || !text.len)
		return;
	size_t len = whole(text.data, text.len);
	_cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (len < text.len && (fd < 0 || ftruncate(fd, (off_t)len)))
		r->segments = 0; /* nothing is appended to it then */
	if (fd >= 0 && !fstat(fd, &st))
		r->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	buf_put(all, text.data, len);
}

void ring_load(struct ring *r, int dir_fd, const char *folder)
{
	struct buf all = { 0 };
	find_segments(r, dir_fd, folder);
	if (!r->segments)
		return;
	if (r->segments == 2)
		load_segment(r, dir_fd, folder, r->before, &all);
	size_t older = all.len;
	load_segment(r, dir_fd, folder, r->segment, &all);
	if (buf_status(&all)) {
		buf_free(&all);
		return;
	}
	r->mem = all.data;
	r->len = all.len;
	r->oldest = r->segment > older ? r->segment - older : 0;
	ring_trim(r, 0);
	r->saved = ring_size(r);
}

/* --- saving --- */

/* Where the next lines go. */
static int open_segment(struct ring *r, int dir_fd, const char *folder)
{
	char path[PATH_ROOM];
	int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
	bool gap = r->saved < r->oldest;
	path_of(path, folder, r->segment);
	int fd = r->segments && !gap && ring_size(r) - r->segment <= r->max / 2 ? openat(dir_fd, path, flags) : -1;
	if (fd >= 0)
		return fd;
	if (gap)
		r->saved = r->oldest;
	path_of(path, folder, r->saved);
	fd = openat(dir_fd, path, flags | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return -errno;
	if (r->segments == 2)
		drop_segment(dir_fd, folder, r->before);
	r->before = r->segment;
	r->segment = r->saved;
	r->segments += r->segments < 2;
	return fd;
}

void ring_save(struct ring *r, int dir_fd, const char *folder)
{
	const char *text;
	_cleanup_close_ int fd = open_segment(r, dir_fd, folder);
	size_t len = fd < 0 ? 0 : ring_at(r, r->saved, &text);
	ssize_t n = len ? write(fd, text, len) : 0;
	if (n > 0)
		r->saved += (uint64_t)n;
}
