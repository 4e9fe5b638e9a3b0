/* A bounded text that only grows: see ring.h. */
#include "runtime/engine/ring.h"

#include "runtime/base/util.h"

#include <string.h>

void ring_init(struct ring *r, size_t max)
{
	*r = (struct ring){ .max = max, .mtime_ns = now_real_ns() };
}

void ring_free(struct ring *r)
{
	free(r->mem);
	*r = (struct ring){ 0 };
}

void ring_trim(struct ring *r, size_t need)
{
	size_t cut = 0;
	while (cut < r->len && r->len - cut + need > r->max) {
		const char *nl = memchr(r->mem + cut, '\n', r->len - cut);
		cut = nl ? (size_t)(nl - r->mem) + 1 : r->len;
	}
	if (!cut)
		return;
	memmove(r->mem, r->mem + cut, r->len - cut);
	r->len -= cut;
	r->oldest += cut;
}

void ring_line(struct ring *r, const char *line)
{
	size_t n = strlen(line);
	if (n + 1 > r->max)
		n = r->max - 1;
	ring_trim(r, n + 1);
	char *p = realloc(r->mem, r->len + n + 1);
	if (!p)
		return;
	r->mem = p;
	memcpy(r->mem + r->len, line, n);
	r->mem[r->len + n] = '\n';
	r->len += n + 1;
	r->mtime_ns = now_real_ns();
}

size_t ring_at(const struct ring *r, uint64_t off, const char **p)
{
	uint64_t skip = off > r->oldest ? off - r->oldest : 0;
	if (skip >= r->len)
		return 0;
	*p = r->mem + skip;
	return r->len - (size_t)skip;
}

void ring_forget(struct ring *r, const char *text)
{
	size_t at = 0, n = strlen(text);
	while (at < r->len) {
		const char *line = r->mem + at, *nl = memchr(line, '\n', r->len - at);
		size_t len = nl ? (size_t)(nl - line) + 1 : r->len - at;
		if (!memmem(line, len, text, n)) {
			at += len;
			continue;
		}
		memmove(r->mem + at, r->mem + at + len, r->len - at - len);
		r->len -= len;
		r->mtime_ns = now_real_ns();
	}
}

void ring_once(struct ring *r, const char *line)
{
	ring_forget(r, line);
	ring_line(r, line);
}
