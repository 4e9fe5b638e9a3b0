/* podfs-pod: exec sessions, their streams, terminals and ends. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

enum { PLAIN, TTY, MERGE };

static int run_argv(struct rig *r, uint64_t serial, int how, char *const *argv)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_EXEC);
	wire_u64(&o, K_SESSION, serial);
	wire_str(&o, K_NAME, "c1");
	for (; *argv; argv++)
		wire_str(&o, K_ARG, *argv);
	if (how == TTY) {
		wire_u64(&o, K_TTY, 1);
		wire_u64(&o, K_ROWS, 33);
		wire_u64(&o, K_COLS, 111);
	} else if (how == MERGE) {
		wire_u64(&o, K_MERGE, 1);
	}
	return rig_call(r, &o);
}

static int run(struct rig *r, uint64_t serial, int how, const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	return run_argv(r, serial, how, argv);
}

static int request(struct rig *r, enum wire_op op, uint64_t serial)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, op);
	wire_u64(&o, K_SESSION, serial);
	return rig_call(r, &o);
}

/* Reads until text comes, or its end (NULL). */
static bool read_until(int fd, struct buf *b, const char *text)
{
	for (uint64_t end = now_mono_ns() + PATIENCE_MS * 1000000ull; now_mono_ns() < end;) {
		char mem[4096];
		ssize_t n = read(fd, mem, sizeof mem);
		if (n > 0)
			buf_put(b, mem, (size_t)n);
		if (text && strstr(buf_str(b), text))
			return true;
		if (n == 0)
			return !text;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (n < 0 && (errno != EAGAIN || poll(&p, 1, PATIENCE_MS) != 1))
			return false;
	}
	return false;
}

static void expect_out(int fd, const char *want)
{
	_cleanup_buf_ struct buf b = { 0 };
	assert_true(read_until(fd, &b, NULL));
	assert_string_equal(buf_str(&b), want);
}

static void expect_code(struct rig *r, uint64_t serial, int code)
{
	struct seen_session *s = rig_session(r, serial);
	assert_true(RIG_UNTIL(r, s->state == WIRE_SESSION_ENDED));
	assert_int_equal(s->code, code);
}

static void close_all(struct rig *r)
{
	for (int i = 0; i < 3; i++)
		close_fd(&r->fds[i]);
}

static void begin(struct rig *r)
{
	rig_open(r, true);
	assert_int_equal(rig_run(r, "c1", "echo main; exec sleep 1000"), 0);
}

static void test_streams(void **state)
{
	struct rig r;
	begin(&r);
	assert_int_equal(run(&r, 1, PLAIN, "echo out; echo err >&2; hostname; exit 9"), 0);
	assert_int_equal(r.nfds, 3);
	expect_out(r.fds[1], "out\nweb\n");
	expect_out(r.fds[2], "err\n");
	expect_code(&r, 1, 9);
	close_all(&r);
	assert_int_equal(request(&r, W_EXEC_END, 1), 0);
	assert_int_equal(request(&r, W_EXEC_END, 1), -ENOENT);

	assert_int_equal(run(&r, 2, MERGE, "echo out; echo err >&2"), 0);
	assert_int_equal(r.nfds, 2);
	expect_out(r.fds[1], "out\nerr\n");
	expect_code(&r, 2, 0);
	close_all(&r);
	rig_close(&r);
}

static void test_stdin(void **state)
{
	struct rig r;
	char bytes[1000];
	begin(&r);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)i;
	assert_int_equal(run(&r, 1, PLAIN, "wc -c; read x && echo more"), 0);
	assert_int_equal(write(r.fds[0], bytes, sizeof bytes), sizeof bytes);
	assert_true(fcntl(r.fds[0], F_GETFL) & O_NONBLOCK);
	close_fd(&r.fds[0]);
	/* The copy that podfs-pod keeps holds the end back until the server says so. */
	struct pollfd p = { .fd = r.fds[1], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 100), 0);
	int out = r.fds[1];
	assert_int_equal(request(&r, W_EXEC_CLOSE, 1), 0);
	_cleanup_buf_ struct buf b = { 0 };
	assert_true(read_until(out, &b, NULL));
	assert_string_equal(buf_str(&b), "1000\n");
	expect_code(&r, 1, 1);
	close(out);
	rig_close(&r);
}

static void test_codes(void **state)
{
	struct rig r;
	begin(&r);
	char *nosuch[] = { (char *)"nosuch", NULL }, *noexec[] = { (char *)"noexec", NULL };
	assert_int_equal(run_argv(&r, 1, PLAIN, nosuch), -ENOENT);
	assert_string_equal(r.error, "command nosuch: not found in PATH");
	expect_code(&r, 1, 127);
	assert_int_equal(run_argv(&r, 2, PLAIN, noexec), -EACCES);
	expect_code(&r, 2, 126);
	assert_int_equal(run(&r, 3, PLAIN, "kill -9 $$"), 0);
	expect_code(&r, 3, 137);
	close_all(&r);
	assert_int_equal(run(&r, 4, PLAIN, "exit 255"), 0);
	expect_code(&r, 4, 255);
	close_all(&r);
	assert_int_equal(run(&r, 4, PLAIN, "exit 255"), -EEXIST);
	rig_close(&r);
}

/* The session sees the container: root, processes, cgroup, environment, user. */
static void inside_on(int cgversion)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open_on(&r, true, cgversion);
	rig_add(&r, "c1");
	char *argv[] = { (char *)"sleep", (char *)"1000", NULL };
	rig_plan_argv(&r, &o, "c1", argv);
	wire_str(&o, K_USER, "app");
	wire_str(&o, K_CWD, "/tmp");
	wire_str(&o, K_ENV, "COLOUR=red");
	wire_str(&o, K_ENV, "COLOUR=blue");
	assert_int_equal(rig_call(&r, &o), 0);
	assert_int_equal(run(&r, 1, PLAIN, "id -un; pwd; echo $COLOUR; cat /proc/1/cmdline | tr '\\0' ' '; echo; "
					   "grep -c . /proc/self/cgroup > /dev/null && cat /proc/self/cgroup"), 0);
	_cleanup_buf_ struct buf b = { 0 };
	assert_true(read_until(r.fds[1], &b, NULL));
	assert_memory_equal(buf_str(&b), "app\n/tmp\nblue\nsleep 1000 \n", 26);
	assert_null(strstr(buf_str(&b), "podfs-test")); /* its own cgroup namespace */
	expect_code(&r, 1, 0);
	close_all(&r);
	if (r.cgroups) {
		char procs[300];
		assert_int_equal(run(&r, 2, PLAIN, "sleep 1000"), 0);
		rig_cgdir(&r, "pids", "c1", procs, sizeof procs - 20);
		strcat(procs, "/cgroup.procs");
		buf_reset(&b);
		assert_int_equal(read_file_at(AT_FDCWD, procs, 4096, &b), 0);
		assert_true(strchr(buf_str(&b), '\n') != strrchr(buf_str(&b), '\n')); /* two processes */
		close_all(&r);
		assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), 0);
		assert_int_equal(run(&r, 3, PLAIN, "true"), -EBUSY);
		assert_int_equal(rig_simple(&r, W_UNPAUSE, "c1"), 0);
	}
	rig_close(&r);
}

static void test_inside(void **state)
{
	inside_on(1);
	inside_on(2);
}

static void test_tty(void **state)
{
	struct rig r;
	begin(&r);
	_cleanup_buf_ struct buf b = { 0 };
	assert_int_equal(run(&r, 1, TTY, "tty; stty size; echo $TERM; read x; stty size; sleep 1000"), 0);
	assert_int_equal(r.nfds, 1);
	assert_true(read_until(r.fds[0], &b, "xterm"));
	assert_non_null(strstr(buf_str(&b), "/dev/pts/0"));
	assert_non_null(strstr(buf_str(&b), "33 111"));
	struct winsize size = { .ws_row = 44, .ws_col = 55 };
	assert_int_equal(ioctl(r.fds[0], TIOCSWINSZ, &size), 0);
	assert_int_equal(write(r.fds[0], "\n", 1), 1);
	assert_true(read_until(r.fds[0], &b, "44 55"));
	assert_int_equal(write(r.fds[0], "\003", 1), 1); /* ^C */
	expect_code(&r, 1, 130);
	close_all(&r);
	rig_close(&r);
}

static void test_end(void **state)
{
	struct rig r;
	begin(&r);
	assert_int_equal(run(&r, 1, PLAIN, "trap 'echo hup; exit 0' HUP; echo up; while :; do sleep 0.05; done"), 0);
	_cleanup_buf_ struct buf b = { 0 };
	assert_true(read_until(r.fds[1], &b, "up"));
	int out = r.fds[1];
	assert_int_equal(request(&r, W_EXEC_END, 1), 0);
	assert_true(read_until(out, &b, NULL));
	assert_non_null(strstr(buf_str(&b), "hup"));
	close(out);

	/* Who ignores SIGHUP is killed a second later, with what it started. */
	assert_int_equal(run(&r, 2, PLAIN, "trap '' HUP; sleep 1000 & echo up; while :; do sleep 0.05; done"), 0);
	buf_reset(&b);
	assert_true(read_until(r.fds[1], &b, "up"));
	out = r.fds[1];
	assert_int_equal(request(&r, W_EXEC_END, 2), 0);
	assert_true(read_until(out, &b, NULL));
	close(out);
	rig_close(&r);
}

static void test_ends_with_container(void **state)
{
	struct rig r;
	begin(&r);
	assert_int_equal(run(&r, 1, PLAIN, "exec sleep 1000"), 0);
	assert_int_equal(rig_simple(&r, W_KILL, "c1"), 0);
	expect_code(&r, 1, 137);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	close_all(&r);
	assert_int_equal(run(&r, 2, PLAIN, "true"), -ESRCH);
	rig_close(&r);
}

/* The server dies; its ends of the streams go on in the hands of the next. */
static void test_outlives_the_server(void **state)
{
	struct rig r;
	begin(&r);
	assert_int_equal(run(&r, 1, PLAIN, "echo before; read x; echo got $x; exit 5"), 0);
	close_all(&r);
	close_fd(&r.sock);
	rig_reconnect(&r);
	struct seen_session *s = rig_session(&r, 1);
	assert_int_equal(s->state, WIRE_SESSION_RUNNING);
	assert_int_equal(s->nfds, 3);
	assert_int_equal(write(s->fds[0], "word\n", 5), 5);
	expect_out(s->fds[1], "before\ngot word\n");
	expect_code(&r, 1, 5);
	rig_close(&r);
}

/* What a naive exec would fall for: the terminal multiplexer of the image is a pipe. */
static void test_no_secrets(void **state)
{
	struct rig r;
	begin(&r);
	assert_int_equal(run(&r, 1, PLAIN, "ls /proc/self/fd; cat /proc/self/status | grep -E '^(Cap|NoNew)'; "
					   "mknod /tmp/disk b 254 0 && dd if=/tmp/disk of=/dev/null count=1"), 0);
	_cleanup_buf_ struct buf b = { 0 };
	assert_true(read_until(r.fds[1], &b, NULL));
	assert_memory_equal(buf_str(&b), "0\n1\n2\n3\n", 8); /* 3 is ls's own */
	assert_non_null(strstr(buf_str(&b), "CapInh:\t0000000000000000"));
	assert_non_null(strstr(buf_str(&b), "CapBnd:\t00000000a80425fb"));
	assert_non_null(strstr(buf_str(&b), "CapEff:\t00000000a80425fb"));
	assert_non_null(strstr(buf_str(&b), "CapAmb:\t0000000000000000"));
	assert_non_null(strstr(buf_str(&b), "NoNewPrivs:\t1"));
	buf_reset(&b);
	assert_true(read_until(r.fds[2], &b, NULL));
	assert_non_null(strstr(buf_str(&b), "Permission denied"));
	close_all(&r);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams), cmocka_unit_test(test_stdin), cmocka_unit_test(test_codes),
		cmocka_unit_test(test_inside), cmocka_unit_test(test_tty), cmocka_unit_test(test_end),
		cmocka_unit_test(test_ends_with_container), cmocka_unit_test(test_outlives_the_server),
		cmocka_unit_test(test_no_secrets),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
