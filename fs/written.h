/* What one opening has written to a value, to lines, or to cmd, in however many write(2)s.
 *
 * A program's buffer may end inside a line; what it cut off is carried to the next write, or to the end of the opening
 * (docs/design.md, "A write"). Owns the text; when what is applied is its user's. Runs in podfs-server.
 */
#ifndef PODFS_FS_WRITTEN_H
#define PODFS_FS_WRITTEN_H

#include "fs/handle.h"

struct written {
	struct buf text;
	size_t held;  /* so many first bytes of it have been applied; what is behind them is carried */
	int refused;  /* errno: what comes belongs to what was refused, and so is refused too; 0: no */
	bool one;     /* it is one value: all that comes belongs to it. Of lines it is the rest of a line */
	bool noted;   /* the next server is told that something is carried */
};

/* Whether a program's buffer may have ended there, and not the line: stdio's are 1024 bytes (a terminal's) or 4096, and
 * others are multiples of that. */
static inline bool written_cut(const char *data, size_t size)
{
	return size && !(size % 1024) && data[size - 1] != '\n';
}

static inline bool written_carries(const struct written *w)
{
	return w->text.len > w->held;
}

/* Whether the line was not at its end: so long a write is not what a person would then write anew. */
static inline bool written_goes_on(size_t size, char last)
{
	return size >= 1024 && last != '\n';
}

/* Bytes of whole lines. */
size_t whole_lines(const struct buf *text);
/* Whether another write may come: 0 or -errno, then n's error has the reason where it is new. */
int written_admit(struct handle *h, struct written *w, const struct node *n, const char *data, size_t size);
/* data waits for what follows. 0 or -ENOMEM. */
int written_carry(struct handle *h, struct written *w, const char *data, size_t size);
/* All that was written is now text, which is moved, and so many first bytes of it have been applied. */
void written_held(struct handle *h, struct written *w, struct buf *text, size_t held);
/* A write of that size, which ended so, was refused: nothing comes of what was carried. Programs go on after an error (bash, with the
 * next line), and a piece of what was refused must not be taken for something else. */
void written_refused(struct handle *h, struct written *w, int code, size_t size, char last);
void written_free(struct handle *h, struct written *w);

/* An opening of another server: what that one carried is lost. 0, or -EIO when it did. */
int written_adopt(const struct node *n, const struct handle *h);

#endif
