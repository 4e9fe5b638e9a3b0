/* runtime/parse/port: what `ports` takes, and how it reads. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#define OF(s) s, sizeof(s) - 1

static const char *const good[][2] = {
	{ "8080:80", "8080:80/tcp" },
	{ " 8080:80/tcp\n", "8080:80/tcp" },
	{ "53:53/udp", "53:53/udp" },
	{ "53:53/UDP", "53:53/udp" },
	{ "08080:0080", "8080:80/tcp" },
	{ "1:65535", "1:65535/tcp" },
	{ "127.0.0.1:8080:80/tcp", "127.0.0.1:8080:80/tcp" },
	{ "0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp" },
	{ "[::1]:8080:80", "[::1]:8080:80/tcp" },
	{ "[::]:8080:80/udp", "[::]:8080:80/udp" },
	{ "[2001:DB8:0:0::0001]:8080:80", "[2001:db8::1]:8080:80/tcp" },
	{ "8000-8010:80-90", "8000-8010:80-90/tcp" },
	{ "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:60000-65535:50000-55535/udp",
	  "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:60000-65535:50000-55535/udp" },
	{ "1-65535:1-65535", "1-65535:1-65535/tcp" },
	{ "7-7:8-8", "7:8/tcp" },
};

static void canonical(void **state)
{
	EACH(good, i) {
		struct port p;
		struct err e = { 0 };
		size_t len = strlen(good[i][0]);
		_cleanup_free_ char *text = exact(good[i][0], len);
		char out[PORT_TEXT];
		if (parse_port(text, len, &p, &e))
			fail_msg("%s: %s", good[i][0], e.text);
		format_port(&p, out);
		assert_string_equal(out, good[i][1]);
	}
}

static void fields(void **state)
{
	struct port p;
	assert_int_equal(parse_port(OF("127.0.0.2:8000-8002:80-82/udp"), &p, NULL), 0);
	assert_int_equal(p.proto, IPPROTO_UDP);
	assert_int_equal(p.family, AF_INET);
	assert_memory_equal(p.addr, "\x7f\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(p.host, 8000);
	assert_int_equal(p.pod, 80);
	assert_int_equal(p.count, 3);
	assert_int_equal(parse_port(OF("1:2"), &p, NULL), 0);
	assert_int_equal(p.proto, IPPROTO_TCP);
	assert_int_equal(p.family, AF_UNSPEC);
	assert_true(port_is_any(&p));
}

static const struct {
	const char *text;
	size_t len;
	const char *words; /* in the sentence */
} bad[] = {
	{ OF(""), "empty" },
	{ OF("\n"), "empty" },
	{ OF("80"), "say which" },
	{ OF("80/tcp"), "say which" },
	{ OF("127.0.0.1:80"), "1 to 65535" },
	{ OF("127.0.0.1::80"), "1 to 65535" },
	{ OF("[::1]:80"), "say which" },
	{ OF("0:80"), "1 to 65535" },
	{ OF("80:0"), "1 to 65535" },
	{ OF("65536:80"), "1 to 65535" },
	{ OF("99999999999999999999:80"), "1 to 65535" },
	{ OF("-1:80"), "1 to 65535" },
	{ OF("+1:80"), "1 to 65535" },
	{ OF("0x50:80"), "1 to 65535" },
	{ OF("http:80"), "1 to 65535" },
	{ OF(":80"), "1 to 65535" },
	{ OF("80:"), "1 to 65535" },
	{ OF("8080: 80"), "1 to 65535" },
	{ OF("8080:80\n8081:81"), "no address" },
	{ OF("8080:80\0"), "1 to 65535" },
	{ OF("80\0:80"), "1 to 65535" },
	{ OF("8080:80/"), "tcp or udp" },
	{ OF("8080:80/icmp"), "tcp or udp" },
	{ OF("8080:80/tcp/udp"), "1 to 65535" },
	{ OF("8080:80/sctp"), "sctp cannot" },
	{ OF("8080:80/tcp\0"), "tcp or udp" },
	{ OF("8010-8000:80-90"), "1 to 65535" },
	{ OF("8000-8010:80"), "differ" },
	{ OF("8000:80-81"), "differ" },
	{ OF("8000-:80"), "1 to 65535" },
	{ OF("-8000:80"), "1 to 65535" },
	{ OF("1-2-3:1-3"), "1 to 65535" },
	{ OF("65535-65536:1-2"), "1 to 65535" },
	{ OF("::1:8080:80"), "stands in [ ]" },
	{ OF("[::1]8080:80"), "followed by" },
	{ OF("[::1"), "followed by" },
	{ OF("[::1]"), "followed by" },
	{ OF("["), "followed by" },
	{ OF("[]:1:2"), "no address" },
	{ OF("[127.0.0.1]:1:2"), "no address" },
	{ OF("[::\0]:1:2"), "no address" },
	{ OF("[::ffff:127.0.0.1]:1:2"), "written as one" },
	{ OF("[fe80::1]:1:2"), "link" },
	{ OF("[fe80::1%eth0]:1:2"), "no address" },
	{ OF("[ff02::1]:1:2"), "no host's" },
	{ OF("224.0.0.1:1:2"), "no host's" },
	{ OF("255.255.255.255:1:2"), "no host's" },
	{ OF("0.0.0.1:1:2"), "no host's" },
	{ OF("localhost:8080:80"), "no address" },
	{ OF("127.1:8080:80"), "no address" },
	{ OF(":8080:80"), "no address" },
	{ OF("127.0.0.01:8080:80"), "no address" },
	{ OF("[11111111111111111111111111111111111111111111111111]:1:2"), "no address" },
	{ OF("/"), "tcp or udp" },
	{ OF("/tcp"), "say which" },
	{ OF(":"), "1 to 65535" },
	{ OF("::"), "no address" },
	{ OF("\xff\xfe:\x80"), "1 to 65535" },
};

static void refused(void **state)
{
	EACH(bad, i) {
		struct port p = { .proto = 99 };
		struct err e = { 0 };
		_cleanup_free_ char *text = exact(bad[i].text, bad[i].len);
		if (parse_port(text, bad[i].len, &p, &e) != -EINVAL)
			fail_msg("%s: taken", bad[i].text);
		assert_int_equal(e.code, EINVAL);
		if (!strstr(e.text, bad[i].words))
			fail_msg("%s: %s", bad[i].text, e.text);
		assert_int_equal(p.proto, 99);
	}
	_cleanup_free_ char *mega = filled(1 << 20, '1');
	struct port p;
	assert_int_equal(parse_port(mega, 1 << 20, &p, NULL), -EINVAL);
}

static void overlaps(void **state)
{
	static const struct { const char *a, *b; bool overlap; } t[] = {
		{ "80:1", "80:2", true },
		{ "80:1", "81:1", false },
		{ "80:1", "80:1/udp", false },
		{ "80:1", "127.0.0.1:80:1", true },
		{ "80:1", "[::1]:80:1", true },
		{ "0.0.0.0:80:1", "[::]:80:1", false },
		{ "0.0.0.0:80:1", "[::1]:80:1", false },
		{ "0.0.0.0:80:1", "127.0.0.1:80:1", true },
		{ "127.0.0.1:80:1", "127.0.0.2:80:1", false },
		{ "127.0.0.1:80:1", "127.0.0.1:80:2", true },
		{ "[::1]:80:1", "[::1]:80:2", true },
		{ "[::1]:80:1", "[::2]:80:1", false },
		{ "80-90:80-90", "85:1", true },
		{ "80-90:80-90", "90-91:1-2", true },
		{ "80-90:80-90", "91:1", false },
		{ "80-90:80-90", "79:1", false },
		{ "65535:1", "1-65535:1-65535", true },
	};
	EACH(t, i) {
		struct port a, b;
		assert_int_equal(parse_port(t[i].a, strlen(t[i].a), &a, NULL), 0);
		assert_int_equal(parse_port(t[i].b, strlen(t[i].b), &b, NULL), 0);
		if (ports_overlap(&a, &b) != t[i].overlap || ports_overlap(&b, &a) != t[i].overlap)
			fail_msg("%s and %s", t[i].a, t[i].b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical),
		cmocka_unit_test(fields),
		cmocka_unit_test(refused),
		cmocka_unit_test(overlaps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
