/* The ledger: servers that are killed at any instant lose no byte of a pipe and write none twice.
 *
 * Each server is a process that carries out numbered requests and answers them over a pipe; what it had not answered when it was killed
 * is sent again to the next one.
 */
#include "tests/unit/unit.h"

#include "fs/ledger.h"
#include "runtime/base/util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define KILLS 300
#define PIECE 3000
#define WRITE_SIZE 100000

struct answer {
	uint64_t request;
	uint32_t len;
	unsigned char data[PIECE];
};

struct rig {
	int memfd, hand;
	int in[2], out[2], answers[2];
};

static void open_rig(struct rig *r)
{
	int fds[2];
	char name[32];
	r->memfd = memfd_create("ledger", MFD_CLOEXEC);
	assert_int_equal(pipe(fds) | pipe(r->in) | pipe(r->out) | pipe2(r->answers, O_DIRECT), 0);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fds[0]);
	r->hand = open(name, O_RDWR | O_NONBLOCK);
	assert_true(r->memfd >= 0 && r->hand >= 0);
	close(fds[0]);
	close(fds[1]);
}

static void close_rig(struct rig *r)
{
	int fds[] = { r->memfd, r->hand, r->in[0], r->in[1], r->out[0], r->out[1], r->answers[0], r->answers[1] };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	poll(&p, 1, -1);
}

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

/* Bytes without end. */
static pid_t feed(int fd)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	unsigned char block[4096];
	for (uint64_t at = 0;; at += sizeof block) {
		for (size_t i = 0; i < sizeof block; i++)
			block[i] = byte_at(at + i);
		if (write_all(fd, block, sizeof block))
			_exit(0);
	}
}

static pid_t start(struct rig *r, uint64_t request, void (*serve)(struct rig *, struct ledger *, uint64_t, bool))
{
	pid_t pid = fork();
	if (pid)
		return pid;
	struct ledger *l = ledger_open(r->memfd, r->hand);
	for (bool again = true; l; again = false, request += 2)
		serve(r, l, request, again);
	_exit(1);
}

/* At an instant within some milliseconds, which the number of answers that are awaited makes different each time. */
static void kill_it(struct rig *r, pid_t pid, unsigned round, void (*on_answer)(const struct answer *))
{
	struct answer a;
	struct pollfd p = { .fd = r->answers[0], .events = POLLIN };
	for (unsigned i = 0; i < round % 7 + 1 && poll(&p, 1, 10000) > 0; i++)
		if (read(r->answers[0], &a, sizeof a) > 0)
			on_answer(&a);
	for (volatile unsigned spin = 0; spin < round * 97 % 20000; spin++)
		;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (poll(&p, 1, 0) > 0 && read(r->answers[0], &a, sizeof a) > 0)
		on_answer(&a);
}

/* --- reading --- */

static uint64_t last, got;

static void check_answer(const struct answer *a)
{
	assert_int_equal(a->request, last + 2);
	last = a->request;
	for (uint32_t i = 0; i < a->len; i++)
		assert_int_equal(a->data[i], byte_at(got + i));
	got += a->len;
}

static void serve_read(struct rig *r, struct ledger *l, uint64_t request, bool again)
{
	static struct answer a;
	const void *mem;
	ssize_t n = again ? (ssize_t)ledger_held(l, request, &mem) : 0;
	while (!n || n == -EAGAIN) {
		n = ledger_take(l, request, r->in[0], PIECE, &mem);
		if (n == -EAGAIN)
			wait_for(r->in[0], POLLIN);
	}
	if (n < 0)
		_exit(2);
	a.request = request;
	a.len = (uint32_t)n;
	memcpy(a.data, mem, (size_t)n);
	if (write(r->answers[1], &a, offsetof(struct answer, data) + (size_t)n) < 0)
		_exit(3);
	ledger_taken(l);
}

static void nothing_read_is_lost(void **state)
{
	struct rig r;
	open_rig(&r);
	nonblocking(r.in[0]);
	last = got = 0;
	pid_t feeder = feed(r.in[1]);
	for (unsigned i = 0; i < KILLS; i++)
		kill_it(&r, start(&r, last + 2, serve_read), i, check_answer);
	assert_true(last > KILLS);
	kill(feeder, SIGKILL);
	waitpid(feeder, NULL, 0);
	close_rig(&r);
}

/* --- writing --- */

static void serve_write(struct rig *r, struct ledger *l, uint64_t request, bool again)
{
	static char data[WRITE_SIZE];
	uint64_t base = (request / 2 - 1) * WRITE_SIZE;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)byte_at(base + i);
	size_t done = again ? ledger_given(l, request) : 0;
	while (done < sizeof data) {
		ssize_t n = ledger_give(l, request, done, r->out[1], data + done, sizeof data - done);
		if (n == -EAGAIN)
			wait_for(r->out[1], POLLOUT);
		else if (n < 0)
			_exit(2);
		else
			done += (size_t)n;
	}
	struct answer a = { .request = request };
	if (write(r->answers[1], &a, offsetof(struct answer, data)) < 0)
		_exit(3);
	ledger_gave(l, request);
}

static void note_answer(const struct answer *a)
{
	assert_int_equal(a->request, last + 2);
	last = a->request;
}

/* Ends with 0 at the end of the pipe if every byte came once. */
static pid_t check_sink(struct rig *r)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	close(r->out[1]);
	unsigned char block[5000];
	ssize_t n;
	for (uint64_t at = 0; (n = read(r->out[0], block, sizeof block)) > 0; at += (uint64_t)n)
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != byte_at(at + (uint64_t)i))
				_exit(4);
	_exit(0);
}

static void nothing_is_written_twice(void **state)
{
	struct rig r;
	open_rig(&r);
	nonblocking(r.out[1]);
	last = 0;
	pid_t sink = check_sink(&r);
	for (unsigned i = 0; i < KILLS; i++)
		kill_it(&r, start(&r, last + 2, serve_write), i, note_answer);
	int status;
	close(r.out[1]);
	r.out[1] = dup(r.out[0]);
	assert_int_equal(waitpid(sink, &status, 0), sink);
	assert_int_equal(status, 0);
	close_rig(&r);
}

/* --- the rest --- */

static unsigned woken;
static void count(void *arg, uint64_t kh)
{
	woken += kh == 7 || kh == 9;
}

static void pollers_and_documents(void **state)
{
	struct rig r;
	open_rig(&r);
	struct ledger *l = ledger_open(r.memfd, r.hand);
	ledger_poller(l, 7);
	ledger_poller(l, 9);
	ledger_poller(l, 7);
	ledger_writing(l, 20, true);
	ledger_writing(l, 22, true);
	ledger_writing(l, 20, false);
	ledger_close(l);
	l = ledger_open(r.memfd, r.hand);
	ledger_pollers(l, count, NULL);
	assert_int_equal(woken, 2);
	assert_false(ledger_was_writing(l, 20));
	assert_true(ledger_was_writing(l, 22));
	ledger_close(l);
	close_rig(&r);
}

static void who_waits(void **state)
{
	struct rig r;
	const struct waiting *w;
	char message[WAITING_MAX + 1] = "first";
	open_rig(&r);
	struct ledger *l = ledger_open(r.memfd, r.hand);
	assert_int_equal(ledger_waiting(l, &w), 0);
	for (uint64_t n = 2; n <= 2000; n += 2)
		ledger_waits(l, n, message, sizeof "first");
	for (uint64_t n = 2; n <= 2000; n += 2)
		if (n != 40 && n != 1002)
			ledger_waited(l, n);
	ledger_waits(l, 2002, message, sizeof message); /* no such request can be */
	ledger_waited(l, 9000);
	ledger_close(l);
	l = ledger_open(r.memfd, r.hand);
	assert_int_equal(ledger_waiting(l, &w), 2);
	assert_int_equal(w[0].request, 1002);
	assert_int_equal(w[1].request, 40);
	assert_string_equal(w[1].message, "first");
	ledger_waits(l, 40, "again", sizeof "again");
	ledger_close(l);
	l = ledger_open(r.memfd, r.hand);
	assert_int_equal(ledger_waiting(l, &w), 1);
	assert_string_equal(w[0].message, "again");
	ledger_close(l);
	close_rig(&r);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_read_is_lost),
		cmocka_unit_test(nothing_is_written_twice),
		cmocka_unit_test(pollers_and_documents),
		cmocka_unit_test(who_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
