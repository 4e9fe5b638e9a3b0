/* runtime/wire/queue: what a socket does not take comes later, in order, with its descriptors, and is bounded. */
#include "runtime/wire/queue.h"
#include "tests/unit/wire/pair.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SIZE 20000
#define MAX (100 * SIZE)

static int send_number(struct wire_queue *q, uint64_t n, int fd, size_t max)
{
	static const char filler[SIZE];
	struct wire_out o = { 0 };
	wire_begin(&o, W_EVENT, 0);
	wire_u64(&o, K_CODE, n);
	wire_put(&o, K_TEXT, filler, sizeof filler);
	if (fd >= 0)
		wire_fd(&o, fd);
	int r = wire_queue_send(q, sv[0], &o, max);
	wire_free(&o);
	return r;
}

/* Its descriptor is a duplicate of fd; -1: it brings none. */
static void expect_number(uint64_t n, int fd)
{
	struct wire_in in;
	struct stat a, b;
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_int_equal(wire_get_u64(&in, K_CODE, 0), n);
	assert_int_equal(in.nfds, fd >= 0);
	if (fd >= 0) {
		assert_int_equal(fstat(fd, &a), 0);
		assert_int_equal(fstat(in.fds[0], &b), 0);
		assert_int_equal(a.st_ino, b.st_ino);
	}
	wire_in_close(&in);
}

/* How many were sent before the socket was full and `waiting` of them wait. */
static uint64_t fill(struct wire_queue *q, int fd, size_t waiting)
{
	uint64_t n = 0;
	for (size_t wait = 0; wait < waiting; n++) {
		size_t before = q->bytes;
		assert_int_equal(send_number(q, n, fd, MAX), 0);
		wait += q->bytes > before;
	}
	return n;
}

static void comes_later_in_order(void **state)
{
	struct wire_queue q = { 0 };
	uint64_t sent = fill(&q, -1, 5), got = 0;
	assert_int_equal(wire_queue_flush(&q, sv[0]), -EAGAIN);
	while (got < sent) {
		expect_number(got++, -1);
		int r = wire_queue_flush(&q, sv[0]);
		assert_true(r == 0 || r == -EAGAIN);
		assert_int_equal(r == 0, !q.first);
	}
	assert_int_equal(q.bytes, 0);
	assert_int_equal(send_number(&q, sent, -1, MAX), 0);
	assert_null(q.first);
	expect_number(sent, -1);
}

static void descriptors_are_kept(void **state)
{
	struct wire_queue q = { 0 };
	int fd = open("/", O_PATH | O_CLOEXEC);
	int same = open("/", O_PATH | O_CLOEXEC);
	uint64_t sent = fill(&q, fd, 3);
	close_fd(&fd);
	for (uint64_t n = 0; n < sent; n++) {
		expect_number(n, same);
		wire_queue_flush(&q, sv[0]);
	}
	assert_null(q.first);
	close_fd(&same);
}

static void is_bounded(void **state)
{
	struct wire_queue q = { 0 };
	fill(&q, -1, 2);
	size_t before = q.bytes;
	assert_int_equal(send_number(&q, 0, -1, before + SIZE / 2), -EAGAIN);
	assert_int_equal(q.bytes, before);
	wire_queue_clear(&q);
	assert_null(q.first);
	assert_int_equal(q.bytes, 0);
}

/* Such a message would stay the first for ever. */
static void what_can_not_be_sent_is_not_kept(void **state)
{
	struct wire_queue q = { 0 };
	struct wire_out o = { 0 };
	fill(&q, -1, 1);
	size_t before = q.bytes;
	wire_begin(&o, W_EVENT, 0);
	wire_put(&o, K_TEXT, mem, WIRE_MAX);
	assert_int_equal(wire_queue_send(&q, sv[0], &o, 10 * MAX), -EMSGSIZE);
	wire_free(&o);
	wire_begin(&o, W_EVENT, 0);
	wire_put(&o, K_TEXT, mem, WIRE_MAX + 1);
	assert_int_equal(wire_queue_send(&q, sv[0], &o, 10 * MAX), -ENOMEM);
	wire_free(&o);
	assert_int_equal(q.bytes, before);
	wire_queue_clear(&q);
}

static void without_descriptors_left(void **state)
{
	struct wire_queue q = { 0 };
	struct rlimit was, none;
	int fd = open("/", O_PATH | O_CLOEXEC);
	fill(&q, -1, 1);
	size_t before = q.bytes;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ (rlim_t)fd, was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int r = send_number(&q, 0, fd, MAX);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(r == -EMFILE || r == -EINVAL); /* EINVAL: 3 is beyond the limit */
	assert_int_equal(q.bytes, before);
	wire_queue_clear(&q);
	close_fd(&fd);
}

static void the_end_is_told(void **state)
{
	struct wire_queue q = { 0 };
	fill(&q, -1, 1);
	close_fd(&sv[1]);
	int r = wire_queue_flush(&q, sv[0]);
	assert_true(r && r != -EAGAIN);
	wire_queue_clear(&q);
	assert_int_equal(send_number(&q, 0, -1, MAX), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_later_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(what_can_not_be_sent_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(without_descriptors_left, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_told, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
