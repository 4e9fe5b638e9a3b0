/* The record, and INI below it: what is read can be written and reads back the same; any bytes survive as a value. */
#include "runtime/parse/parse.h"
#include "runtime/spec/spec.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

struct seen {
	struct buf value;
	int keys;
};

static int take(void *arg, const char *section, const char *key, const char *value, size_t len, int line, struct err *e)
{
	struct seen *s = arg;
	PROMISE(strlen(section) < 50 && strlen(key) < 50 && *key && line > 0 && strlen(value) == len);
	s->keys++;
	buf_reset(&s->value);
	return ini_unescape(value, len, &s->value, e);
}

static void any_value(const char *text, size_t size)
{
	struct seen s = { 0 };
	struct buf b = { 0 };
	struct err e = { 0 };
	ini_write(&b, "key", text, size);
	PROMISE(!ini_read("f", b.data, b.len, take, &s, &e) && s.keys == 1);
	PROMISE(s.value.len == size && (!size || !memcmp(s.value.data, text, size)));
	int r = ini_read("f", text, size, take, &s, &e);
	PROMISE(!r || (r < 0 && e.code == -r && *e.text));
	buf_free(&b);
	buf_free(&s.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pod_spec *p = NULL, *q = NULL;
	struct buf first = { 0 }, second = { 0 };
	struct err e = { 0 };
	any_value((const char *)data, size);
	int r = record_read((const char *)data, size, &p, &e);
	if (r) {
		PROMISE(r < 0 && e.code == -r && *e.text && !p);
		return 0;
	}
	if (!record_write(p, &first, &e)) {
		PROMISE(!record_read(first.data, first.len, &q, &e) && !record_write(q, &second, &e));
		PROMISE(first.len == second.len && !memcmp(first.data, second.data, first.len));
	}
	pod_spec_free(p);
	pod_spec_free(q);
	buf_free(&first);
	buf_free(&second);
	return 0;
}
