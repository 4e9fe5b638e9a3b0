/* A growing run of bytes.
 *
 * Owns its memory. A failed allocation is remembered (`failed`) so that a row of
 * appends is checked once, at the end. Always NUL-terminated behind len.
 */
#ifndef PODFS_BASE_BUF_H
#define PODFS_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL while nothing was put in */
	size_t len, cap;
	bool failed;
};

void buf_put(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop_front(struct buf *b, size_t n); /* forgets the first n bytes */
void buf_reset(struct buf *b);                /* len 0, keeps the memory, forgets failed */
void buf_free(struct buf *b);                 /* and zeroes the struct */
/* 0, or -ENOMEM if any append failed. */
int buf_status(const struct buf *b);
/* The bytes as a string; "" while empty. Owned by b. */
const char *buf_str(const struct buf *b);

#endif
