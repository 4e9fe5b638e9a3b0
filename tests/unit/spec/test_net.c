/* runtime/spec: what network, ports and rates say of each other; hosts and resolv.conf as they are made and written. */
#include "runtime/base/util.h"
#include "runtime/spec/spec.h"
#include "tests/unit/unit.h"

#define LOCAL "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

static struct pod_spec *pod;

static int setup(void **state)
{
	pod = pod_spec_new();
	strcpy(pod->name, "web");
	strcpy(pod->hostname, "web");
	return 0;
}

static int teardown(void **state)
{
	pod_spec_free(pod);
	return 0;
}

static int set_n(const char *name, const char *value, size_t len, struct err *e)
{
	_cleanup_free_ char *text = exact(value, len);
	return spec_set(spec_field_find(name, SPEC_POD), (struct spec_ref){ .pod = pod }, text, len, e);
}

static void takes(const char *name, const char *value)
{
	struct err e = { 0 };
	if (set_n(name, value, strlen(value), &e))
		fail_msg("%s", e.text);
}

static void refuses(const char *name, const char *value, int result, const char *why)
{
	struct err e = { 0 };
	assert_int_equal(set_n(name, value, strlen(value), &e), result);
	assert_string_equal(e.text, why);
}

static char *get(const char *name)
{
	struct buf b = { 0 };
	spec_field_find(name, SPEC_POD)->get((struct spec_ref){ .pod = pod }, &b);
	return b.data ? b.data : strdup("");
}

static void reads(const char *name, const char *want)
{
	_cleanup_free_ char *got = get(name);
	assert_string_equal(got, want);
}

static bool is_set(const char *name)
{
	return spec_field_find(name, SPEC_POD)->is_set((struct spec_ref){ .pod = pod });
}

static void has_ips(const char *a, const char *b)
{
	strs_free(&pod->ip);
	assert_int_equal(strs_add(&pod->ip, a, strlen(a)), 0);
	if (b)
		assert_int_equal(strs_add(&pod->ip, b, strlen(b)), 0);
}

/* --- network, ports, rates --- */

static void ports_need_a_network_of_their_own(void **state)
{
	takes("network", "host");
	refuses("ports", "80:80", -EINVAL, "ports: network is host: its ports are the host's already, none can be published");
	refuses("net.ingress", "1M", -EINVAL, "net.ingress: network is host: no rate can be limited");
	takes("network", "none");
	refuses("ports", "80:80", -EINVAL, "ports: network is none: no port can be published");
	refuses("net.egress", "1M", -EINVAL, "net.egress: network is none: no rate can be limited");
	takes("ports", "\n");
	takes("net.egress", "max");
	takes("network", "cni:x");
	takes("ports", "80:80");
}

static void a_network_is_not_taken_from_under_them(void **state)
{
	takes("ports", "80:80");
	takes("net.ingress", "1M");
	takes("net.egress", "1M");
	takes("network", "cni:x");
	refuses("network", "none", -EINVAL, "network: ports are published: `> ports` first");
	takes("ports", "");
	refuses("network", "none", -EINVAL, "network: there is a limit: `> net.ingress` first");
	takes("net.ingress", "");
	refuses("network", "host", -EINVAL, "network: there is a limit: `> net.egress` first");
	spec_defaults.net = (struct net_choice){ .mode = NET_NONE };
	refuses("network", "", -EINVAL, "network: there is a limit: `> net.egress` first");
	takes("net.egress", "max");
	takes("network", "");
	reads("network", "none\n");
	spec_defaults.net = (struct net_choice){ 0 };
}

static void overlaps_are_named(void **state)
{
	refuses("ports", "8080:80\n8000-8100:80-180\n", -EADDRINUSE, "ports: 8080:80/tcp and 8000-8100:80-180/tcp overlap");
	refuses("ports", "53:53/udp\n\n53:53/udp\n", -EADDRINUSE, "ports: 53:53/udp is there twice");
	refuses("ports", "1-1024:1-1024\n2000:1\n", -E2BIG, "ports: more than 1024 ports");
	_cleanup_buf_ struct buf many = { 0 };
	for (int i = 1; i <= 1024; i++)
		buf_printf(&many, "%d:%d/tcp\n", i, i);
	takes("ports", many.data);
	reads("ports", many.data);
}

static void rates_have_bounds(void **state)
{
	refuses("net.ingress", "0", -EINVAL, "net.ingress: 0 is too little: a rate is at least 8000 bits a second");
	refuses("net.ingress", "1P", -EINVAL, "net.ingress: 1P is too much (max: no limit)");
	takes("net.ingress", "7.9K");
	assert_int_equal(pod->rate_in, 8090);
}

static void choices_read_back(void **state)
{
	static const char *const all[] = { "bridge", "none", "host", "cni:a", "cni:9.-_" };
	EACH(all, i) {
		_cleanup_buf_ struct buf b = { 0 };
		struct net_choice c;
		memset(&c, 'x', sizeof c);
		assert_int_equal(net_choice_read(all[i], strlen(all[i]), &c, NULL), 0);
		net_choice_show(&c, &b);
		assert_string_equal(b.data, all[i]);
	}
	struct net_choice c = { .mode = NET_HOST };
	assert_int_equal(net_choice_read("cni:", 4, &c, NULL), -EINVAL);
	assert_int_equal(c.mode, NET_HOST);
}

/* --- hosts --- */

static void hosts_is_made(void **state)
{
	reads("hosts", LOCAL "127.0.0.1\tweb\n");
	has_ips("10.213.0.5/20", "fd00::5/64");
	takes("hostname", "www.example.org");
	reads("hosts", LOCAL "10.213.0.5\twww.example.org\nfd00::5\twww.example.org\n");
	assert_false(is_set("hosts"));
}

static void what_was_read_can_be_written(void **state)
{
	has_ips("10.213.0.5/20", "fd00::5/64");
	_cleanup_free_ char *made = get("hosts");
	takes("hosts", made);
	assert_false(is_set("hosts"));
	assert_int_equal(set_n("hosts", made, strlen(made) - 1, NULL), 0); /* without the last newline */
	assert_false(is_set("hosts"));
	takes("hosts", "10.0.0.1 db\n\n# c");
	assert_true(is_set("hosts"));
	_cleanup_free_ char *written = get("hosts");
	assert_string_equal(written, "10.0.0.1 db\n\n# c\n");
	takes("hosts", written);
	reads("hosts", written);
	takes("hosts", "10.0.0.1 db\n\n\n");
	reads("hosts", "10.0.0.1 db\n");
	takes("hosts", "\n \n");
	assert_false(is_set("hosts"));
}

/* `>>` hands the whole text: what stands there, and the new line. */
static void own_lines_follow(void **state)
{
	has_ips("10.213.0.5/20", "fd00::5/64");
	_cleanup_buf_ struct buf text = { 0 };
	hosts_text(pod, &text);
	buf_puts(&text, "10.0.0.1 db");
	takes("hosts", text.data);
	reads("hosts", LOCAL "10.213.0.5\tweb\nfd00::5\tweb\n10.0.0.1 db\n");
	takes("hostname", "api");
	has_ips("10.214.0.6/20", NULL);
	reads("hosts", LOCAL "10.214.0.6\tapi\n10.0.0.1 db\n");
	strs_free(&pod->ip);
	reads("hosts", LOCAL "127.0.0.1\tapi\n10.0.0.1 db\n");
}

static void own_lines_that_were_changed_stay(void **state)
{
	has_ips("10.213.0.5/20", "fd00::5/64");
	takes("hosts", "10.213.0.5\tweb\n10.0.0.1 db\nfd00::5\tweb\n");
	takes("hostname", "api");
	reads("hosts", "10.213.0.5\tweb\n10.0.0.1 db\nfd00::5\tweb\n");
}

/* A second copy is a line like others, else the text could grow without bounds. */
static void own_lines_are_found_once(void **state)
{
	takes("hosts", "127.0.0.1\tweb\n127.0.0.1\tweb\n");
	takes("hostname", "api");
	reads("hosts", "127.0.0.1\tapi\n127.0.0.1\tweb\n");
}

/* What was taken with a short name can be read with the longest one and many addresses, and taken again. */
static void hosts_has_room_to_grow(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_free_ char *name = filled(64, 'a');
	name[31] = '.';
	buf_puts(&text, "127.0.0.1\tweb\n");
	while (text.len + 12 <= SPEC_VALUE_MAX - 1024)
		buf_puts(&text, "10.0.0.1 db\n");
	takes("hosts", text.data);
	takes("hostname", name);
	for (int i = 0; i < 100; i++)
		assert_int_equal(strs_add(&pod->ip, "2001:db8:1111:2222:3333:4444:255.255.255.255/128", 48), 0);
	_cleanup_free_ char *longest = get("hosts");
	assert_true(strlen(longest) > SPEC_VALUE_MAX - 1024 && strlen(longest) <= SPEC_VALUE_MAX);
	takes("hosts", longest);
	buf_puts(&text, "10.0.0.2 a_much_longer_name_than_before\n");
	refuses("hosts", text.data, -E2BIG, "hosts: more than 64512 bytes");
}

static void bad_lines_are_named(void **state)
{
	refuses("hosts", "::1 a\ndb 10.0.0.1\n", -EINVAL, "hosts: db is not an IP address (a line is ADDRESS NAME...)");
	refuses("hosts", "10.0.0.1 # db\n", -EINVAL, "hosts: behind 10.0.0.1 stands no name");
	refuses("hosts", "10.0.0.1 d/b\n", -EINVAL, "hosts: d/b is not a host name");
	refuses("resolv.conf", "nameserver x\n", -EINVAL, "resolv.conf: x is not an IP address (a line is nameserver ADDRESS)");
	refuses("resolv.conf", "foo 1\n", -EINVAL, "resolv.conf: foo is none of nameserver, search, domain, options, sortlist");
	refuses("resolv.conf", "search # x\nsearch\n", -EINVAL, "resolv.conf: behind search stands nothing");
}

/* --- resolv.conf --- */

static void resolv_is_made_or_written(void **state)
{
	pod->resolv_made = strdup("nameserver 10.213.0.1\n");
	reads("resolv.conf", "nameserver 10.213.0.1\n");
	assert_false(is_set("resolv.conf"));
	takes("resolv.conf", "nameserver 10.213.0.1");
	assert_false(is_set("resolv.conf"));
	takes("resolv.conf", "nameserver 10.213.0.1\nsearch x\n");
	assert_true(is_set("resolv.conf"));
	reads("resolv.conf", "nameserver 10.213.0.1\nsearch x\n");
	takes("resolv.conf", "");
	reads("resolv.conf", "nameserver 10.213.0.1\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_need_a_network_of_their_own),
		TEST(a_network_is_not_taken_from_under_them),
		TEST(overlaps_are_named),
		TEST(rates_have_bounds),
		TEST(choices_read_back),
		TEST(hosts_is_made),
		TEST(what_was_read_can_be_written),
		TEST(own_lines_follow),
		TEST(own_lines_that_were_changed_stay),
		TEST(own_lines_are_found_once),
		TEST(hosts_has_room_to_grow),
		TEST(bad_lines_are_named),
		TEST(resolv_is_made_or_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
