/* A bounded text that only grows: events, refused writes.
 *
 * Keeps the newest bytes, whole lines only; offsets are logical and never go back, so
 * that `tail -f` sees each line once. Same rule for reading below the oldest byte as for logs.
 */
#ifndef PODFS_RING_H
#define PODFS_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ring {
	char *mem;
	size_t max;      /* bytes kept at most */
	size_t len;      /* bytes kept */
	uint64_t oldest; /* logical offset of mem[0] */
	uint64_t mtime_ns;
	/* ring_disk.c: what of it is on disk. */
	uint64_t saved;   /* the lines up to here */
	uint64_t segment; /* logical offset at which the newest segment begins */
	uint64_t before;  /* the same of the one before */
	unsigned segments;
};

void ring_init(struct ring *r, size_t max);
void ring_free(struct ring *r);
/* Adds the line and a newline; drops whole old lines to make room. Out of memory: it is lost. */
void ring_line(struct ring *r, const char *line);
/* Drops whole old lines, so that there is room for need bytes. */
void ring_trim(struct ring *r, size_t need);
/* Takes the lines that hold text out again: for a ring that says what is, not what was. Its size goes back. */
void ring_forget(struct ring *r, const char *text);
/* Appends line, which then stands once: what has it in it goes before. */
void ring_once(struct ring *r, const char *line);
static inline uint64_t ring_size(const struct ring *r) { return r->oldest + r->len; }
/* Bytes from logical off on: points *p at them; 0 at the end. off below the oldest: from the oldest. */
size_t ring_at(const struct ring *r, uint64_t off, const char **p);

/* --- ring_disk.c: a ring that outlives the server --- */
/* Fills an empty ring from what ring_save left in dir_fd/folder; nothing there: it stays empty. */
void ring_load(struct ring *r, int dir_fd, const char *folder);
/* Appends the lines that are not there yet. Does not wait for the disk. What cannot be written now is written the
 * next time. */
void ring_save(struct ring *r, int dir_fd, const char *folder);

#endif
