/* A layer's archive, compressed or not: read to its end without touching the disk. Names that are
 * taken cannot lead anywhere, and no more bytes come than were allowed. */
#include "runtime/image/names.h"
#include "runtime/image/tar.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES_MAX (1 << 20)

static void name(const char *raw)
{
	char clean[PATH_MAX], again[PATH_MAX];
	enum name_kind kind;
	const char *base = NULL;
	if (name_clean(raw, clean, NULL))
		return;
	PROMISE(*clean != '/' && !strstr(clean, "//") && strlen(clean) < PATH_MAX);
	PROMISE(!name_clean(clean, again, NULL) && !strcmp(clean, again));
	if (!name_kind(clean, &kind, &base, NULL) && kind == NAME_WHITEOUT)
		PROMISE(*base && strcmp(base, ".") && strcmp(base, "..") && !strchr(base, '/'));
}

static int read_data(struct tar *t, struct err *e)
{
	const void *p;
	size_t len;
	uint64_t off, total = 0;
	int r;
	while ((r = tar_data(t, &p, &len, &off, e)) > 0)
		total += len;
	PROMISE(total <= BYTES_MAX);
	return r;
}

static int read_entries(struct tar *t, struct err *e)
{
	struct tar_entry te;
	const char *key;
	const void *value;
	size_t len;
	int r;
	while ((r = tar_next(t, &te, e)) > 0) {
		PROMISE(te.name && (te.link || !te.hardlink) && te.perm <= 07777);
		name(te.name);
		while (tar_xattr(t, &key, &value, &len))
			PROMISE(key && (value || !len));
		if ((r = read_data(t, e)))
			return r;
	}
	return r ? r : tar_drain(t, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	struct digest plain = { 0 };
	struct tar *t = NULL;
	uint64_t left = BYTES_MAX;
	int fd = memfd_create("layer", MFD_CLOEXEC);
	PROMISE(fd >= 0 && write(fd, data, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET));
	PROMISE(!digest_begin(&plain, &e));
	struct tar_source src = { .fd = fd, .left = &left, .plain = &plain };
	int r = tar_open(&src, &t, &e);
	if (!r)
		r = read_entries(t, &e);
	PROMISE(!r || (r < 0 && e.code == -r && *e.text));
	tar_free(t);
	digest_free(&plain);
	close(fd);
	return 0;
}
