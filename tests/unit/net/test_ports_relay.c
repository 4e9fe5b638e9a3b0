/* Relays of TCP: bytes between a client of the host and the pod, with real sockets in namespaces of their own. */
#include "tests/unit/net/ports_relay_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define BIG (100u << 20)

static int serve_one(const char *at)
{
	_cleanup_close_ int l = serve(SOCK_STREAM, at);
	int fd = accept(l, NULL, NULL);
	NEED(fd >= 0);
	return fd;
}

static size_t read_full(int fd, char *p, size_t len)
{
	size_t n = 0;
	ssize_t k = 1;
	while (n < len && (k = read(fd, p + n, len - n)) > 0)
		n += (size_t)k;
	return k < 0 ? SIZE_MAX : n;
}

/* A stream whose every byte depends on where it stands. */
static void fill(char *p, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = (at + i) * 0x9e3779b97f4a7c15u;
		memcpy(p + i, &v, 8);
	}
}

static void send_stream(int fd, size_t len)
{
	static char b[1 << 16];
	for (size_t at = 0; at < len; at += sizeof b) {
		fill(b, sizeof b, at);
		NEED(!write_all(fd, b, sizeof b));
	}
}

static void check_stream(int fd, size_t len)
{
	static char got[1 << 16], want[1 << 16];
	for (size_t at = 0; at < len; at += sizeof got) {
		NEED(read_full(fd, got, sizeof got) == sizeof got);
		fill(want, sizeof want, at);
		NEED(!memcmp(got, want, sizeof got));
	}
	NEED(read(fd, got, 1) == 0);
}

/* Answers when all was said: so the client's end has to arrive alone. */
static int echo_after_end(void *arg)
{
	char b[64];
	const struct addresses *a = arg;
	_cleanup_close_ int fd = serve_one(a->pod);
	size_t n = read_full(fd, b, sizeof b);
	NEED(n == 5 && !write_all(fd, b, n));
	return 0;
}

static int ask_and_end(void *arg)
{
	char b[64];
	const struct addresses *a = arg;
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, a->host, PORT);
	NEED(fd >= 0 && !write_all(fd, "hello", 5) && !shutdown(fd, SHUT_WR));
	NEED(read_full(fd, b, sizeof b) == 5 && !memcmp(b, "hello", 5));
	return 0;
}

static void half_close(void **state)
{
	const struct addresses *both[] = { &v4, &v6 };
	EACH(both, i) {
		hold(SOCK_STREAM, both[i]->hold, both[i]->pod);
		pid_t pod = rig_start(IN_POD, echo_after_end, (void *)both[i]);
		assert_int_equal(rig_run(ON_HOST, ask_and_end, (void *)both[i]), 0);
		assert_int_equal(rig_wait(pod), 0);
		relay_stop(&relay);
	}
}

static int half_closed_server(void *arg)
{
	char b[64];
	_cleanup_close_ int fd = serve_one(POD4);
	NEED(!shutdown(fd, SHUT_WR));
	NEED(read_full(fd, b, sizeof b) == 5);
	return 0;
}

static int talk_after_end(void *arg)
{
	char b[64];
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0 && read(fd, b, 1) == 0);
	NEED(!write_all(fd, "hello", 5));
	return 0;
}

static void half_close_by_the_pod(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, half_closed_server, NULL);
	assert_int_equal(rig_run(ON_HOST, talk_after_end, NULL), 0);
	assert_int_equal(rig_wait(pod), 0);
}

static int send_big(void *arg)
{
	_cleanup_close_ int fd = serve_one(POD4);
	send_stream(fd, BIG);
	NEED(!shutdown(fd, SHUT_WR));
	check_stream(fd, BIG);
	return 0;
}

static int take_big(void *arg)
{
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0);
	check_stream(fd, BIG);
	send_stream(fd, BIG);
	return 0;
}

static void hundred_megabytes_each_way(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, send_big, NULL);
	uint64_t from = now_mono_ns();
	assert_int_equal(rig_run(ON_HOST, take_big, NULL), 0);
	assert_int_equal(rig_wait(pod), 0);
	print_message("200 MiB: %.0f MB/s\n", 2.0 * BIG / (double)(now_mono_ns() - from) * 1e3);
}

/* Echoes on every connection until each has ended, and `arg` of them were there. */
static int echo_many(void *arg)
{
	static struct pollfd p[2048];
	char b[4096];
	size_t n = 1;
	int left = *(int *)arg;
	p[0] = (struct pollfd){ .fd = serve(SOCK_STREAM, POD4), .events = POLLIN };
	while (left) {
		NEED(poll(p, n, -1) > 0);
		for (size_t i = n; i-- > 1;) {
			ssize_t k = p[i].revents ? read(p[i].fd, b, sizeof b) : -1;
			if (k > 0)
				NEED(!write_all(p[i].fd, b, (size_t)k));
			if (!p[i].revents || k > 0)
				continue;
			close(p[i].fd);
			p[i] = p[--n];
			left--;
		}
		if (p[0].revents) {
			p[n++] = (struct pollfd){ .fd = accept(p[0].fd, NULL, NULL), .events = POLLIN };
			NEED(p[n - 1].fd >= 0);
		}
	}
	return 0;
}

static int ask_many(void *arg)
{
	static int fd[2048];
	int n = *(int *)arg;
	for (int i = 0; i < n; i++)
		NEED((fd[i] = rig_connect(SOCK_STREAM, i % 2 ? HOST4 : "127.0.0.1", PORT)) >= 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < n; i++)
			NEED(!write_all(fd[i], &i, sizeof i));
		for (int i = 0, got; i < n; i++)
			NEED(read_full(fd[i], (char *)&got, sizeof got) == sizeof got && got == i);
	}
	return 0;
}

static void thousand_connections(void **state)
{
	int n = 1000;
	unsigned files = rig_open_files();
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, echo_many, &n);
	uint64_t from = now_mono_ns();
	assert_int_equal(rig_run(ON_HOST, ask_many, &n), 0);
	assert_int_equal(rig_wait(pod), 0);
	print_message("1000 connections: %.0f ms\n", (double)(now_mono_ns() - from) / 1e6);
	relay_stop(&relay);
	assert_in_range(rig_open_files(), 0, files + 2 * RELAY_PIPES + 4);
}

static int read_slowly(void *arg)
{
	static char b[1 << 20];
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0);
	rig_ready();
	rig_wait_go();
	size_t n = 0;
	ssize_t k;
	while ((k = read(fd, b, sizeof b)) > 0)
		n += (size_t)k;
	NEED(!k && n == BIG);
	return 0;
}

static int send_only(void *arg)
{
	_cleanup_close_ int fd = serve_one(POD4);
	send_stream(fd, BIG);
	return 0;
}

/* Who reads nothing holds up its own writer only, and costs neither time nor memory. */
static void slow_reader(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, send_only, NULL);
	pid_t slow = rig_start(ON_HOST, read_slowly, NULL);
	rig_spin(300);
	unsigned rounds = rig_rounds;
	rig_spin(300);
	assert_in_range(rig_rounds - rounds, 0, 10);
	rig_go();
	assert_int_equal(rig_wait(slow), 0);
	assert_int_equal(rig_wait(pod), 0);
}

static int take_nothing(void *arg)
{
	int small = 4096;
	_cleanup_close_ int fd = serve_one(POD4);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	NEED(!shutdown(fd, SHUT_WR));
	rig_wait_go();
	check_stream(fd, *(size_t *)arg);
	return 0;
}

static int say_and_leave(void *arg)
{
	static char b[1 << 16];
	size_t len = *(size_t *)arg, at = 0;
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0 && read(fd, b, 1) == 0);
	for (; at < len; at += sizeof b) {
		fill(b, sizeof b, at);
		NEED(!write_all(fd, b, sizeof b));
	}
	return 0;
}

/* Both directions are closed while bytes still wait for a pod that does not read: nothing turns round and round, nothing is lost. */
static void closed_with_bytes_waiting(void **state)
{
	for (size_t len = 1u << 18; len <= 1u << 21; len *= 2) {
		hold(SOCK_STREAM, v4.hold, POD4);
		pid_t pod = rig_start(IN_POD, take_nothing, &len);
		assert_int_equal(rig_run(ON_HOST, say_and_leave, &len), 0);
		rig_spin(50);
		unsigned rounds = rig_rounds;
		rig_spin(100);
		assert_in_range(rig_rounds - rounds, 0, 5);
		rig_go();
		assert_int_equal(rig_wait(pod), 0);
		rig_spin(20);
		assert_int_equal(all.nconns, 0);
		relay_stop(&relay);
	}
}

/* --- resets --- */

static int reset_at_once(void *arg)
{
	char b[8];
	int fd = serve_one(POD4);
	NEED(read(fd, b, 5) == 5);
	NEED(!write_all(fd, "last", 4));
	rig_reset(fd);
	return 0;
}

/* What was said before the reset arrives, then the reset. */
static int expect_last_and_reset(void *arg)
{
	char b[8];
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0 && !write_all(fd, "hello", 5));
	ssize_t n = read_full(fd, b, 4) == 4 ? read(fd, b, 1) : -1;
	NEED(n < 0 && errno == ECONNRESET);
	return 0;
}

static int expect_reset(void *arg)
{
	char b[8];
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0);
	NEED(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static int serve_a_reset(void *arg)
{
	char b[8];
	_cleanup_close_ int fd = serve_one(POD4);
	NEED(read_full(fd, b, 5) == 5);
	NEED(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static int say_and_reset(void *arg)
{
	int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0 && !write_all(fd, "hello", 5));
	rig_reset(fd);
	return 0;
}

static void resets_are_passed_on(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, reset_at_once, NULL);
	assert_int_equal(rig_run(ON_HOST, expect_last_and_reset, NULL), 0);
	assert_int_equal(rig_wait(pod), 0);
	pod = rig_start(IN_POD, serve_a_reset, NULL);
	assert_int_equal(rig_run(ON_HOST, say_and_reset, NULL), 0);
	assert_int_equal(rig_wait(pod), 0);
	rig_spin(20);
	assert_int_equal(all.nconns, 0);
}

static void nobody_listens(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	assert_int_equal(rig_run(ON_HOST, expect_reset, NULL), 0);
	assert_int_equal(all.nconns, 0);
}

static int stay(void *arg)
{
	char b[8];
	_cleanup_close_ int fd = serve_one(POD4);
	NEED(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static int wait_for_reset(void *arg)
{
	char b[8];
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, v4.host, PORT);
	NEED(fd >= 0);
	rig_ready();
	NEED(read(fd, b, 1) < 0 && errno == ECONNRESET);
	return 0;
}

static void stop_resets_both(void **state)
{
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, stay, NULL);
	pid_t client = rig_start(ON_HOST, wait_for_reset, NULL);
	rig_spin(50);
	assert_int_equal(all.nconns, 1);
	relay_stop(&relay);
	assert_int_equal(rig_wait(client), 0);
	assert_int_equal(rig_wait(pod), 0);
}

/* --- bounds --- */

static int ask_over_the_limit(void *arg)
{
	int fd[6], got, refused = 0;
	for (int i = 0; i < 6; i++)
		NEED((fd[i] = rig_connect(SOCK_STREAM, v4.host, PORT)) >= 0);
	for (int i = 0; i < 6; i++) {
		bool written = !write_all(fd[i], &i, sizeof i);
		if (!written || read(fd[i], &got, sizeof got) < 0)
			refused++;
		else
			NEED(got == i);
	}
	NEED(refused == *(int *)arg);
	return 0;
}

static void over_the_limit_is_reset(void **state)
{
	int served = 4, refused = 2;
	all.max_conns = 4;
	hold(SOCK_STREAM, v4.hold, POD4);
	pid_t pod = rig_start(IN_POD, echo_many, &served);
	assert_int_equal(rig_run(ON_HOST, ask_over_the_limit, &refused), 0);
	assert_int_equal(rig_wait(pod), 0);
}

static void without_descriptors_it_is_reset(void **state)
{
	struct rlimit files, few;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	hold(SOCK_STREAM, v4.hold, POD4);
	few = (struct rlimit){ rig_open_files() + 8, files.rlim_max };
	int filler[64], n = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < 64 && (filler[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	assert_in_range(n, 1, 63);
	pid_t pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_NOFILE, &files);
		_exit(expect_reset(NULL));
	}
	int status = 0;
	unsigned rounds = rig_rounds;
	rig_spin(200);
	assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
	assert_int_equal(status, 0);
	assert_in_range(rig_rounds - rounds, 1, 10);
	while (n)
		close(filler[--n]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

int main(void)
{
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	const struct CMUnitTest tests[] = {
		TEST(half_close),
		TEST(half_close_by_the_pod),
		TEST(hundred_megabytes_each_way),
		TEST(thousand_connections),
		TEST(slow_reader),
		TEST(closed_with_bytes_waiting),
		TEST(resets_are_passed_on),
		TEST(nobody_listens),
		TEST(stop_resets_both),
		TEST(over_the_limit_is_reset),
		TEST(without_descriptors_it_is_reset),
	};
	return cmocka_run_group_tests(tests, rig_enter, rig_leave);
}
