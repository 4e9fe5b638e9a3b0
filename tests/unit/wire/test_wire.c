/* runtime/wire: messages there and back, with descriptors; what is malformed is refused and leaks none. */
#include "tests/unit/wire/pair.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int open_fds(void)
{
	_cleanup_dir_ DIR *d = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(d))
		n++;
	return n;
}

static void there_and_back(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	size_t len;
	wire_begin(&o, W_START, 7);
	wire_str(&o, K_NAME, "nginx");
	wire_str(&o, K_TEXT, NULL);
	wire_u64(&o, K_GRACE, 30);
	wire_put(&o, K_RECORD, "a\0b", 3);
	wire_str(&o, K_ARG, "");
	assert_int_equal(wire_send(sv[0], &o), 0);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_int_equal(in.head.op, W_START);
	assert_int_equal(in.head.seq, 7);
	assert_string_equal(wire_get_str(&in, K_NAME), "nginx");
	assert_null(wire_get_str(&in, K_TEXT));
	assert_string_equal(wire_get_str(&in, K_ARG), "");
	assert_int_equal(wire_get_u64(&in, K_GRACE, 1), 30);
	assert_int_equal(wire_get_u64(&in, K_NAME, 1), 1);
	assert_int_equal(wire_get_u64(&in, K_PID, 5), 5);
	assert_memory_equal(wire_find(&in, K_RECORD, &len), "a\0b", 4);
	assert_int_equal(len, 3);
	assert_null(wire_get_str(&in, K_RECORD));
	wire_free(&o);
}

static void fields_keep_their_order(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	wire_begin(&o, W_EXEC, 1);
	for (int i = 0; i < 1000; i++) {
		char s[16];
		snprintf(s, sizeof s, "%d", i);
		wire_str(&o, K_ARG, s);
	}
	assert_int_equal(wire_send(sv[0], &o), 0);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	size_t pos = 0, len;
	uint16_t key;
	const char *data;
	int i = 0;
	while (wire_next(&in, &pos, &key, &data, &len))
		assert_int_equal(atoi(data), i++);
	assert_int_equal(i, 1000);
	wire_free(&o);
}

static void results(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	wire_begin(&o, W_REPLY, 9);
	wire_result(&o, -ENOENT);
	assert_int_equal(wire_send(sv[0], &o), 0);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_int_equal(in.head.result, -ENOENT);
	wire_free(&o);
}

static void the_largest_message_passes(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	_cleanup_free_ char *big = filled(WIRE_MAX, 'x');
	wire_begin(&o, W_RECORD, 1);
	wire_put(&o, K_RECORD, big, WIRE_MAX - sizeof(struct wire_head) - 16);
	assert_int_equal(wire_send(sv[0], &o), 0);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	wire_begin(&o, W_RECORD, 1);
	wire_put(&o, K_RECORD, big, WIRE_MAX);
	assert_int_equal(wire_send(sv[0], &o), -EMSGSIZE);
	wire_begin(&o, W_RECORD, 1);
	wire_put(&o, K_RECORD, big, WIRE_MAX + 1);
	assert_int_equal(wire_send(sv[0], &o), -ENOMEM);
	wire_free(&o);
}

static void nothing_blocks(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	int r = 0;
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), -EAGAIN);
	wire_begin(&o, W_HELLO, 1);
	for (int i = 0; !r && i < 1000000; i++)
		r = wire_send(sv[0], &o);
	assert_int_equal(r, -EAGAIN);
	close_fd(&sv[1]);
	r = wire_send(sv[0], &o); /* ECONNRESET once, as messages were not read: unix(7) */
	assert_true(r == -ECONNRESET || r == -EPIPE);
	assert_int_equal(wire_send(sv[0], &o), -EPIPE);
	wire_free(&o);
}

static void the_end_is_seen(void **state)
{
	struct wire_in in;
	close_fd(&sv[0]);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 0);
}

/* Closed without having read all, it resets the connection; what it had said itself is heard all the same. */
static void last_words_are_heard(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	wire_begin(&o, W_READY, 0);
	assert_int_equal(wire_send(sv[1], &o), 0);
	wire_begin(&o, W_DELETE, 3);
	assert_int_equal(wire_send(sv[0], &o), 0);
	wire_free(&o);
	close_fd(&sv[0]);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_int_equal(in.head.op, W_DELETE);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 0);
}

static void descriptors_travel(void **state)
{
	int p[2];
	char c;
	struct wire_out o = { 0 };
	struct wire_in in;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	wire_begin(&o, W_REPLY, 2);
	wire_fd(&o, p[0]);
	wire_fd(&o, p[1]);
	assert_int_equal(wire_send(sv[0], &o), 0);
	close(p[0]);
	close(p[1]);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_int_equal(in.nfds, 2);
	assert_true(fcntl(in.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(in.fds[1], "x", 1), 1);
	assert_int_equal(read(in.fds[0], &c, 1), 1);
	int taken = take_fd(&in.fds[0]);
	wire_in_close(&in);
	assert_int_equal(in.fds[1], -1);
	assert_int_equal(fcntl(taken, F_GETFD), FD_CLOEXEC);
	close(taken);
	wire_free(&o);
}

/* Sends bytes as they are, with nfds copies of a descriptor. */
static void send_raw(const void *data, size_t len, int nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (nfds) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		for (int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &sv[0], sizeof(int));
	}
	assert_int_equal(sendmsg(sv[0], &m, 0), (ssize_t)len);
}

struct raw {
	struct wire_head head;
	uint16_t key, zero;
	uint32_t len;
	char data[8];
};

static void refused(struct raw m, size_t size, int nfds)
{
	struct wire_in in;
	int before = open_fds();
	send_raw(&m, size, nfds);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), -EPROTO);
	assert_int_equal(open_fds(), before);
}

static void malformed_messages(void **state)
{
	const struct raw good = { .head = { .version = WIRE_VERSION, .op = W_HELLO, .len = 16 }, .key = K_NAME, .len = 3,
				  .data = "abc" };
	struct wire_in in;
	send_raw(&good, sizeof good, 0);
	assert_int_equal(wire_recv(sv[1], mem, sizeof mem, &in), 1);
	assert_string_equal(wire_get_str(&in, K_NAME), "abc");
	struct raw m = good;
	m.head.version++;
	refused(m, sizeof m, 1);
	m = good;
	m.head.len--;
	refused(m, sizeof m, 1);
	refused(good, sizeof good.head - 1, 1);
	m = good;
	m.len = 8; /* no room for the NUL behind it */
	refused(m, sizeof m, 0);
	m.len = UINT32_MAX;
	refused(m, sizeof m, 0);
	m = good;
	m.data[3] = 'd';
	refused(m, sizeof m, 0);
	m = good;
	m.head.len = 4; /* half a field */
	refused(m, sizeof m.head + 4, 0);
	refused(good, sizeof good, WIRE_FDS + 3);
}

static void a_cut_message_is_malformed(void **state)
{
	struct wire_out o = { 0 };
	struct wire_in in;
	char small[32];
	int before = open_fds();
	wire_begin(&o, W_REPLY, 1);
	wire_put(&o, K_TEXT, mem, 100);
	wire_fd(&o, sv[0]);
	assert_int_equal(wire_send(sv[0], &o), 0);
	assert_int_equal(wire_recv(sv[1], small, sizeof small, &in), -EPROTO);
	assert_int_equal(open_fds(), before);
	wire_free(&o);
}

static void listens_below_long_paths(void **state)
{
	char home[] = "/tmp/podfs-wire.XXXXXX";
	assert_non_null(mkdtemp(home));
	_cleanup_free_ char *name = filled(200, 'd');
	_cleanup_free_ char *path = NULL;
	struct stat st;
	assert_true(asprintf(&path, "%s/%s", home, name) > 0);
	assert_int_equal(mkdir_all(path, 0700), 0);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int listener = wire_listen(dir, "uid.sock");
	assert_true(listener >= 0);
	assert_int_equal(fstatat(dir, "uid.sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	_cleanup_close_ int client = wire_connect(dir, "uid.sock");
	assert_true(client >= 0);
	_cleanup_close_ int server = wire_accept(listener);
	assert_true(server >= 0);
	assert_int_equal(wire_accept(listener), -EAGAIN);
	_cleanup_close_ int again = wire_listen(dir, "uid.sock");
	assert_true(again >= 0);
	assert_int_equal(wire_connect(dir, "none.sock"), -ENOENT);
	assert_int_equal(remove_tree_at(AT_FDCWD, home), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(fields_keep_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(results, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_message_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(last_words_are_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_travel, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_message_is_malformed, setup, teardown),
		cmocka_unit_test(listens_below_long_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
