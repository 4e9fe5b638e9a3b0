/* Words: what is taken can be written and reads back as the same words. */
#include "runtime/parse/parse.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strs words = { 0 }, again = { 0 };
	struct buf text = { 0 };
	struct err e = { 0 };
	int r = parse_words((const char *)data, size, &words, &e);
	if (r) {
		PROMISE(r < 0 && e.code == -r && *e.text && !words.v);
		return 0;
	}
	format_words(&words, &text);
	PROMISE(!buf_status(&text) && !parse_words(text.data, text.len, &again, &e) && again.n == words.n);
	for (size_t i = 0; i < words.n; i++)
		PROMISE(!strcmp(words.v[i], again.v[i]));
	strs_free(&words);
	strs_free(&again);
	buf_free(&text);
	return 0;
}
