/* The log as a whole: every view against a model, over rotation, restarts of writer and reader, and open cursors. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_empty(void **state)
{
	struct rig g;
	rig_up(&g, 65536, 3);
	rig_check(&g);
	log_run_begin(&g.w);
	rig_check(&g);
	assert_int_equal(log_pump(&g.w, g.pipe[0], LOG_STDOUT, 100), -EAGAIN);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c), 0);
	char mem[10];
	assert_int_equal(log_cursor_read(c, 0, mem, sizeof mem), 0);
	assert_int_equal(log_cursor_read(c, 1000, mem, sizeof mem), 0);
	rig_puts(&g, LOG_STDOUT, "hello\n"); /* the cursor was there before the first segment */
	assert_int_equal(log_cursor_read(c, 0, mem, sizeof mem), 6);
	log_cursor_free(c);
	close(g.pipe[1]);
	assert_int_equal(log_pump(&g.w, g.pipe[0], LOG_STDOUT, 100), 0);
	g.pipe[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	rig_down(&g);
}

static void test_streams(void **state)
{
	struct rig g;
	rig_up(&g, 65536, 3);
	rig_puts(&g, LOG_STDOUT, "one\ntw");
	rig_puts(&g, LOG_STDERR, "ERR\nE");
	rig_puts(&g, LOG_STDOUT, "o\n");
	rig_put(&g, LOG_STDOUT, "\0\xff\n\n", 4);
	rig_puts(&g, LOG_STDERR, "");
	rig_check(&g);
	assert_int_equal(log_size(g.r, LOG_VIEW_STDOUT), 12);
	assert_int_equal(log_size(g.r, LOG_VIEW_STDERR), 5);
	assert_int_equal(log_size(g.r, LOG_TIMESTAMPS), 17 + 5 * LOG_STAMP_LEN);
	rig_down(&g);
}

static void test_previous(void **state)
{
	struct rig g;
	rig_up(&g, 65536, 3);
	rig_run(&g);
	rig_puts(&g, LOG_STDOUT, "first\n");
	rig_check(&g);
	assert_int_equal(log_size(g.r, LOG_PREVIOUS), 0);
	rig_run(&g);
	rig_check(&g);
	assert_int_equal(log_size(g.r, LOG_PREVIOUS), 6);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g.r, LOG_PREVIOUS, &c), 0);
	rig_puts(&g, LOG_STDERR, "second");
	rig_writer_again(&g);
	rig_run(&g);
	rig_check(&g);
	char mem[10];
	assert_int_equal(log_cursor_read(c, 0, mem, sizeof mem), 6); /* what it was when it opened */
	assert_memory_equal(mem, "first\n", 6);
	log_cursor_free(c);
	rig_run(&g); /* a run that wrote nothing */
	assert_int_equal(log_size(g.r, LOG_PREVIOUS), 0);
	rig_down(&g);
}

static void wait_ms(unsigned ms)
{
	for (uint64_t end = now_mono_ns() + ms * 1000000u; now_mono_ns() < end;)
		;
}

/* A line that two records share has the time of its first byte. */
static void test_line_time(void **state)
{
	struct rig g;
	rig_up(&g, 65536, 3);
	rig_puts(&g, LOG_STDOUT, "a");
	wait_ms(2);
	uint64_t later = now_real_ns();
	rig_puts(&g, LOG_STDOUT, "b\nc\n");
	assert_int_equal(g.w.nrec, 2);
	char text[LOG_STAMP_LEN + 1], mem[200];
	format_time(later, text);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g.r, LOG_TIMESTAMPS, &c), 0);
	assert_int_equal(log_cursor_read(c, 0, mem, sizeof mem), 5 + 2 * LOG_STAMP_LEN);
	assert_true(memcmp(mem, text, LOG_STAMP_LEN - 1) < 0);
	assert_memory_equal(mem + LOG_STAMP_LEN, "ab\n", 3);
	assert_true(memcmp(mem + LOG_STAMP_LEN + 3, text, LOG_STAMP_LEN - 1) >= 0);
	log_cursor_free(c);
	rig_down(&g);
}

/* A segment that ends inside a line gives the line's beginning to the next, also when the line's stream changes. */
static void test_tail_moves(void **state)
{
	struct rig g;
	rig_up(&g, 4096, 3);
	for (int i = 0; i < 300; i++) {
		char text[80];
		snprintf(text, sizeof text, "end of line\n%0*d", 1 + i % 60, i);
		rig_puts(&g, i % 7 ? LOG_STDOUT : LOG_STDERR, text);
		uint64_t oldest = log_oldest(g.r, LOG_ALL);
		assert_true(!oldest || g.all.data[oldest - 1] == '\n');
		if (i % 20 == 0)
			rig_check(&g);
	}
	rig_writer_again(&g);
	rig_check(&g);
	rig_down(&g);
}

/* What comes within a millisecond makes one record. */
static void test_merge(void **state)
{
	struct rig g;
	rig_up(&g, 1 << 20, 3);
	uint64_t begin = now_mono_ns();
	for (int i = 0; i < 200; i++)
		rig_puts(&g, LOG_STDOUT, "x\n");
	assert_true(g.w.nrec <= 1 + (now_mono_ns() - begin) / 1000000);
	rig_check(&g);
	rig_down(&g);
}

static size_t random_text(struct rig *g, char *mem, size_t max)
{
	size_t len = rig_random(g, rig_random(g, 4) ? 300 : (uint32_t)max);
	uint32_t width = 1 + rig_random(g, 120);
	for (size_t i = 0; i < len; i++)
		mem[i] = rig_random(g, width) ? (char)rig_random(g, 256) : '\n';
	return len;
}

static void random_run(uint32_t seed, uint64_t max, uint32_t files, bool copy)
{
	static char mem[60000];
	struct rig g;
	rig_up(&g, max, files);
	g.seed = seed;
	g.w.copy = g.copy = copy;
	for (int i = 0; i < 400; i++) {
		uint32_t what = rig_random(&g, 100);
		if (what < 90)
			rig_put(&g, what & 1 ? LOG_STDOUT : LOG_STDERR, mem, random_text(&g, mem, sizeof mem));
		else if (what < 92)
			rig_run(&g);
		else if (what < 94)
			rig_writer_again(&g);
		else if (what < 96)
			rig_reader_again(&g);
		else
			rig_check(&g);
	}
	rig_check(&g);
	rig_down(&g);
}

static void test_random(void **state)
{
	for (uint32_t seed = 1; seed <= 8; seed++)
		random_run(seed, seed & 1 ? 4096 : 100000, 1 + seed % 5, seed & 2);
}

static uint32_t count_files(const struct rig *g)
{
	uint32_t n = 0;
	_cleanup_dir_ DIR *d = fdopendir(rig_folder(g));
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	return n;
}

static void test_space(void **state)
{
	struct rig g;
	rig_up(&g, 8192, 3);
	for (int i = 0; i < 3000; i++) /* many small runs: the index must not outgrow the log */
		rig_puts(&g, i & 1 ? LOG_STDOUT : LOG_STDERR, "x\n");
	for (int i = 0; i < 200; i++)
		rig_puts(&g, LOG_STDOUT, "a line that is somewhat longer, so that segments fill up, and that is all it says\n");
	assert_int_equal(count_files(&g), 6);
	_cleanup_dir_ DIR *d = fdopendir(rig_folder(&g));
	for (struct dirent *de; (de = readdir(d));) {
		struct stat st;
		assert_int_equal(fstatat(g.dir, de->d_name, &st, 0), 0);
		if (S_ISREG(st.st_mode))
			assert_true(st.st_size <= 8192 + 8192 / 8 + 100);
	}
	rig_check(&g);
	rig_down(&g);
}

/* Segments end with a line when the writer writes lines. */
static void test_whole_lines(void **state)
{
	struct rig g;
	rig_up(&g, 4096, 2);
	for (int i = 0; i < 500; i++) {
		rig_puts(&g, LOG_STDOUT, "begin ");
		rig_puts(&g, LOG_STDOUT, "end\n");
		uint64_t oldest = log_oldest(g.r, LOG_ALL);
		assert_true(!oldest || g.all.data[oldest - 1] == '\n');
	}
	rig_down(&g);
}

static void put_lines(struct rig *g, unsigned *number, unsigned n)
{
	for (; n; n--) {
		char line[64];
		snprintf(line, sizeof line, "line %08u of this log\n", (*number)++);
		rig_puts(g, *number & 1 ? LOG_STDOUT : LOG_STDERR, line);
	}
}

/* Whoever follows sees each byte once, over rotation and a run's end. */
static void test_follow(void **state)
{
	struct rig g;
	struct log_cursor *c[LOG_PREVIOUS];
	struct buf got[LOG_PREVIOUS] = { 0 };
	unsigned number = 0;
	rig_up(&g, 8192, 3);
	for (enum log_view v = LOG_ALL; v < LOG_PREVIOUS; v++)
		assert_int_equal(log_cursor_open(g.r, v, &c[v]), 0);
	for (int round = 0; round < 60; round++) {
		put_lines(&g, &number, 1 + rig_random(&g, 200));
		if (round % 10 == 9)
			rig_run(&g);
		for (enum log_view v = LOG_ALL; v < LOG_PREVIOUS; v++)
			rig_read(c[v], got[v].len, 1 + rig_random(&g, 3000), &got[v]);
	}
	rig_hide_stamps(&g, &got[LOG_TIMESTAMPS]);
	for (enum log_view v = LOG_ALL; v < LOG_PREVIOUS; v++) {
		_cleanup_buf_ struct buf want = { 0 };
		rig_expect(&g, v, 0, &want);
		assert_int_equal(got[v].len, want.len);
		assert_memory_equal(got[v].data, want.data, want.len);
		log_cursor_free(c[v]);
		buf_free(&got[v]);
	}
	rig_down(&g);
}

/* What was there at the opening can be read though it has left the folder; at the end of the log it is let go. */
static void test_pinned(void **state)
{
	struct rig g;
	struct log_cursor *c;
	unsigned number = 0;
	rig_up(&g, 8192, 3);
	put_lines(&g, &number, 2000);
	uint64_t from = log_oldest(g.r, LOG_ALL), to = g.all.len;
	assert_true(from > 0);
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c), 0);
	put_lines(&g, &number, 3000);
	uint64_t oldest = log_oldest(g.r, LOG_ALL);
	assert_true(oldest > to);
	char mem[1000];
	for (uint64_t at = from; at < to; at += 700) { /* at its place */
		size_t n = to - at < 700 ? to - at : 700;
		assert_int_equal(log_cursor_read(c, at, mem, n), n);
		assert_memory_equal(mem, g.all.data + at, n);
	}
	/* from the beginning: all that is pinned, then what is there now */
	_cleanup_buf_ struct buf got = { 0 };
	rig_read(c, 0, 999, &got);
	size_t pinned = got.len - (g.all.len - oldest);
	assert_true(pinned >= to - from);
	assert_memory_equal(got.data, g.all.data + from, pinned);
	assert_memory_equal(got.data + pinned, g.all.data + oldest, g.all.len - oldest);
	/* it came to the end: now it is like any other */
	assert_true(log_cursor_read(c, from, mem, sizeof mem) > 0);
	assert_memory_equal(mem, g.all.data + oldest, sizeof mem);
	log_cursor_free(c);
	rig_down(&g);
}

/* A reader that began below the oldest byte reads on, also what is written later, and may read again. */
static void test_led_on(void **state)
{
	struct rig g;
	struct log_cursor *c;
	unsigned number = 0;
	rig_up(&g, 8192, 2);
	put_lines(&g, &number, 2000);
	uint64_t oldest = log_oldest(g.r, LOG_ALL);
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c), 0);
	_cleanup_buf_ struct buf got = { 0 };
	rig_read(c, 0, 4096, &got);
	char mem[100];
	assert_int_equal(log_cursor_read(c, 300, mem, sizeof mem), sizeof mem);
	assert_memory_equal(mem, got.data + 300, sizeof mem);
	put_lines(&g, &number, 300);
	assert_true(log_oldest(g.r, LOG_ALL) > oldest);
	rig_read(c, got.len, 4096, &got);
	assert_int_equal(got.len, g.all.len - oldest);
	assert_memory_equal(got.data, g.all.data + oldest, got.len);
	/* the true offset near the end, as tail(1) goes there */
	assert_int_equal(log_cursor_read(c, g.all.len - 50, mem, sizeof mem), 50);
	assert_memory_equal(mem, g.all.data + g.all.len - 50, 50);
	log_cursor_free(c);
	rig_down(&g);
}

static void test_file(void **state)
{
	struct rig g;
	struct log_cursor *c;
	unsigned number = 0;
	rig_up(&g, 8192, 3);
	put_lines(&g, &number, 3000);
	uint64_t oldest = log_oldest(g.r, LOG_ALL), off = 0;
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c), 0);
	_cleanup_buf_ struct buf got = { 0 };
	for (;;) {
		size_t len = 5000;
		int fd;
		off_t pos;
		assert_int_equal(log_cursor_file(c, off, &len, &fd, &pos), 0);
		if (!len)
			break;
		char mem[5000];
		assert_int_equal(pread(fd, mem, len, pos), len);
		buf_put(&got, mem, len);
		off += len;
	}
	assert_int_equal(got.len, g.all.len - oldest);
	assert_memory_equal(got.data, g.all.data + oldest, got.len);
	log_cursor_free(c);
	assert_int_equal(log_cursor_open(g.r, LOG_VIEW_STDERR, &c), 0);
	size_t len = 1;
	assert_int_equal(log_cursor_file(c, 0, &len, NULL, NULL), -EAGAIN);
	log_cursor_free(c);
	rig_down(&g);
}

static int open_files(void)
{
	int n = 0;
	_cleanup_dir_ DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	return n;
}

/* A log that nobody reads costs the server one descriptor. */
static void test_descriptors(void **state)
{
	struct rig g;
	unsigned number = 0;
	rig_up(&g, 8192, 3);
	put_lines(&g, &number, 2000);
	rig_reader_again(&g);
	int before = open_files();
	for (enum log_view v = LOG_ALL; v <= LOG_PREVIOUS; v++)
		assert_int_equal(log_oldest(g.r, v) < log_size(g.r, v), v != LOG_PREVIOUS);
	assert_true(log_mtime_ns(g.r) >= g.first_ns - 1000000000u);
	assert_int_equal(open_files(), before);
	struct log_cursor *c[2];
	assert_int_equal(log_cursor_open(g.r, LOG_ALL, &c[0]), 0);
	assert_int_equal(log_cursor_open(g.r, LOG_TIMESTAMPS, &c[1]), 0);
	assert_int_equal(open_files(), before + 6); /* both have the same */
	log_cursor_free(c[0]);
	log_cursor_free(c[1]);
	assert_int_equal(open_files(), before);
	rig_down(&g);
}

static void write_numbers(int fd, size_t lines)
{
	_cleanup_buf_ struct buf b = { 0 };
	for (size_t i = 0; i < lines; i++) {
		char line[101];
		snprintf(line, sizeof line, "%010zu %88s\n", i, "");
		buf_put(&b, line, 100);
		if (b.len > 60000) {
			write_all(fd, b.data, b.len);
			buf_reset(&b);
		}
	}
	write_all(fd, b.data, b.len);
	_exit(0);
}

/* 100 MB from a process of its own: nothing lost, nothing twice, the newest segments kept. */
static void test_volume(void **state)
{
	enum { LINES = 1000000 };
	struct rig g;
	rig_up(&g, 10 << 20, 3);
	pid_t pid = fork();
	if (!pid) {
		fcntl(g.pipe[1], F_SETFL, 0);
		write_numbers(g.pipe[1], LINES);
	}
	close(g.pipe[1]);
	g.pipe[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fcntl(g.pipe[0], F_SETFL, 0); /* splice itself doesn't wait */
	for (ssize_t n = 1; n;) {
		n = log_pump(&g.w, g.pipe[0], LOG_STDOUT, 1 << 20);
		assert_true(n >= 0 || n == -EAGAIN);
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(log_size(g.r, LOG_ALL), LINES * 100);
	assert_int_equal(log_size(g.r, LOG_TIMESTAMPS), LINES * (100 + LOG_STAMP_LEN));
	uint64_t oldest = log_oldest(g.r, LOG_ALL);
	assert_true(LINES * 100 - oldest >= 2 * (10 << 20));
	assert_int_equal(oldest % 100, 0);
	struct log_cursor *c;
	assert_int_equal(log_cursor_open(g.r, LOG_VIEW_STDOUT, &c), 0);
	_cleanup_buf_ struct buf got = { 0 };
	rig_read(c, 0, 131072, &got);
	assert_int_equal(got.len, LINES * 100 - oldest);
	for (size_t i = 0; i < got.len / 100; i++)
		assert_int_equal(strtoul(got.data + i * 100, NULL, 10), oldest / 100 + i);
	log_cursor_free(c);
	rig_down(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),    cmocka_unit_test(test_streams), cmocka_unit_test(test_previous),
		cmocka_unit_test(test_line_time), cmocka_unit_test(test_merge),  cmocka_unit_test(test_random),
		cmocka_unit_test(test_space),    cmocka_unit_test(test_whole_lines), cmocka_unit_test(test_tail_moves), cmocka_unit_test(test_follow),
		cmocka_unit_test(test_pinned),   cmocka_unit_test(test_led_on),  cmocka_unit_test(test_file),
		cmocka_unit_test(test_descriptors), cmocka_unit_test(test_volume),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
