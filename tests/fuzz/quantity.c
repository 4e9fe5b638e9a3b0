/* Quantities, counts, CPU, times, verbs, signals, window sizes: all that is short. */
#include "runtime/parse/parse.h"
#include "tests/fuzz/fuzz.h"

static void check(int r, const struct err *e)
{
	PROMISE(r == 0 || (r < 0 && e->code == -r && *e->text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct err e = { 0 };
	uint64_t v = 1, quota = 1, period = 1;
	uint32_t t = 1;
	unsigned rows = 0, cols = 0;
	int r = parse_bytes(text, size, &v, &e), sig = 0;
	struct ctl ctl;
	check(r, &e);
	PROMISE(r ? v == 1 : v <= INT64_MAX || v == LIMIT_MAX);
	r = parse_count(text, size, &v, &e);
	check(r, &e);
	PROMISE(r || v <= INT64_MAX || v == LIMIT_MAX);
	r = parse_cpu(text, size, &quota, &period, &e);
	check(r, &e);
	PROMISE(r ? quota == 1 && period == 1 : quota >= 1000 && period >= 1000 && period <= 1000000);
	r = parse_seconds(text, size, &t, &e);
	check(r, &e);
	PROMISE(r || t <= 86400u * 365);
	check(parse_millis(text, size, &t, &e), &e);
	check(parse_ctl(text, size, &ctl, &e), &e);
	r = parse_signal(text, size, &sig, &e);
	check(r, &e);
	PROMISE(r || (sig >= 1 && sig <= 64));
	r = parse_winsize(text, size, &rows, &cols, &e);
	check(r, &e);
	PROMISE(r || (rows && rows <= 65535 && cols && cols <= 65535));
	return 0;
}
