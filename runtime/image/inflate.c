/* gzip, inflated by ISA-L: see inflate.h. */
#include "runtime/image/inflate.h"

#include "runtime/base/util.h"

#include <errno.h>

#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>

#define ID1 0x1f /* the two bytes that every member begins with */
#define ID2 0x8b
#define RESERVED 0xe0 /* flags that have to be refused (RFC 1952, 2.3.1.2) */
#define OUT (256 * 1024)

struct inflate {
	inflate_read_fn *read;
	void *arg;
	enum { HEADER, DATA, BETWEEN, END } at;
	struct isal_gzip_header header; /* kept: it may come in pieces */
	struct inflate_state state;
	uint8_t out[OUT];
};

bool inflate_knows(const void *start, size_t len)
{
	const uint8_t *p = start;
	return len >= 2 && p[0] == ID1 && p[1] == ID2;
}

static void begin_member(struct inflate *i)
{
	isal_inflate_reset(&i->state);
	i->state.crc_flag = ISAL_GZIP_NO_HDR_VER;
	isal_gzip_header_init(&i->header);
	i->at = HEADER;
}

int inflate_open(inflate_read_fn *read, void *arg, struct inflate **out, struct err *e)
{
	struct inflate *i = calloc(1, sizeof *i);
	if (!i)
		return err_set(e, ENOMEM, "not enough memory");
	i->read = read;
	i->arg = arg;
	isal_inflate_init(&i->state);
	begin_member(i);
	*out = i;
	return 0;
}

static int damaged(const char *what, struct err *e)
{
	err_set(e, EINVAL, "damaged compressed data: %s", what);
	return -1;
}

/* 1: there are bytes to inflate, 0: there are no more. */
static int more(struct inflate *i)
{
	const void *p;
	ssize_t n = i->read(i->arg, &p);
	if (n <= 0)
		return (int)n;
	i->state.next_in = (uint8_t *)(uintptr_t)p;
	i->state.avail_in = (uint32_t)n;
	return 1;
}

static int need_more(struct inflate *i, struct err *e)
{
	int r = more(i);
	return r ? r : damaged("truncated gzip input", e);
}

/* Each of the three takes one step: below 0 it failed. */
static int read_header(struct inflate *i, struct err *e)
{
	int r = isal_read_gzip_header(&i->state, &i->header);
	if (r == ISAL_END_INPUT)
		return need_more(i, e);
	if (r != ISAL_DECOMP_OK)
		return damaged(r == ISAL_UNSUPPORTED_METHOD ? "not deflate" : "no gzip header", e);
	if (i->header.flags & RESERVED)
		return damaged("reserved flags in a gzip header", e);
	i->at = DATA;
	return 0;
}

static int read_data(struct inflate *i, struct err *e)
{
	uint32_t room = i->state.avail_out;
	int r = isal_inflate(&i->state);
	if (r == ISAL_INCORRECT_CHECKSUM)
		return damaged("its CRC does not match", e);
	if (r < 0)
		return damaged("no deflate data", e);
	if (i->state.block_state == ISAL_BLOCK_FINISH) {
		i->at = BETWEEN;
		return 0;
	}
	/* With no byte of input left it may still hold some of output. */
	bool stuck = i->state.avail_out == room && !i->state.avail_in;
	return stuck ? need_more(i, e) : 0;
}

static int read_between(struct inflate *i, struct err *e UNUSED)
{
	int r = i->state.avail_in ? 1 : more(i);
	if (r < 0)
		return r;
	if (r && *i->state.next_in == ID1)
		begin_member(i);
	else
		i->at = END;
	return 0;
}

ssize_t inflate_next(struct inflate *i, const void **out, struct err *e)
{
	static int (*const step[])(struct inflate *i, struct err *e) = {
		[HEADER] = read_header, [DATA] = read_data, [BETWEEN] = read_between,
	};
	int r = 0;
	i->state.next_out = i->out;
	i->state.avail_out = OUT;
	while (r >= 0 && i->at != END && i->state.avail_out)
		r = step[i->at](i, e);
	*out = i->out;
	return r < 0 ? -1 : (ssize_t)(OUT - i->state.avail_out);
}

void inflate_free(struct inflate *i)
{
	free(i);
}

#else

bool inflate_knows(const void *start UNUSED, size_t len UNUSED)
{
	return false;
}

int inflate_open(inflate_read_fn *read UNUSED, void *arg UNUSED, struct inflate **out UNUSED, struct err *e)
{
	return err_set(e, ENOSYS, "built without ISA-L");
}

ssize_t inflate_next(struct inflate *i UNUSED, const void **out UNUSED, struct err *e UNUSED)
{
	return 0;
}

void inflate_free(struct inflate *i UNUSED)
{
}

#endif
