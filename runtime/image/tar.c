/* Entries of a tar archive, through libarchive: see tar.h. */
#include "runtime/image/tar.h"

#include "runtime/base/util.h"
#include "runtime/image/inflate.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A warning is about characters: names are then there as raw bytes. ARCHIVE_RETRY, which is
 * said of damaged headers, lies between the two. */
#define GOOD(r) ((r) == ARCHIVE_OK || (r) == ARCHIVE_WARN)

struct tar {
	struct tar_source src;
	struct source in;
	ssize_t first;            /* bytes of in.chunk that were read to know what it is, and not yet taken; -1: none */
	struct inflate *gzip;     /* or NULL, and then: */
	struct archive *inflate;  /* bytes of src.fd in, inflated bytes out ("raw" format) */
	struct archive *entries;  /* inflated bytes in, entries out */
	struct archive_entry *entry;
	bool empty;               /* no byte at all: the raw reader has no entry to read from */
	uint64_t plain;           /* inflated bytes so far */
	struct err err;           /* why a reader's callback failed: libarchive keeps only its own words */
};

static ssize_t read_source(void *arg, const void **out)
{
	struct tar *t = arg;
	ssize_t n = t->first;
	t->first = -1;
	if (n >= 0)
		*out = t->in.chunk;
	else
		n = source_next(&t->in, out);
	if (n < 0)
		t->err = t->in.err;
	return n;
}

static la_ssize_t read_file(struct archive *a, void *arg, const void **out)
{
	struct tar *t = arg;
	ssize_t n = read_source(t, out);
	if (n < 0)
		archive_set_error(a, t->err.code, "read error");
	return n;
}

/* libarchive's words for what went wrong while inflating, unless a callback knew better. */
static void inflate_failed(struct tar *t)
{
	if (t->err.code)
		return;
	const char *why = archive_error_string(t->inflate);
	/* confine.h's limit. Those who make images use windows of 8 MiB at most. */
	if (why && strstr(why, "not enough memory"))
		err_set(&t->err, EFBIG, "compressed with a window of more than 32 MiB");
	else
		err_set(&t->err, EINVAL, "damaged compressed data: %s", why ? why : "unknown error");
}

static ssize_t next_of_archive(struct tar *t, const void **out)
{
	size_t len = 0;
	la_int64_t off;
	int r;
	if (t->empty)
		return 0;
	do {
		r = archive_read_data_block(t->inflate, out, &len, &off);
	} while (r == ARCHIVE_OK && !len);
	if (r == ARCHIVE_EOF)
		return 0;
	if (!GOOD(r)) {
		inflate_failed(t);
		return -1;
	}
	return (ssize_t)len;
}

bool tar_take(uint64_t *left, uint64_t n)
{
	uint64_t now = __atomic_load_n(left, __ATOMIC_RELAXED);
	do {
		if (n > now)
			return false;
	} while (!__atomic_compare_exchange_n(left, &now, now - n, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

/* The next inflated bytes, counted and hashed; 0 at the end, -1 with t->err set. */
static la_ssize_t next_inflated(struct tar *t, const void **out)
{
	ssize_t n = t->gzip ? inflate_next(t->gzip, out, &t->err) : next_of_archive(t, out);
	if (n <= 0)
		return n;
	if (!tar_take(t->src.left, (uint64_t)n)) {
		err_set(&t->err, EFBIG, "it unpacks to more than image_max allows");
		return -1;
	}
	t->plain += (uint64_t)n;
	if (t->src.plain)
		digest_add(t->src.plain, *out, (size_t)n);
	return n;
}

static la_ssize_t read_inflated(struct archive *a, void *arg, const void **out)
{
	struct tar *t = arg;
	la_ssize_t n = next_inflated(t, out);
	if (n < 0)
		archive_set_error(a, t->err.code, "%s", t->err.text);
	return n;
}

static int open_archive(struct tar *t)
{
	t->inflate = archive_read_new();
	if (!t->inflate)
		return err_set(&t->err, ENOMEM, "not enough memory");
	archive_read_support_filter_gzip(t->inflate);
	archive_read_support_filter_zstd(t->inflate);
	archive_read_support_format_raw(t->inflate);
	archive_read_support_format_empty(t->inflate);
	if (!GOOD(archive_read_open(t->inflate, t, NULL, read_file, NULL))) {
		inflate_failed(t);
		return -t->err.code;
	}
	/* It would undo one compression after the other, and nobody would count what goes from one to the next. The last is none. */
	if (archive_filter_count(t->inflate) > 2)
		return err_set(&t->err, EINVAL, "compressed more than once");
	/* The raw format is one entry that holds everything; an empty file holds none. */
	struct archive_entry *all;
	int r = archive_read_next_header(t->inflate, &all);
	t->empty = r == ARCHIVE_EOF;
	if (!GOOD(r) && !t->empty) {
		inflate_failed(t);
		return -t->err.code;
	}
	return 0;
}

static int open_inflate(struct tar *t)
{
	const void *start;
	t->first = source_next(&t->in, &start);
	if (t->first < 0) {
		t->err = t->in.err;
		return -t->err.code;
	}
	if (t->first && inflate_knows(start, (size_t)t->first))
		return inflate_open(read_source, t, &t->gzip, &t->err);
	return open_archive(t);
}

static int entries_failed(struct tar *t)
{
	if (!t->err.code) {
		const char *why = archive_error_string(t->entries);
		err_set(&t->err, EINVAL, "not a tar archive, or a damaged one: %s", why ? why : "unknown error");
	}
	return -t->err.code;
}

static int open_entries(struct tar *t)
{
	t->entries = archive_read_new();
	if (!t->entries)
		return err_set(&t->err, ENOMEM, "not enough memory");
	archive_read_support_format_tar(t->entries);
	archive_read_support_format_empty(t->entries);
	if (!GOOD(archive_read_open(t->entries, t, NULL, read_inflated, NULL)))
		return entries_failed(t);
	return 0;
}

static int report(struct tar *t, struct err *e)
{
	if (e)
		*e = t->err;
	return -t->err.code;
}

int tar_open(const struct tar_source *src, struct tar **out, struct err *e)
{
	struct tar *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, ENOMEM, "not enough memory");
	t->src = *src;
	t->in = (struct source){ .fd = src->fd, .growth = src->growth, .digest = src->blob, .count = src->count };
	int r = source_open(&t->in, &t->err);
	if (!r)
		r = open_inflate(t);
	if (!r)
		r = open_entries(t);
	if (r) {
		report(t, e);
		tar_free(t);
		return r;
	}
	*out = t;
	return 0;
}

static void fill(struct archive_entry *in, struct tar_entry *out)
{
	const char *hard = archive_entry_hardlink(in);
	*out = (struct tar_entry){
		.name = archive_entry_pathname(in),
		.link = hard ? hard : archive_entry_symlink(in),
		.hardlink = hard != NULL,
		.type = archive_entry_filetype(in),
		.perm = archive_entry_perm(in) & 07777,
		.uid = archive_entry_uid(in),
		.gid = archive_entry_gid(in),
		.size = archive_entry_size(in) > 0 ? (uint64_t)archive_entry_size(in) : 0,
		.mtime = { .tv_sec = archive_entry_mtime(in), .tv_nsec = archive_entry_mtime_nsec(in) },
		.dev = makedev((unsigned)archive_entry_rdevmajor(in), (unsigned)archive_entry_rdevminor(in)),
	};
}

int tar_next(struct tar *t, struct tar_entry *out, struct err *e)
{
	int r = archive_read_next_header(t->entries, &t->entry);
	if (r == ARCHIVE_EOF)
		return 0;
	/* EILSEQ is about characters; any other warning is about a header that it left out. */
	if (!GOOD(r) || (r == ARCHIVE_WARN && archive_errno(t->entries) != EILSEQ)) {
		entries_failed(t);
		return report(t, e);
	}
	fill(t->entry, out);
	archive_entry_xattr_reset(t->entry);
	if (!out->name)
		return err_set(e, EINVAL, "an entry without a name");
	return 1;
}

int tar_data(struct tar *t, const void **data, size_t *len, uint64_t *off, struct err *e)
{
	la_int64_t at = 0;
	int r = archive_read_data_block(t->entries, data, len, &at);
	if (r == ARCHIVE_EOF)
		return 0;
	if (!GOOD(r) || at < 0) {
		entries_failed(t);
		return report(t, e);
	}
	*off = (uint64_t)at;
	return 1;
}

bool tar_xattr(struct tar *t, const char **name, const void **value, size_t *len)
{
	return archive_entry_xattr_next(t->entry, name, value, len) == ARCHIVE_OK;
}

int tar_drain(struct tar *t, struct err *e)
{
	const void *p;
	ssize_t n;
	while ((n = next_inflated(t, &p)) > 0)
		;
	if (!n)
		do {
			n = read_source(t, &p);
		} while (n > 0);
	return n < 0 ? report(t, e) : 0;
}

void tar_sizes(const struct tar *t, uint64_t *blob, uint64_t *plain)
{
	*blob = t->in.size;
	*plain = t->plain;
}

void tar_free(struct tar *t)
{
	if (!t)
		return;
	archive_read_free(t->entries);
	archive_read_free(t->inflate);
	inflate_free(t->gzip);
	source_close(&t->in);
	free(t);
}
