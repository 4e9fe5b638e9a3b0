/* gzip through ISA-L: in whatever pieces the bytes come, the same comes out or the same is refused; and what is
 * taken libarchive, which uses zlib, inflates to the same. The first byte is the length of the pieces. */
#include "runtime/image/inflate.h"

#include "runtime/base/buf.h"
#include "tests/fuzz/fuzz.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#define PLAIN_MAX (1 << 20)

struct pieces {
	const uint8_t *data;
	size_t len, piece;
	uint8_t now[256]; /* a copy that is overwritten: bytes are valid until the next call */
};

static ssize_t next_piece(void *arg, const void **out)
{
	struct pieces *p = arg;
	size_t n = p->len < p->piece ? p->len : p->piece;
	memset(p->now, 0xa5, sizeof p->now);
	if (n)
		memcpy(p->now, p->data, n);
	p->data += n;
	p->len -= n;
	*out = p->now;
	return (ssize_t)n;
}

/* False: refused. What was inflated up to PLAIN_MAX is in out. */
static bool inflate_all(struct pieces p, struct buf *out)
{
	struct inflate *i = NULL;
	struct err e = { 0 };
	const void *plain;
	ssize_t n;
	PROMISE(!inflate_open(next_piece, &p, &i, &e));
	while ((n = inflate_next(i, &plain, &e)) > 0 && out->len < PLAIN_MAX)
		buf_put(out, plain, (size_t)n);
	PROMISE(n >= 0 || (e.code && *e.text));
	inflate_free(i);
	return n >= 0;
}

static void same_as_zlib(const uint8_t *data, size_t size, const struct buf *want)
{
	struct archive *a = archive_read_new();
	struct archive_entry *all;
	const void *plain;
	size_t len, at = 0;
	la_int64_t off;
	archive_read_support_filter_gzip(a);
	archive_read_support_format_raw(a);
	if (want->len && !archive_read_open_memory(a, data, size) && !archive_read_next_header(a, &all) &&
	    archive_filter_count(a) == 2) {
		while (at < want->len && archive_read_data_block(a, &plain, &len, &off) == ARCHIVE_OK) {
			size_t n = len < want->len - at ? len : want->len - at;
			PROMISE(!n || !memcmp(want->data + at, plain, n));
			at += n;
		}
		PROMISE(at == want->len);
	}
	archive_read_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one = { 0 }, two = { 0 };
	if (size < 3 || !inflate_knows(data + 1, size - 1))
		return 0;
	size_t piece = data[0] ? data[0] : 1;
	data++;
	size--;
	bool taken = inflate_all((struct pieces){ .data = data, .len = size, .piece = piece }, &one);
	PROMISE(inflate_all((struct pieces){ .data = data, .len = size, .piece = 256 }, &two) == taken);
	if (taken) {
		PROMISE(one.len == two.len && (!one.len || !memcmp(one.data, two.data, one.len)));
		same_as_zlib(data, size, &one);
	}
	buf_free(&one);
	buf_free(&two);
	return 0;
}
