/* Decisions that need no kernel: which start needs a pull, how long a pull backs off, which image goes.
 *
 * Pure functions, so that each step can be tested.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

#define GC_AGE_NS (120 * 1000000000ull) /* kubelet's imageMinimumGCAge */
#define RATE_SPAN_NS (3 * 1000000000ull)
#define HOST_FIRST 2 /* 1 is the bridge itself */

enum start_how start_how(enum pull_policy policy, bool present)
{
	static const enum start_how table[][2] = {
		[PULL_IF_NOT_PRESENT] = { START_PULLS, START_NOW },
		[PULL_ALWAYS] = { START_PULLS, START_PULLS },
		[PULL_NEVER] = { START_REFUSED, START_NOW },
	};
	return table[policy][present];
}

uint64_t pull_backoff_ms(unsigned attempts, uint64_t base, uint64_t cap)
{
	uint64_t ms = base;
	while (attempts-- > 1 && ms < cap)
		ms *= 2;
	return ms < cap ? ms : cap;
}

bool pull_hopeless(int code)
{
	static const int codes[] = { ENOENT, EACCES, EPERM, EINVAL, ENOSYS };
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

/* Samples older than the span are forgotten, but for the youngest of them, which the rest is counted from. */
uint64_t rate_add(struct rate *r, uint64_t now_ns, uint64_t bytes)
{
	if (r->n == ARRAY_LEN(r->v)) {
		memmove(r->v, r->v + 1, sizeof r->v - sizeof *r->v);
		r->n--;
	}
	r->v[r->n].at_ns = now_ns;
	r->v[r->n++].bytes = bytes;
	while (r->n > 2 && now_ns - r->v[1].at_ns >= RATE_SPAN_NS) {
		memmove(r->v, r->v + 1, sizeof r->v - sizeof *r->v);
		r->n--;
	}
	uint64_t ns = now_ns - r->v[0].at_ns;
	/* It may begin again: an attempt over TLS, then one without. */
	if (!ns || bytes < r->v[0].bytes)
		return 0;
	return (uint64_t)((double)(bytes - r->v[0].bytes) * 1e9 / (double)ns);
}

static uint64_t last_wanted(const struct gc_image *i)
{
	return i->used_ns > i->imported_ns ? i->used_ns : i->imported_ns;
}

size_t gc_choose(const struct gc_image *v, size_t n, uint64_t now_ns, bool pressing)
{
	size_t best = n;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = last_wanted(&v[i]);
		bool young = at > now_ns || now_ns - at < GC_AGE_NS;
		if (v[i].named || (young && !pressing))
			continue;
		if (best == n || at < last_wanted(&v[best]))
			best = i;
	}
	return best;
}

/* As df(1): what only root may still write is neither used nor free. */
unsigned used_percent(const struct statvfs *s)
{
	uint64_t used = s->f_blocks - s->f_bfree, all = used + s->f_bavail;
	return all ? (unsigned)((used * 100 + all - 1) / all) : 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* The first number from `from` on that is none of the sorted taken. */
static uint64_t gap(const uint64_t *taken, size_t n, uint64_t from)
{
	for (size_t i = 0; i < n && taken[i] <= from; i++)
		from += taken[i] == from;
	return from;
}

uint64_t lease_choose(uint64_t *taken, size_t n, uint64_t next, uint64_t max)
{
	if (n)
		qsort(taken, n, sizeof *taken, by_number);
	uint64_t host = gap(taken, n, next < HOST_FIRST ? HOST_FIRST : next);
	if (host > max)
		host = gap(taken, n, HOST_FIRST);
	return host > max ? 0 : host;
}
