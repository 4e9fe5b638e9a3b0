/* The bytes of an archive as they come: see source.h. */
#include "runtime/image/source.h"

#include "runtime/base/util.h"

#include <errno.h>

volatile sig_atomic_t tar_cancelled;

int source_open(struct source *s, struct err *e)
{
	s->chunk = malloc(SOURCE_CHUNK);
	return s->chunk ? 0 : err_set(e, ENOMEM, "not enough memory");
}

void source_close(struct source *s)
{
	free(s->chunk);
	s->chunk = NULL;
}

/* 0 only at the end of a file that is complete: that was asked before the read, as bytes may come in between. */
static ssize_t read_more(struct source *s)
{
	for (;;) {
		bool complete = !s->growth || __atomic_load_n(&s->growth->complete, __ATOMIC_ACQUIRE);
		ssize_t n = tar_cancelled ? -1 : read(s->fd, s->chunk, SOURCE_CHUNK);
		if (tar_cancelled)
			errno = ECANCELED;
		else if (n < 0 && errno == EINTR)
			continue;
		if (n || complete)
			return n;
		uint64_t times;
		if (read(s->growth->wake, &times, sizeof times) < 0 && errno != EINTR)
			return -1;
	}
}

ssize_t source_next(struct source *s, const void **out)
{
	ssize_t n = read_more(s);
	if (n < 0 && errno == ECANCELED)
		err_set(&s->err, ECANCELED, "cancelled");
	else if (n < 0)
		err_sys(&s->err, errno, "cannot read the archive");
	if (n <= 0)
		return n;
	s->size += (uint64_t)n;
	if (s->digest)
		digest_add(s->digest, s->chunk, (size_t)n);
	if (s->count)
		__atomic_fetch_add(s->count, (uint64_t)n, __ATOMIC_RELAXED);
	*out = s->chunk;
	return n;
}
