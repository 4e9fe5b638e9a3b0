/* What a crash may leave, cut at every byte: the log opens, keeps all bytes that are there, and goes on. */
#include "rig.h"

#include "runtime/log/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct rig g;
static uint64_t newest; /* start of the newest segment, which is cut */

/* Some of both streams, two segments, a second run. */
static void fill(void)
{
	rig_up(&g, 4096, 3);
	g.seed = 7;
	for (int i = 0; !g.w.head.start || g.w.last.end < 600; i++) {
		char mem[200];
		size_t len = 1 + rig_random(&g, sizeof mem);
		for (size_t k = 0; k < len; k++)
			mem[k] = rig_random(&g, 40) ? 'x' : '\n';
		rig_put(&g, i % 3 ? LOG_STDOUT : LOG_STDERR, mem, len);
		if (i == 20)
			rig_run(&g);
	}
	newest = g.w.head.start;
	assert_true(g.w.nrec > 2);
}

static void load(bool index, struct buf *out)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, newest, index);
	assert_int_equal(read_file_at(g.dir, name, 1 << 20, out), 0);
}

static void store(bool index, const struct buf *b, size_t len)
{
	char name[LOG_NAME_LEN + 1];
	log_name(name, newest, index);
	_cleanup_close_ int fd = openat(g.dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, b->data, len), 0);
}

/* What the reader shows before the writer has mended: nothing that was never written. */
static void read_unmended(const struct buf *whole)
{
	rig_reader_again(&g);
	for (enum log_view v = LOG_ALL; v <= LOG_PREVIOUS; v++) {
		struct log_cursor *c;
		_cleanup_buf_ struct buf got = { 0 };
		assert_int_equal(log_cursor_open(g.r, v, &c), 0);
		rig_read(c, 0, 1000, &got);
		assert_true(v != LOG_ALL || got.len <= whole->len);
		assert_true(v != LOG_ALL || !got.len || !memcmp(got.data, whole->data, got.len));
		log_cursor_free(c);
	}
}

/* The model says what streams the mended part has: here, what the index says now. */
static void learn_streams(void)
{
	uint32_t from = 0;
	for (uint32_t i = 0; i < g.w.nrec; i++) {
		struct log_rec rec;
		off_t pos = (off_t)(sizeof(struct log_head) + i * sizeof rec);
		assert_int_equal(pread(g.w.ifd, &rec, sizeof rec, pos), sizeof rec);
		for (; from < rec.end; from++)
			g.streams.data[newest + from] = (char)rec.stream;
	}
}

static void mend_and_go_on(size_t kept)
{
	assert_int_equal(log_writer_open(&g.w, rig_folder(&g), g.max, g.files), 0);
	g.mended = true;
	assert_int_equal(g.w.broken, 0);
	assert_int_equal(g.w.head.start + g.w.last.end, kept);
	g.all.len = g.streams.len = kept;
	learn_streams();
	rig_check(&g);
	rig_puts(&g, LOG_STDERR, "and on\n");
	rig_check(&g);
}

static void cut(bool index)
{
	_cleanup_buf_ struct buf data = { 0 }, idx = { 0 }, whole = { 0 }, streams = { 0 };
	fill();
	load(false, &data);
	load(true, &idx);
	log_writer_close(&g.w);
	buf_put(&whole, g.all.data, g.all.len);
	buf_put(&streams, g.streams.data, g.streams.len);
	size_t n = index ? idx.len : data.len;
	for (size_t i = 0; i <= n; i++) {
		store(false, &data, index ? data.len : i);
		store(true, &idx, index ? i : idx.len);
		buf_reset(&g.all);
		buf_reset(&g.streams);
		buf_put(&g.all, whole.data, whole.len);
		buf_put(&g.streams, streams.data, streams.len);
		read_unmended(&whole);
		mend_and_go_on(index ? whole.len : newest + i);
		if (i == n)
			break;
		log_writer_close(&g.w);
	}
	rig_down(&g);
}

static void test_cut_index(void **state)
{
	cut(true);
}

static void test_cut_data(void **state)
{
	cut(false);
}

/* A crash while a segment is begun leaves an index alone, one while it is dropped likewise. */
static void test_lone_index(void **state)
{
	fill();
	char name[LOG_NAME_LEN + 1];
	log_writer_close(&g.w);
	log_name(name, g.all.len, true);
	_cleanup_close_ int fd = openat(g.dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	mend_and_go_on(g.all.len);
	assert_int_equal(faccessat(g.dir, name, F_OK, 0), -1);
	rig_down(&g);
}

/* A log whose only segment has lost its index is all stdout. */
static void test_lost_index(void **state)
{
	rig_up(&g, 4096, 3);
	rig_puts(&g, LOG_STDERR, "one\ntwo");
	log_writer_close(&g.w);
	newest = 0;
	char name[LOG_NAME_LEN + 1];
	log_name(name, 0, true);
	assert_int_equal(unlinkat(g.dir, name, 0), 0);
	mend_and_go_on(7);
	assert_int_equal(log_size(g.r, LOG_VIEW_STDOUT), 7);
	rig_down(&g);
}

/* A segment that can't be read is stepped over; what comes later has offsets behind it. */
static void test_step_over(void **state)
{
	fill();
	char name[LOG_NAME_LEN + 1], mem[100];
	uint64_t end = g.all.len;
	log_writer_close(&g.w);
	log_name(name, newest, true);
	assert_int_equal(unlinkat(g.dir, name, 0), 0);
	assert_int_equal(mkdirat(g.dir, name, 0700), 0);
	assert_int_equal(log_writer_open(&g.w, rig_folder(&g), g.max, g.files), 0);
	assert_int_not_equal(g.w.broken, 0);
	assert_int_equal(write_all(g.pipe[1], "new\n", 4), 0);
	assert_int_equal(log_pump(&g.w, g.pipe[0], LOG_STDOUT, 100), 4);
	assert_int_equal(g.w.broken, 0);
	assert_int_equal(log_size(g.r, LOG_ALL), end + 4);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c), 0);
	assert_int_equal(log_cursor_read(c, end, mem, sizeof mem), 4);
	assert_memory_equal(mem, "new\n", 4);
	_cleanup_buf_ struct buf got = { 0 };
	rig_read(c, 0, 64, &got); /* the hole is passed */
	assert_int_equal(got.len, newest + 4);
	assert_memory_equal(got.data + newest, "new\n", 4);
	log_cursor_free(c);
	unlinkat(g.dir, name, AT_REMOVEDIR);
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_index),  cmocka_unit_test(test_cut_data),
		cmocka_unit_test(test_lone_index), cmocka_unit_test(test_lost_index),
		cmocka_unit_test(test_step_over),
	};
	return cmocka_run_group_tests_name("log after a crash", tests, NULL, NULL);
}
