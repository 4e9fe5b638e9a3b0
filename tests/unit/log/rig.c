/* The log's test rig: see rig.h. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int rig_folder(const struct rig *g)
{
	int fd = openat(g->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

void rig_up(struct rig *g, uint64_t max, uint32_t files)
{
	*g = (struct rig){ .max = max, .files = files, .seed = 1, .first_ns = now_real_ns() };
	strcpy(g->path, "/tmp/podfs-test-log-XXXXXX");
	assert_non_null(mkdtemp(g->path));
	g->dir = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(g->dir >= 0);
	assert_int_equal(pipe2(g->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	fcntl(g->pipe[0], F_SETPIPE_SZ, 1 << 20);
	assert_int_equal(log_writer_open(&g->w, rig_folder(g), max, files), 0);
	assert_int_equal(log_reader_open(rig_folder(g), &g->r), 0);
}

void rig_down(struct rig *g)
{
	log_reader_free(g->r);
	log_writer_close(&g->w);
	close(g->pipe[0]);
	close(g->pipe[1]);
	close(g->dir);
	assert_int_equal(log_remove(AT_FDCWD, g->path), 0);
	buf_free(&g->all);
	buf_free(&g->streams);
}

void rig_writer_again(struct rig *g)
{
	log_writer_close(&g->w);
	assert_int_equal(log_writer_open(&g->w, rig_folder(g), g->max, g->files), 0);
	g->w.copy = g->copy;
}

void rig_reader_again(struct rig *g)
{
	log_reader_free(g->r);
	assert_int_equal(log_reader_open(rig_folder(g), &g->r), 0);
}

uint32_t rig_random(struct rig *g, uint32_t below)
{
	g->seed = g->seed * 1664525u + 1013904223u; /* Numerical Recipes */
	return (uint32_t)((uint64_t)(g->seed >> 8) * below >> 24);
}

void rig_put(struct rig *g, enum log_stream s, const void *mem, size_t len)
{
	uint64_t before = g->w.head.start + g->w.last.end, dropped = g->w.dropped;
	assert_int_equal(write_all(g->pipe[1], mem, len), 0);
	size_t taken = 0;
	for (ssize_t n; (n = log_pump(&g->w, g->pipe[0], s, 200000)) != -EAGAIN; taken += (size_t)n)
		assert_true(n > 0);
	assert_int_equal(taken, len);
	size_t kept = g->w.head.start + g->w.last.end - before;
	assert_int_equal(kept + (g->w.dropped - dropped), len);
	buf_put(&g->all, mem, kept);
	_cleanup_free_ char *marks = malloc(kept + 1);
	memset(marks, (int)s, kept);
	buf_put(&g->streams, marks, kept);
}

void rig_puts(struct rig *g, enum log_stream s, const char *text)
{
	rig_put(g, s, text, strlen(text));
}

void rig_run(struct rig *g)
{
	log_run_begin(&g->w);
	g->prev = g->run;
	g->run = g->all.len;
}

static const char dots[LOG_STAMP_LEN + 1] = "...............................";

uint64_t rig_expect(const struct rig *g, enum log_view v, uint64_t from, struct buf *out)
{
	uint64_t size = 0;
	for (uint64_t i = v == LOG_PREVIOUS ? g->prev : 0; i < (v == LOG_PREVIOUS ? g->run : g->all.len); i++) {
		if (v == LOG_VIEW_STDOUT && g->streams.data[i] != LOG_STDOUT)
			continue;
		if (v == LOG_VIEW_STDERR && g->streams.data[i] != LOG_STDERR)
			continue;
		bool stamp = v == LOG_TIMESTAMPS && (!i || g->all.data[i - 1] == '\n');
		size += stamp ? LOG_STAMP_LEN + 1 : 1;
		if (i >= from && stamp)
			buf_put(out, dots, LOG_STAMP_LEN);
		if (i >= from)
			buf_putc(out, g->all.data[i]);
	}
	return size;
}

void rig_read(struct log_cursor *c, uint64_t off, size_t piece, struct buf *out)
{
	_cleanup_free_ char *mem = malloc(piece);
	for (;;) {
		ssize_t n = log_cursor_read(c, off, mem, piece);
		assert_true(n >= 0 && (size_t)n <= piece);
		if (!n)
			return;
		buf_put(out, mem, (size_t)n);
		off += (uint64_t)n;
	}
}

/* Checks a stamp and that times don't run back, and blanks it. */
static void hide(const struct rig *g, char *p, char last[LOG_STAMP_LEN])
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddddddZ ";
	for (size_t i = 0; i < LOG_STAMP_LEN; i++)
		assert_true(form[i] == 'd' ? p[i] >= '0' && p[i] <= '9' : p[i] == form[i]);
	assert_true(g->mended || memcmp(last, p, LOG_STAMP_LEN) <= 0);
	memcpy(last, p, LOG_STAMP_LEN);
	memcpy(p, dots, LOG_STAMP_LEN);
}

/* text begins with a line. */
void rig_hide_stamps(const struct rig *g, struct buf *text)
{
	char last[LOG_STAMP_LEN + 1];
	format_time(g->first_ns - 1000000000u, last);
	last[LOG_STAMP_LEN - 1] = ' ';
	for (size_t i = 0; i < text->len;) {
		assert_true(text->len - i >= LOG_STAMP_LEN);
		hide(g, text->data + i, last);
		char *nl = memchr(text->data + i, '\n', text->len - i);
		i = nl ? (size_t)(nl - text->data) + 1 : text->len;
	}
}

static void check_view(struct rig *g, enum log_view v, uint64_t oldest)
{
	_cleanup_buf_ struct buf want = { 0 }, got = { 0 };
	uint64_t size = rig_expect(g, v, oldest, &want);
	assert_int_equal(log_size(g->r, v), size);
	assert_int_equal(log_oldest(g->r, v), size - want.len);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g->r, v, &c), 0);
	rig_read(c, 0, 1 + rig_random(g, 70000), &got);
	bool begins = v == LOG_TIMESTAMPS && (!oldest || g->all.data[oldest - 1] == '\n');
	if (begins)
		rig_hide_stamps(g, &got);
	assert_int_equal(got.len, want.len);
	if (want.len && (v != LOG_TIMESTAMPS || begins))
		assert_memory_equal(got.data, want.data, want.len);
	log_cursor_free(c);
	/* pieces out of the middle, at their true offsets, are the same bytes */
	assert_int_equal(log_cursor_open(g->r, v, &c), 0);
	_cleanup_buf_ struct buf once = { 0 };
	rig_read(c, size - want.len, want.len + 1, &once);
	for (int i = 0; i < 20 && want.len; i++) {
		char mem[300];
		size_t at = rig_random(g, (uint32_t)want.len), len = 1 + rig_random(g, sizeof mem);
		ssize_t n = log_cursor_read(c, size - want.len + at, mem, len);
		assert_int_equal(n, len < want.len - at ? len : want.len - at);
		assert_memory_equal(mem, once.data + at, (size_t)n);
	}
	log_cursor_free(c);
}

void rig_check(struct rig *g)
{
	uint64_t oldest = log_oldest(g->r, LOG_ALL);
	assert_true(oldest <= g->all.len);
	for (enum log_view v = LOG_ALL; v <= LOG_PREVIOUS; v++)
		check_view(g, v, oldest);
}
