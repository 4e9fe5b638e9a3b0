/* What skopeo said: any bytes give one short plain line and an errno, and no name makes plain HTTP of it. */
#include "runtime/image/failure.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* The reference is the first line, what skopeo said is the rest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	char reference[256] = "";
	const char *text = (const char *)data, *nl = size ? memchr(text, '\n', size) : NULL;
	size_t n = nl ? (size_t)(nl - text) : 0;
	memcpy(reference, text, n < sizeof reference ? n : sizeof reference - 1);
	if (nl)
		size -= n + 1, text = nl + 1;
	int r = failure_of(text, size, reference, &e);
	PROMISE(r < 0 && e.code == -r && *e.text && strlen(e.text) < 450);
	for (const char *c = e.text; *c; c++)
		PROMISE((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
	PROMISE(!failure_is_plain_http(text, size, "localhost") || memmem(text, size, "localhost", 9));
	return 0;
}
