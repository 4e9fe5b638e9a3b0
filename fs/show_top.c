/* .node/top: CPU and memory in use, by pod and container.
 *
 * CPU is what kubectl top shows, thousandths of a core, averaged since the file was last read; the first
 * reading averages since the pod or container was made. What the last reading saw is kept in a table of fixed
 * size, by serial number: where two share a slot the older one averages over its life again.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

#include "runtime/base/util.h"

#define SLOTS 4096
/* Closer readings repeat the last figure: two readers at once see the same, and the kernel counts
 * in ticks. */
#define SPAN_MIN_NS 200000000

struct sample {
	uint64_t serial; /* 0: free; serials begin far above */
	uint64_t cpu_usec, at_ns;
	uint64_t milli;
};

static struct sample samples[SLOTS];

static uint64_t milli_cores(uint64_t usec, uint64_t span_ns)
{
	return span_ns < 1000 ? 0 : usec * 1000 / (span_ns / 1000);
}

static uint64_t cpu_since(uint64_t serial, uint64_t created_ns, uint64_t usec)
{
	struct sample *s = &samples[serial % SLOTS];
	uint64_t now = now_mono_ns(), real = now_real_ns();
	if (s->serial == serial && usec >= s->cpu_usec) {
		if (now - s->at_ns < SPAN_MIN_NS)
			return s->milli;
		s->milli = milli_cores(usec - s->cpu_usec, now - s->at_ns);
	} else {
		s->milli = real > created_ns ? milli_cores(usec, real - created_ns) : 0;
		s->serial = serial;
	}
	s->cpu_usec = usec;
	s->at_ns = now;
	return s->milli;
}

static void row(struct table *t, const struct pod *p, const struct container *c)
{
	struct cg_use use;
	if (cg_use(p->engine->cg, p->spec->uid, c ? c->id : NULL, &use))
		return;
	uint64_t serial = c ? c->entity.serial : p->entity.serial;
	uint64_t created = c ? c->spec->created_ns : p->spec->created_ns;
	table_cell(t, p->spec->name);
	table_cell(t, c ? c->spec->name : "-");
	buf_printf(&t->cells, "%llum", (unsigned long long)cpu_since(serial, created, use.cpu_usec));
	table_next(t);
	put_bytes(&t->cells, use.memory);
	table_next(t);
	table_count(t, use.pids);
}

int show_top(const struct ref *r, struct buf *out)
{
	static const char *const heads[] = { "NAME", "CONTAINER", "CPU", "MEMORY", "PIDS" };
	struct table t;
	table_begin(&t, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < r->en->npods; i++) {
		const struct pod *p = r->en->pods[i];
		if (!ref_sees(r, p))
			continue;
		row(&t, p, NULL);
		for (size_t k = 0; k < p->ncontainers; k++)
			row(&t, p, p->containers[k]);
	}
	return table_end(&t, out);
}
