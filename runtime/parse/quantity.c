/* Quantities: bytes, counts, CPU, seconds.
 *
 * Exact: no floating point, so what is refused and what is rounded does not depend on the
 * size of the number. A part of a byte, µs or ms counts as a whole one, as Kubernetes rounds
 * (Quantity.Value rounds up).
 */
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <string.h>

#define FRACTION_DIGITS 18 /* 10^18 times 2^60 fits 128 bits */

#define CPU_PERIOD 100000      /* µs, the kernel's default */
#define CPU_PERIOD_MIN 1000    /* kernel/sched/core.c, min_cfs_quota_period */
#define CPU_PERIOD_MAX 1000000 /* max_cfs_quota_period */
#define CPU_QUOTA_MIN 1000     /* min_cfs_quota_period, for the quota too */
#define CPU_QUOTA_MAX ((1ull << 44) - 1) /* max_cfs_runtime: MAX_BW µs */
#define CPUS_MAX 8192          /* Linux's largest NR_CPUS */

#define SECONDS_MAX (86400u * 365)

/* A decimal number as it was written: whole + frac / 10^FRACTION_DIGITS. */
struct decimal {
	uint64_t whole, frac;
	bool more;       /* there were digits beyond FRACTION_DIGITS that are not 0 */
	bool point, big; /* had a '.'; whole does not fit 63 bits */
};

static void whole_digit(struct decimal *d, uint64_t v)
{
	if (d->big || d->whole > (INT64_MAX - v) / 10)
		d->big = true;
	else
		d->whole = d->whole * 10 + v;
}

static void frac_digit(struct decimal *d, uint64_t v, uint64_t *unit)
{
	*unit /= 10;
	d->frac += v * *unit;
	if (!*unit && v)
		d->more = true;
}

/* Takes DIGITS[.DIGITS] off the front; false: there is none. */
static bool take_decimal(struct span *s, struct decimal *out)
{
	struct decimal d = { 0 };
	uint64_t unit = 1000000000000000000u;
	size_t i = 0, digits = 0;
	for (; i < s->n; i++) {
		char c = s->p[i];
		if (c == '.' && !d.point && digits) {
			d.point = true;
			digits = 0;
		} else if (is_digit(c) && !d.point) {
			whole_digit(&d, (uint64_t)(c - '0'));
			digits++;
		} else if (is_digit(c)) {
			frac_digit(&d, (uint64_t)(c - '0'), &unit);
			digits++;
		} else {
			break;
		}
	}
	if (!digits)
		return false;
	s->p += i;
	s->n -= i;
	*out = d;
	return true;
}

/* d times mult, rounded up. 0 or -ERANGE (over 63 bits). mult is at most 2^60. */
static int scale(const struct decimal *d, uint64_t mult, uint64_t *out)
{
	const uint64_t unit = 1000000000000000000u;
	if (d->big)
		return -ERANGE;
	unsigned __int128 part = (unsigned __int128)d->frac * mult;
	unsigned __int128 v = (unsigned __int128)d->whole * mult + part / unit;
	if (part % unit || d->more)
		v++;
	if (v > INT64_MAX)
		return -ERANGE;
	*out = (uint64_t)v;
	return 0;
}

/* The unit behind the number. Lower case as the kernel's memparse() reads it; not `e`, which
 * begins an exponent. */
static bool byte_unit(struct span s, uint64_t *mult)
{
	static const char upper[] = "KMGTPE", lower[] = "kmgtp";
	const char *at;
	if (!s.n || s.n > 2)
		return false;
	if (s.n == 2 && s.p[1] != 'i')
		return false;
	if ((at = memchr(upper, s.p[0], sizeof upper - 1)))
		*mult = 1ull << (10 * (at - upper + 1));
	else if ((at = memchr(lower, s.p[0], sizeof lower - 1)))
		*mult = 1ull << (10 * (at - lower + 1));
	return at;
}

/* `e9`, `E+9`. 0, -EINVAL, -ERANGE (over 10^18). */
static int exponent(struct span s, uint64_t *mult)
{
	if (s.n < 2 || (s.p[0] != 'e' && s.p[0] != 'E'))
		return -EINVAL;
	size_t skip = s.p[1] == '+' ? 2 : 1;
	uint64_t exp;
	int r = span_number((struct span){ s.p + skip, s.n - skip }, &exp);
	if (r)
		return r;
	if (exp > 18)
		return -ERANGE;
	for (*mult = 1; exp; exp--)
		*mult *= 10;
	return 0;
}

static int read_bytes(struct span s, uint64_t *out)
{
	struct decimal d;
	uint64_t mult = 1;
	if (span_is(s, "max")) {
		*out = LIMIT_MAX;
		return 0;
	}
	if (!take_decimal(&s, &d) || (!s.n && d.point))
		return -EINVAL;
	if (s.n && !byte_unit(s, &mult)) {
		int r = exponent(s, &mult);
		if (r)
			return r;
	}
	return scale(&d, mult, out);
}

static int too_big(struct span s, struct err *e)
{
	return err_set(e, ERANGE, "%s is too big", clip(s).s);
}

int parse_bytes(const char *text, size_t len, uint64_t *out, struct err *e)
{
	struct span s = span_trim(text, len);
	int r = read_bytes(s, out);
	if (r == -ERANGE)
		return too_big(s, e);
	if (r)
		return err_set(e, EINVAL, "%s is not a quantity (try 256M, 1Gi, max)", clip(s).s);
	return 0;
}

int parse_count(const char *text, size_t len, uint64_t *out, struct err *e)
{
	struct span s = span_trim(text, len);
	if (span_is(s, "max")) {
		*out = LIMIT_MAX;
		return 0;
	}
	int r = span_number(s, out);
	if (r == -ERANGE)
		return too_big(s, e);
	if (r)
		return err_set(e, EINVAL, "%s is not a count (try 100, max)", clip(s).s);
	return 0;
}

/* `0.5`, `500m`: µs in CPU_PERIOD. */
static int read_cpus(struct span s, uint64_t *quota)
{
	struct decimal d;
	if (!take_decimal(&s, &d))
		return -EINVAL;
	bool milli = s.n == 1 && s.p[0] == 'm';
	if (s.n && !milli)
		return -EINVAL;
	return scale(&d, milli ? CPU_PERIOD / 1000 : CPU_PERIOD, quota);
}

static int cpu_bounds(struct span s, uint64_t quota, uint64_t period, struct err *e)
{
	if (period < CPU_PERIOD_MIN || period > CPU_PERIOD_MAX)
		return err_set(e, EINVAL, "%s: the period is in microseconds, %d to %d", clip(s).s, CPU_PERIOD_MIN,
			       CPU_PERIOD_MAX);
	if (quota == LIMIT_MAX)
		return 0;
	if (quota < CPU_QUOTA_MIN)
		return err_set(e, EINVAL, "%s is too little: at least %d microseconds of a period (10m of one CPU)",
			       clip(s).s, CPU_QUOTA_MIN);
	if (quota > CPU_QUOTA_MAX)
		return too_big(s, e);
	return 0;
}

/* Someone who knows cgroup's file may leave out the period: 50000 is then no number of CPUs. */
static int check_cpus(struct span s, uint64_t quota, struct err *e)
{
	if (quota != LIMIT_MAX && quota > (uint64_t)CPUS_MAX * CPU_PERIOD)
		return err_set(e, EINVAL, "%s CPUs are too many (a quota is written with its period: 50000 %d)", clip(s).s,
			       CPU_PERIOD);
	return 0;
}

int parse_cpu(const char *text, size_t len, uint64_t *quota, uint64_t *period, struct err *e)
{
	struct span all = span_trim(text, len), rest = all;
	struct span first = span_word(&rest), second = span_word(&rest);
	uint64_t q = LIMIT_MAX, p = CPU_PERIOD;
	int r = 0;
	if (!span_is(first, "max"))
		r = second.n ? span_number(first, &q) : read_cpus(first, &q);
	if (!r && second.n)
		r = span_number(second, &p);
	if (r == -ERANGE)
		return too_big(all, e);
	if (r || rest.n)
		return err_set(e, EINVAL, "%s is not a CPU limit (try 0.5, 500m, max, or QUOTA PERIOD: 50000 100000)",
			       clip(all).s);
	if (!second.n)
		r = check_cpus(all, q, e);
	if (!r)
		r = cpu_bounds(all, q, p, e);
	if (r)
		return r;
	*quota = q;
	*period = p;
	return 0;
}

/* Takes a unit of time off the end; in ms. */
static uint64_t take_time_unit(struct span *s)
{
	static const struct { char c; uint64_t ms; } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 } };
	for (size_t i = 0; s->n && i < sizeof units / sizeof units[0]; i++)
		if (s->p[s->n - 1] == units[i].c) {
			s->n--;
			return units[i].ms;
		}
	return 1000;
}

static int read_time(struct span s, bool fraction, uint64_t *ms)
{
	struct decimal d;
	uint64_t unit = take_time_unit(&s), v;
	if (!take_decimal(&s, &d) || s.n || (d.point && !fraction))
		return -EINVAL;
	if (scale(&d, unit, &v) || v > SECONDS_MAX * 1000ull)
		return -ERANGE;
	*ms = v;
	return 0;
}

int parse_seconds(const char *text, size_t len, uint32_t *out, struct err *e)
{
	struct span s = span_trim(text, len);
	uint64_t ms;
	int r = read_time(s, false, &ms);
	if (r == -ERANGE)
		return err_set(e, ERANGE, "%s is more than a year", clip(s).s);
	if (r)
		return err_set(e, EINVAL, "%s is not a number of seconds (try 30, 2m, 1h)", clip(s).s);
	*out = (uint32_t)(ms / 1000);
	return 0;
}

int parse_millis(const char *text, size_t len, uint32_t *out, struct err *e)
{
	struct span s = span_trim(text, len);
	uint64_t ms;
	int r = read_time(s, true, &ms);
	if (r == -ERANGE || (!r && ms > UINT32_MAX))
		return err_set(e, ERANGE, "%s is too long a time", clip(s).s);
	if (r)
		return err_set(e, EINVAL, "%s is not a time in seconds (try 10, 0.1, 5m)", clip(s).s);
	*out = (uint32_t)ms;
	return 0;
}
