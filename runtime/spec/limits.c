/* The limits of a pod or a container, named and written as cgroup v2's files
 * (Documentation/admin-guide/cgroup-v2.rst). What the kernel would refuse by its value alone is refused here. */
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <stdbool.h>

#define CPU_PERIOD 100000 /* µs */
#define CPU_WEIGHT 100
#define CPU_WEIGHT_MAX 10000

static struct limits *limits(struct spec_ref r)
{
	return r.container ? &r.container->limits : &r.pod->limits;
}

typedef int parse_fn(const char *text, size_t len, uint64_t *out, struct err *e);

static int set_limit(parse_fn *parse, uint64_t *to, bool *has, const char *text, size_t len, struct err *e)
{
	if (!span_trim(text, len).n) {
		*has = false;
		return 0;
	}
	int r = parse(text, len, to, e);
	if (!r)
		*has = true;
	return r;
}

static void get_limit(bool has, uint64_t v, struct buf *out)
{
	if (!has || v == LIMIT_MAX)
		buf_puts(out, "max\n");
	else
		buf_printf(out, "%llu\n", (unsigned long long)v);
}

int memory_max_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct limits *l = limits(r);
	return set_limit(parse_bytes, &l->memory_max, &l->has_memory_max, text, len, e);
}

void memory_max_get(struct spec_ref r, struct buf *out)
{
	get_limit(limits(r)->has_memory_max, limits(r)->memory_max, out);
}

bool memory_max_is_set(struct spec_ref r)
{
	return limits(r)->has_memory_max;
}

int memory_high_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct limits *l = limits(r);
	return set_limit(parse_bytes, &l->memory_high, &l->has_memory_high, text, len, e);
}

void memory_high_get(struct spec_ref r, struct buf *out)
{
	get_limit(limits(r)->has_memory_high, limits(r)->memory_high, out);
}

bool memory_high_is_set(struct spec_ref r)
{
	return limits(r)->has_memory_high;
}

int cpu_max_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct limits *l = limits(r);
	if (!span_trim(text, len).n) {
		l->has_cpu_max = false;
		return 0;
	}
	int result = parse_cpu(text, len, &l->cpu_quota, &l->cpu_period, e);
	if (!result)
		l->has_cpu_max = true;
	return result;
}

void cpu_max_get(struct spec_ref r, struct buf *out)
{
	const struct limits *l = limits(r);
	unsigned long long period = l->has_cpu_max ? l->cpu_period : CPU_PERIOD;
	if (!l->has_cpu_max || l->cpu_quota == LIMIT_MAX)
		buf_printf(out, "max %llu\n", period);
	else
		buf_printf(out, "%llu %llu\n", (unsigned long long)l->cpu_quota, period);
}

bool cpu_max_is_set(struct spec_ref r)
{
	return limits(r)->has_cpu_max;
}

static int parse_weight(const char *text, size_t len, uint64_t *out, struct err *e)
{
	struct span s = span_trim(text, len);
	uint64_t v;
	if (span_number(s, &v) || v < 1 || v > CPU_WEIGHT_MAX)
		return err_set(e, EINVAL, "%s is not a weight (1 to %d)", clip(s).s, CPU_WEIGHT_MAX);
	*out = v;
	return 0;
}

int cpu_weight_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct limits *l = limits(r);
	return set_limit(parse_weight, &l->cpu_weight, &l->has_cpu_weight, text, len, e);
}

void cpu_weight_get(struct spec_ref r, struct buf *out)
{
	const struct limits *l = limits(r);
	get_limit(true, l->has_cpu_weight ? l->cpu_weight : CPU_WEIGHT, out);
}

bool cpu_weight_is_set(struct spec_ref r)
{
	return limits(r)->has_cpu_weight;
}

int pids_max_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct limits *l = limits(r);
	return set_limit(parse_count, &l->pids_max, &l->has_pids_max, text, len, e);
}

void pids_max_get(struct spec_ref r, struct buf *out)
{
	get_limit(limits(r)->has_pids_max, limits(r)->pids_max, out);
}

bool pids_max_is_set(struct spec_ref r)
{
	return limits(r)->has_pids_max;
}
