/* Published ports: what is held, who is in the way, and what a change leaves alone. Real sockets in namespaces of their own; the
 * nftables table is a list. */
#include "runtime/net/ports.h"

#include "runtime/net/nft.h"
#include "tests/unit/net/ports_rig.h"

#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define WEB "11111111-0000-4000-8000-000000000001"
#define DB "22222222-0000-4000-8000-000000000002"

static struct net net;
static struct attachment pods[2] = { { .uid = WEB, .pod = "web" }, { .uid = DB, .pod = "db" } };
static struct net_addr addr[2];
static struct nft_port table[2048];
static size_t ntable;
static int nft_fails;
static char event[512];

/* --- stand-ins --- */

struct attachment *attachment_find(struct net *n, const char *uid)
{
	for (int i = 0; i < 2; i++)
		if (!strcmp(pods[i].uid, uid))
			return &pods[i];
	return NULL;
}

void server_event(struct net *n, enum net_op op, const char *uid, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(event, sizeof event, fmt, ap);
	va_end(ap);
}

int nft_set_ports(struct nft *t, const char *uid, const struct nft_port *p, size_t n, struct err *e)
{
	if (nft_fails)
		return err_set(e, nft_fails, "no table today");
	assert_in_range(n, 0, 2048);
	if (strcmp(uid, WEB))
		return 0;
	if (n)
		memcpy(table, p, n * sizeof *p);
	ntable = n;
	return 0;
}

static bool in_table(uint8_t proto, uint16_t port, uint16_t pod_port, sa_family_t family)
{
	for (size_t i = 0; i < ntable; i++)
		if (table[i].proto == proto && table[i].port == port && table[i].pod_port == pod_port &&
		    table[i].at.family == family && !memcmp(&table[i].pod, &addr[family == AF_INET6], sizeof *addr))
			return true;
	return false;
}

/* --- the rig --- */

static void set_addr(struct net_addr *a, const char *text, uint8_t prefix)
{
	union net_sockaddr s = rig_addr(text, 0);
	*a = (struct net_addr){ .family = s.any.sa_family, .prefix = prefix };
	if (a->family == AF_INET)
		memcpy(a->bytes, &s.in.sin_addr, 4);
	else
		memcpy(a->bytes, &s.in6.sin6_addr, 16);
}

static int fixture(void **state)
{
	net = (struct net){ 0 };
	assert_int_equal(loop_init(&net.loop), 0);
	rig_loop = &net.loop;
	set_addr(&addr[0], POD4, 24);
	set_addr(&addr[1], POD6, 64);
	*event = 0;
	nft_fails = 0;
	ntable = 0;
	return 0;
}

static unsigned files_before;

static int unfixture(void **state)
{
	ports_drop(&net, WEB);
	ports_drop(&net, DB);
	ports_close(&net);
	loop_free(&net.loop);
	rig_loop = NULL;
	rig_go();
	if (!files_before)
		files_before = rig_open_files();
	assert_int_equal(rig_open_files(), files_before);
	return 0;
}

static struct err err;

/* lines: with a blank between. */
static int set(const char *uid, const char *lines)
{
	_cleanup_free_ char *copy = strdup(lines);
	const char *v[64];
	size_t n = 0;
	for (char *s = strtok(copy, " "); s; s = strtok(NULL, " "))
		v[n++] = s;
	err = (struct err){ 0 };
	int r = ports_publish(&net, uid, addr, v, n, &err);
	assert_int_equal(-r, err.code);
	return r;
}

static void refused(const char *uid, const char *lines, int code, const char *words)
{
	int r = set(uid, lines);
	if (r != -code || !strstr(err.text, words))
		fail_msg("%s: %s: %s", lines, strerror(-r), err.text);
}

struct holder {
	int type;
	const char *at;
	uint16_t port;
	const char *name;
};

static int hold(void *arg)
{
	const struct holder *h = arg;
	prctl(PR_SET_NAME, h->name);
	NEED(rig_listen(h->type, h->at, h->port) >= 0);
	rig_ready();
	pause();
	return 0;
}

/* Answers each connection, and each datagram, with the port that it came to. */
static int say_port(void *arg)
{
	static struct pollfd p[1024];
	const char *const *at = (const char *const[]){ POD4, POD6 };
	int from = ((int *)arg)[0], n = ((int *)arg)[1], k = 0;
	for (int i = 0; i < n; i++)
		for (int f = 0; f < 2; f++) {
			p[k++] = (struct pollfd){ .fd = rig_listen(SOCK_STREAM, at[f], (uint16_t)(from + i)), .events = POLLIN };
			p[k++] = (struct pollfd){ .fd = rig_listen(SOCK_DGRAM, at[f], (uint16_t)(from + i)), .events = POLLIN };
			NEED(p[k - 1].fd >= 0 && p[k - 2].fd >= 0);
		}
	rig_ready();
	while (poll(p, (nfds_t)k, -1) > 0)
		for (int i = 0; i < k; i++) {
			char b[16], out[16];
			union net_sockaddr who;
			socklen_t len = sizeof who;
			if (!p[i].revents)
				continue;
			int m = snprintf(out, sizeof out, "%d", from + i / 4);
			if (i % 2) {
				NEED(recvfrom(p[i].fd, b, sizeof b, 0, &who.any, &len) >= 0);
				NEED(sendto(p[i].fd, out, (size_t)m, 0, &who.any, len) == m);
			} else {
				int c = accept(p[i].fd, NULL, NULL);
				NEED(c >= 0 && write(c, out, (size_t)m) == m);
				close(c);
			}
		}
	return 1;
}

struct question {
	int type;
	const char *to;
	int port, answer; /* answer 0: refused */
};

static int ask(void *arg)
{
	char b[16] = "";
	const struct question *q = arg;
	_cleanup_close_ int fd = rig_connect(q->type, q->to, (uint16_t)q->port);
	if (!q->answer) {
		NEED(q->type == SOCK_STREAM ? fd == -ECONNREFUSED : fd >= 0);
		return 0;
	}
	NEED(fd >= 0);
	if (q->type == SOCK_DGRAM)
		NEED(send(fd, "?", 1, 0) == 1);
	NEED(recv(fd, b, sizeof b - 1, 0) > 0 && atoi(b) == q->answer);
	return 0;
}

static bool answers(int type, const char *to, int port, int answer)
{
	struct question q = { type, to, port, answer };
	return rig_run(ON_HOST, ask, &q) == 0;
}

/* --- the tests --- */

static void held_by_a_process(void **state)
{
	static const struct { struct holder h; const char *line; } t[] = {
		{ { SOCK_STREAM, "0.0.0.0", 8080, "nginx" }, "8080:80" },
		{ { SOCK_STREAM, "127.0.0.1", 8080, "nginx" }, "8080:80" },
		{ { SOCK_STREAM, "::", 8080, "nginx" }, "8080:80" },
		{ { SOCK_STREAM, "::1", 8080, "nginx" }, "[::1]:8080:80" },
		{ { SOCK_STREAM, "0.0.0.0", 8080, "nginx" }, "127.0.0.1:8080:80" },
		{ { SOCK_DGRAM, "0.0.0.0", 8080, "dnsmasq" }, "127.0.0.1:8080:80/udp" },
		{ { SOCK_DGRAM, "127.0.0.1", 8080, "a b) x" }, "8080:80/udp" },
		{ { SOCK_DGRAM, "::", 8080, "dnsmasq" }, "8000-8100:100-200/udp" },
	};
	EACH(t, i) {
		char words[128];
		pid_t pid = rig_start(ON_HOST, hold, (void *)&t[i].h);
		snprintf(words, sizeof words, "port 8080 is in use by %s (pid %d)", t[i].h.name, (int)pid);
		refused(WEB, t[i].line, EADDRINUSE, words);
		rig_end(pid);
		assert_int_equal(set(WEB, t[i].line), 0);
		assert_int_equal(set(WEB, ""), 0);
	}
	struct holder other = { SOCK_STREAM, "127.0.0.1", 8080, "nginx" };
	pid_t pid = rig_start(ON_HOST, hold, &other);
	assert_int_equal(set(WEB, "127.0.0.2:8080:80 8080:80/udp [::1]:8080:80"), 0);
	rig_end(pid);
}

static void held_by_a_pod(void **state)
{
	assert_int_equal(set(DB, "5432:5432 127.0.0.1:53:53/udp"), 0);
	refused(WEB, "80:80 5432:80", EADDRINUSE, "5432:80/tcp: port 5432 is in use by the pod db");
	assert_string_equal(err.text, "5432:80/tcp: port 5432 is in use by the pod db");
	refused(WEB, "5430-5433:80-83", EADDRINUSE, "5430-5433:80-83/tcp: port 5432 is in use by the pod db");
	refused(WEB, "53:53/udp", EADDRINUSE, "in use by the pod db");
	assert_int_equal(set(WEB, "53:53 127.0.0.2:53:53/udp"), 0);
	ports_drop(&net, DB);
	assert_int_equal(set(WEB, "5432:80"), 0);
	assert_int_equal(ntable, 2);
}

static void refusals(void **state)
{
	refused(WEB, "80", EINVAL, "8080:80");
	refused(WEB, "8080:80 127.0.0.1:8080:81", EINVAL, "published twice");
	refused(WEB, "8080:80 8000-8100:8000-8100", EINVAL, "published twice");
	refused(WEB, "192.0.2.1:8080:80", EADDRNOTAVAIL, "the host does not have the address 192.0.2.1");
	refused(WEB, "[2001:db8::1]:8080:80", EADDRNOTAVAIL, "the host does not have the address 2001:db8::1");
	refused(WEB, "1000-3000:1000-3000", E2BIG, "at most 1024");
	addr[1].family = AF_UNSPEC;
	refused(WEB, "[::1]:8080:80", EADDRNOTAVAIL, "the pod has no address of IPv6");
	assert_int_equal(set(WEB, "8080:80"), 0);
	assert_int_equal(ntable, 1);
	assert_null(strstr(event, "lost"));
}

static void elements(void **state)
{
	assert_int_equal(set(WEB, "8080:80 127.0.0.1:9090:90 [::1]:9091:91 53:53/udp " HOST4 ":7000-7002:70-72"), 0);
	assert_int_equal(ntable, 2 + 2 + 3);
	assert_true(in_table(IPPROTO_TCP, 8080, 80, AF_INET));
	assert_true(in_table(IPPROTO_TCP, 8080, 80, AF_INET6));
	assert_true(in_table(IPPROTO_UDP, 53, 53, AF_INET6));
	assert_true(in_table(IPPROTO_TCP, 7002, 72, AF_INET));
	assert_int_equal(set(WEB, "8080:81"), 0);
	assert_int_equal(ntable, 2);
	assert_true(in_table(IPPROTO_TCP, 8080, 81, AF_INET));
}

static void both_protocols_and_families(void **state)
{
	static const char *const to[] = { "127.0.0.1", "::1", HOST4, HOST6 };
	int serve[] = { 80, 2 };
	pid_t pod = rig_start(IN_POD, say_port, serve);
	assert_int_equal(set(WEB, "8080:80 8080:81/udp"), 0);
	EACH(to, i) {
		assert_true(answers(SOCK_STREAM, to[i], 8080, 80));
		assert_true(answers(SOCK_DGRAM, to[i], 8080, 81));
	}
	assert_int_equal(set(WEB, "127.0.0.1:8080:80 [::1]:8081:80"), 0);
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8080, 80));
	assert_true(answers(SOCK_STREAM, "::1", 8080, 0));
	assert_true(answers(SOCK_STREAM, HOST4, 8080, 0));
	assert_true(answers(SOCK_STREAM, "::1", 8081, 80));
	assert_true(answers(SOCK_STREAM, HOST6, 8081, 0));
	rig_end(pod);
}

/* Holds a connection over a change, then asks for more on it. */
static int hold_a_connection(void *arg)
{
	char b[16] = "";
	_cleanup_close_ int fd = rig_connect(SOCK_STREAM, "127.0.0.1", 8080);
	NEED(fd >= 0);
	rig_ready();
	rig_wait_go();
	ssize_t n = write(fd, "x", 1) == 1 ? read(fd, b, sizeof b) : -1;
	NEED(*(bool *)arg ? n == 1 && *b == 'x' : n <= 0);
	return 0;
}

static int echo(void *arg)
{
	char b[16];
	_cleanup_close_ int l = rig_listen(SOCK_STREAM, POD4, 80);
	NEED(l >= 0);
	rig_ready();
	int fd = accept(l, NULL, NULL);
	for (ssize_t n; (n = read(fd, b, sizeof b)) > 0;)
		NEED(write(fd, b, (size_t)n) == n);
	pause();
	return 0;
}

static void over_a_change(const char *lines, int want, bool goes_on)
{
	pid_t pod = rig_start(IN_POD, echo, NULL);
	assert_int_equal(set(WEB, "8080:80"), 0);
	pid_t client = rig_start(ON_HOST, hold_a_connection, &goes_on);
	rig_spin(30);
	assert_int_equal(set(WEB, lines), want);
	rig_go();
	assert_int_equal(rig_wait(client), 0);
	rig_end(pod);
	assert_int_equal(set(WEB, ""), 0);
}

static void unchanged_ones_stay_open(void **state)
{
	over_a_change("8080:80 8081:81", 0, true);
	over_a_change("8080:81 53:53/udp", 0, true); /* for new connections only */
	over_a_change("8081:80", 0, false);
	over_a_change("8080:80 192.0.2.1:8081:81", -EADDRNOTAVAIL, true);
	over_a_change("8081:80 8082:80 192.0.2.1:8083:81", -EADDRNOTAVAIL, true);
	assert_int_equal(ntable, 0);
}

static void all_or_nothing(void **state)
{
	int serve[] = { 80, 2 };
	pid_t pod = rig_start(IN_POD, say_port, serve);
	assert_int_equal(set(WEB, "8080:80"), 0);
	assert_int_equal(set(DB, "9000:90"), 0);
	refused(WEB, "8081:81 8082:81 9000:81", EADDRINUSE, "pod db");
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8080, 80));
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8081, 0));
	nft_fails = ENOBUFS;
	refused(WEB, "8081:81 8080:81", ENOBUFS, "no table today");
	nft_fails = 0;
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8080, 80));
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8081, 0));
	assert_true(in_table(IPPROTO_TCP, 8080, 80, AF_INET));
	rig_end(pod);
}

/* What is narrowed or widened stands in its own way. */
static void own_overlaps(void **state)
{
	int serve[] = { 80, 2 };
	struct holder nginx = { SOCK_STREAM, HOST4, 8080, "nginx" };
	pid_t pod = rig_start(IN_POD, say_port, serve);
	assert_int_equal(set(WEB, "8080:80"), 0);
	assert_int_equal(set(WEB, "127.0.0.1:8080:80"), 0);
	assert_true(answers(SOCK_STREAM, HOST4, 8080, 0));
	pid_t pid = rig_start(ON_HOST, hold, &nginx);
	refused(WEB, "8080:81 8081:81", EADDRINUSE, "in use by nginx");
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8080, 80));
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 8081, 0));
	assert_string_equal(event, "");
	rig_end(pid);
	assert_int_equal(set(WEB, "8080:81"), 0);
	assert_true(answers(SOCK_STREAM, HOST4, 8080, 81));
	nft_fails = EBUSY;
	refused(WEB, "127.0.0.1:8080:80", EBUSY, "no table");
	nft_fails = 0;
	assert_true(answers(SOCK_STREAM, HOST4, 8080, 81));
	rig_end(pod);
}

static void two_hundred(void **state)
{
	int serve[] = { 1000, 200 };
	pid_t pod = rig_start(IN_POD, say_port, serve);
	uint64_t from = now_mono_ns();
	assert_int_equal(set(WEB, "20000-20199:1000-1199 20000-20199:1000-1199/udp"), 0);
	print_message("400 ports held: %.1f ms\n", (double)(now_mono_ns() - from) / 1e6);
	assert_int_equal(ntable, 800);
	for (int i = 0; i < 200; i += 7) {
		assert_true(answers(SOCK_STREAM, i % 2 ? "127.0.0.1" : "::1", 20000 + i, 1000 + i));
		assert_true(answers(SOCK_DGRAM, i % 2 ? "::1" : "127.0.0.1", 20000 + i, 1000 + i));
	}
	assert_int_equal(set(WEB, "20050:1000"), 0);
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 20050, 1000));
	assert_true(answers(SOCK_STREAM, "127.0.0.1", 20051, 0));
	rig_end(pod);
}

/* A port that was just used can be held again: SO_REUSEADDR passes over what is timing out. */
static void again_at_once(void **state)
{
	int serve[] = { 80, 1 };
	pid_t pod = rig_start(IN_POD, say_port, serve);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(set(WEB, "8080:80"), 0);
		assert_true(answers(SOCK_STREAM, "127.0.0.1", 8080, 80));
		assert_int_equal(set(WEB, ""), 0);
	}
	rig_end(pod);
}

static void descriptors_are_kept_for_relays(void **state)
{
	struct rlimit files, few = { 200, 0 };
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few.rlim_max = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	refused(WEB, "8000-8100:1-101", EMFILE, "podfs-net may not open more");
	assert_int_equal(set(WEB, "8000-8009:1-10"), 0);
	setrlimit(RLIMIT_NOFILE, &files);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture, unfixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(held_by_a_process),
		TEST(held_by_a_pod),
		TEST(refusals),
		TEST(elements),
		TEST(both_protocols_and_families),
		TEST(unchanged_ones_stay_open),
		TEST(all_or_nothing),
		TEST(own_overlaps),
		TEST(two_hundred),
		TEST(again_at_once),
		TEST(descriptors_are_kept_for_relays),
	};
	struct rlimit files;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return cmocka_run_group_tests(tests, rig_enter, rig_leave);
}
