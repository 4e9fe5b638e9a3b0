/* runtime/spec: each setting takes what it should, refuses the rest untouched, and reads back. */
#include "runtime/base/util.h"
#include "runtime/spec/spec.h"
#include "tests/unit/unit.h"

static struct pod_spec *pod;
static struct container_spec *container;

static int setup(void **state)
{
	pod = pod_spec_new();
	strcpy(pod->name, "web");
	container = pod_spec_add(pod, "nginx");
	return 0;
}

static int teardown(void **state)
{
	pod_spec_free(pod);
	return 0;
}

static struct spec_ref ref(enum spec_scope scope)
{
	return (struct spec_ref){ pod, scope == SPEC_CONTAINER ? container : NULL };
}

static int set_n(enum spec_scope scope, const char *name, const char *value, size_t len, struct err *e)
{
	_cleanup_free_ char *text = exact(value, len);
	const struct spec_field *f = spec_field_find(name, scope);
	assert_non_null(f);
	return spec_set(f, ref(scope), text, len, e);
}

static int set(enum spec_scope scope, const char *name, const char *value, struct err *e)
{
	return set_n(scope, name, value, strlen(value), e);
}

static char *get(enum spec_scope scope, const char *name)
{
	struct buf b = { 0 };
	spec_field_find(name, scope)->get(ref(scope), &b);
	return b.data ? b.data : strdup("");
}

static bool is_set(enum spec_scope scope, const char *name)
{
	return spec_field_find(name, scope)->is_set(ref(scope));
}

static const struct {
	enum spec_scope scope;
	const char *name, *text, *reads;
} good[] = {
	{ SPEC_POD, "hostname", "www.example.org\n", "www.example.org\n" },
	{ SPEC_POD, "hostname", "A1", "A1\n" },
	{ SPEC_POD, "hostname", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbb",
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbb\n" },
	{ SPEC_POD, "grace", "5", "5\n" },
	{ SPEC_POD, "grace", "2m\n", "120\n" },
	{ SPEC_POD, "grace", "0", "0\n" },
	{ SPEC_POD, "restart", "Always\n", "Always\n" },
	{ SPEC_POD, "restart", "OnFailure", "OnFailure\n" },
	{ SPEC_POD, "share", "pid uts  net ipc\n", "ipc net uts pid\n" },
	{ SPEC_POD, "share", "uts ipc net", "ipc net uts\n" },
	{ SPEC_POD, "labels", "app=web\n\n  tier=x  \napp=db\n", "app=db\ntier=x\n" },
	{ SPEC_POD, "annotations", "example.org/note=a b c", "example.org/note=a b c\n" },
	{ SPEC_POD, "memory.max", "256M\n", "268435456\n" },
	{ SPEC_POD, "cpu.max", "0.5\n", "50000 100000\n" },
	{ SPEC_POD, "network", "cni:my_net.1-a\n", "cni:my_net.1-a\n" },
	{ SPEC_POD, "network", " bridge \n", "bridge\n" },
	{ SPEC_POD, "ports", "8080:80\n\n 53:53/UDP \n127.0.0.1:9000-9001:90-91/tcp", "8080:80/tcp\n53:53/udp\n127.0.0.1:9000-9001:90-91/tcp\n" },
	{ SPEC_POD, "ports", "[::1]:80:80\n127.0.0.1:80:80\n80:80/udp\n", "[::1]:80:80/tcp\n127.0.0.1:80:80/tcp\n80:80/udp\n" },
	{ SPEC_POD, "net.ingress", "10M\n", "10485760\n" },
	{ SPEC_POD, "net.ingress", "8000", "8000\n" },
	{ SPEC_POD, "net.egress", "max\n", "max\n" },
	{ SPEC_POD, "net.egress", "1e15", "1000000000000000\n" },
	{ SPEC_POD, "hosts", "10.0.0.1 db  db.example.org # the db\n\n# six\nfd00::1\tdb6\n", "10.0.0.1 db  db.example.org # the db\n\n# six\nfd00::1\tdb6\n" },
	{ SPEC_POD, "hosts", "::1 a_b", "::1 a_b\n" },
	{ SPEC_POD, "resolv.conf", "# mine\nnameserver 1.1.1.1 ; one\n nameserver fe80::1%eth0\nsearch a b\noptions ndots:2\n",
	  "# mine\nnameserver 1.1.1.1 ; one\n nameserver fe80::1%eth0\nsearch a b\noptions ndots:2\n" },
	{ SPEC_POD, "resolv.conf", "domain x\n; y\nsortlist 10.0.0.0/255.0.0.0", "domain x\n; y\nsortlist 10.0.0.0/255.0.0.0\n" },
	{ SPEC_CONTAINER, "image", " nginx:alpine\n", "nginx:alpine\n" },
	{ SPEC_CONTAINER, "pull", " Always\n", "Always\n" },
	{ SPEC_CONTAINER, "pull", "Never", "Never\n" },
	{ SPEC_CONTAINER, "pull", "IfNotPresent", "IfNotPresent\n" },
	{ SPEC_CONTAINER, "command", "sh -c \"echo 'x y'\"\n", "sh -c 'echo '\\''x y'\\'''\n" },
	{ SPEC_CONTAINER, "command", "[]", "[]\n" },
	{ SPEC_CONTAINER, "args", "[\"-g\", \"daemon off;\"]\n", "-g 'daemon off;'\n" },
	{ SPEC_CONTAINER, "env", "A=1\nA= 2 \n\nB=\n", "A=1\nA= 2 \nB=\n" },
	{ SPEC_CONTAINER, "workdir", "/srv/a b/\n", "/srv/a b/\n" },
	{ SPEC_CONTAINER, "user", "www-data\n", "www-data\n" },
	{ SPEC_CONTAINER, "user", "1000:1000", "1000:1000\n" },
	{ SPEC_CONTAINER, "user", "4294967294", "4294967294\n" },
	{ SPEC_CONTAINER, "memory.max", "1e9", "1000000000\n" },
	{ SPEC_CONTAINER, "memory.max", "max", "max\n" },
	{ SPEC_CONTAINER, "memory.high", "1Gi", "1073741824\n" },
	{ SPEC_CONTAINER, "cpu.max", "max 50000", "max 50000\n" },
	{ SPEC_CONTAINER, "cpu.weight", "10000", "10000\n" },
	{ SPEC_CONTAINER, "pids.max", "64", "64\n" },
	{ SPEC_CONTAINER, "pids.max", "max", "max\n" },
};

static const struct {
	enum spec_scope scope;
	const char *name, *text;
	int result;
} bad[] = {
	{ SPEC_POD, "hostname", "-a", -EINVAL },
	{ SPEC_POD, "hostname", "a-", -EINVAL },
	{ SPEC_POD, "hostname", "a..b", -EINVAL },
	{ SPEC_POD, "hostname", "a.", -EINVAL },
	{ SPEC_POD, "hostname", "a b", -EINVAL },
	{ SPEC_POD, "hostname", "a\nb", -EINVAL },
	{ SPEC_POD, "hostname", "a_b", -EINVAL },
	{ SPEC_POD, "hostname", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -EINVAL },
	{ SPEC_POD, "hostname", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbb", -EINVAL },
	{ SPEC_POD, "grace", "-1", -EINVAL },
	{ SPEC_POD, "grace", "0.5", -EINVAL },
	{ SPEC_POD, "grace", "99999999999999999999999", -ERANGE },
	{ SPEC_POD, "restart", "always", -EINVAL },
	{ SPEC_POD, "restart", "Always Never", -EINVAL },
	{ SPEC_CONTAINER, "pull", "always", -EINVAL },
	{ SPEC_CONTAINER, "pull", "Always Never", -EINVAL },
	{ SPEC_POD, "share", "pid", -EINVAL },
	{ SPEC_POD, "share", "ipc net", -EINVAL },
	{ SPEC_POD, "share", "ipc net uts user", -EINVAL },
	{ SPEC_POD, "share", "ipc,net,uts", -EINVAL },
	{ SPEC_POD, "labels", "app=web\nbad", -EINVAL },
	{ SPEC_POD, "labels", "app=a b", -EINVAL },
	{ SPEC_POD, "annotations", "a b=c", -EINVAL },
	{ SPEC_POD, "memory.max", "10Q", -EINVAL },
	{ SPEC_POD, "memory.max", "-1", -EINVAL },
	{ SPEC_POD, "memory.max", "1e9G", -EINVAL },
	{ SPEC_POD, "memory.max", "8E", -ERANGE },
	{ SPEC_POD, "network", "bridged", -EINVAL },
	{ SPEC_POD, "network", "none host", -EINVAL },
	{ SPEC_POD, "network", "cni:", -EINVAL },
	{ SPEC_POD, "network", "cni:-a", -EINVAL },
	{ SPEC_POD, "network", "cni:a/b", -EINVAL },
	{ SPEC_POD, "network", "cni:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -EINVAL },
	{ SPEC_POD, "ports", "80", -EINVAL },
	{ SPEC_POD, "ports", "80:80\n81:81/sctp", -EINVAL },
	{ SPEC_POD, "ports", "80:80\n80:81", -EADDRINUSE },
	{ SPEC_POD, "ports", "80:80\n127.0.0.1:80:81", -EADDRINUSE },
	{ SPEC_POD, "ports", "1-1024:1-1024\n2000:1", -E2BIG },
	{ SPEC_POD, "ports", "1-1025:1-1025", -E2BIG },
	{ SPEC_POD, "net.ingress", "0", -EINVAL },
	{ SPEC_POD, "net.ingress", "7999", -EINVAL },
	{ SPEC_POD, "net.egress", "1P", -EINVAL },
	{ SPEC_POD, "net.egress", "10Mbit", -EINVAL },
	{ SPEC_POD, "net.egress", "8E", -ERANGE },
	{ SPEC_POD, "hosts", "db 10.0.0.1", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1 # db", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.256 db", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1/24 db", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1 a/b", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1 -a", -EINVAL },
	{ SPEC_POD, "hosts", "10.0.0.1 db\r\n", -EINVAL },
	{ SPEC_POD, "hosts", "@\n", -EINVAL },
	{ SPEC_POD, "resolv.conf", "nameserver", -EINVAL },
	{ SPEC_POD, "resolv.conf", "nameserver dns.example.org", -EINVAL },
	{ SPEC_POD, "resolv.conf", "nameserver 1.1.1.1 8.8.8.8", -EINVAL },
	{ SPEC_POD, "resolv.conf", "search", -EINVAL },
	{ SPEC_POD, "resolv.conf", "namserver 1.1.1.1", -EINVAL },
	{ SPEC_POD, "resolv.conf", "search a\x1b[m", -EINVAL },
	{ SPEC_CONTAINER, "image", "", -EINVAL },
	{ SPEC_CONTAINER, "image", "\n", -EINVAL },
	{ SPEC_CONTAINER, "image", "NGINX", -EINVAL },
	{ SPEC_CONTAINER, "command", "'x", -EINVAL },
	{ SPEC_CONTAINER, "args", "[1]", -EINVAL },
	{ SPEC_CONTAINER, "env", "=x", -EINVAL },
	{ SPEC_CONTAINER, "env", "A=1\nB", -EINVAL },
	{ SPEC_CONTAINER, "workdir", "srv", -EINVAL },
	{ SPEC_CONTAINER, "workdir", " /srv", -EINVAL },
	{ SPEC_CONTAINER, "workdir", "/a\n/b", -EINVAL },
	{ SPEC_CONTAINER, "user", "a:b:c", -EINVAL },
	{ SPEC_CONTAINER, "user", ":b", -EINVAL },
	{ SPEC_CONTAINER, "user", "a:", -EINVAL },
	{ SPEC_CONTAINER, "user", "a b", -EINVAL },
	{ SPEC_CONTAINER, "user", "4294967295", -EINVAL },
	{ SPEC_CONTAINER, "user", "99999999999999999999", -EINVAL },
	{ SPEC_CONTAINER, "cpu.max", "0", -EINVAL },
	{ SPEC_CONTAINER, "cpu.weight", "0", -EINVAL },
	{ SPEC_CONTAINER, "cpu.weight", "10001", -EINVAL },
	{ SPEC_CONTAINER, "cpu.weight", "max", -EINVAL },
	{ SPEC_CONTAINER, "pids.max", "-1", -EINVAL },
};

static void good_values_read_back(void **state)
{
	EACH(good, i) {
		struct err e = { 0 };
		if (set(good[i].scope, good[i].name, good[i].text, &e))
			fail_msg("%s", e.text);
		_cleanup_free_ char *first = get(good[i].scope, good[i].name);
		assert_string_equal(first, good[i].reads);
		assert_int_equal(set(good[i].scope, good[i].name, first, &e), 0);
		_cleanup_free_ char *again = get(good[i].scope, good[i].name);
		assert_string_equal(again, first);
	}
}

static void refuses(enum spec_scope scope, const char *name, const char *text, size_t len, int result)
{
	_cleanup_free_ char *before = get(scope, name);
	struct err e = { 0 };
	int r = set_n(scope, name, text, len, &e);
	if (r != result)
		fail_msg("%s: %.40s: %d, %s", name, text, r, e.text);
	assert_int_equal(e.code, -result);
	assert_memory_equal(e.text, name, strlen(name));
	assert_int_equal(e.text[strlen(name)], ':');
	_cleanup_free_ char *after = get(scope, name);
	assert_string_equal(before, after);
}

static void bad_values_change_nothing(void **state)
{
	for (int round = 0; round < 2; round++) {
		EACH(bad, i)
			refuses(bad[i].scope, bad[i].name, bad[i].text, strlen(bad[i].text), bad[i].result);
		EACH(good, i) /* the second round: with everything set */
			assert_int_equal(set(good[i].scope, good[i].name, good[i].text, NULL), 0);
	}
}

static void nul_and_size_are_checked_everywhere(void **state)
{
	_cleanup_free_ char *mega = filled(1 << 20, 'x'), *just = filled(SPEC_VALUE_MAX + 1, ' ');
	for (const struct spec_field *f = spec_fields; f->name; f++) {
		enum spec_scope scope = f->scope & SPEC_POD ? SPEC_POD : SPEC_CONTAINER;
		refuses(scope, f->name, "1\0", 2, -EINVAL);
		refuses(scope, f->name, mega, 1 << 20, -E2BIG);
		refuses(scope, f->name, just, SPEC_VALUE_MAX + 1, -E2BIG);
		assert_int_equal(spec_set(f, ref(scope), mega, 1 << 20, NULL), -E2BIG);
	}
}

static void defaults(void **state)
{
	static const struct { enum spec_scope scope; const char *name, *reads; } t[] = {
		{ SPEC_POD, "hostname", "web\n" }, { SPEC_POD, "grace", "30\n" }, { SPEC_POD, "restart", "Never\n" },
		{ SPEC_POD, "share", "ipc net uts\n" }, { SPEC_POD, "labels", "" }, { SPEC_POD, "annotations", "" },
		{ SPEC_CONTAINER, "image", "" }, { SPEC_CONTAINER, "command", "" }, { SPEC_CONTAINER, "args", "" },
		{ SPEC_CONTAINER, "pull", "IfNotPresent\n" },
		{ SPEC_CONTAINER, "env", "" }, { SPEC_CONTAINER, "workdir", "" }, { SPEC_CONTAINER, "user", "" },
		{ SPEC_POD, "memory.max", "max\n" }, { SPEC_CONTAINER, "memory.high", "max\n" },
		{ SPEC_POD, "cpu.max", "max 100000\n" }, { SPEC_CONTAINER, "cpu.weight", "100\n" },
		{ SPEC_POD, "pids.max", "max\n" }, { SPEC_POD, "ports", "" }, { SPEC_POD, "network", "bridge\n" },
		{ SPEC_POD, "net.ingress", "max\n" }, { SPEC_POD, "net.egress", "max\n" }, { SPEC_POD, "resolv.conf", "" },
		{ SPEC_POD, "hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tweb\n" },
	};
	EACH(t, i) {
		_cleanup_free_ char *text = get(t[i].scope, t[i].name);
		assert_string_equal(text, t[i].reads);
	}
	/* An empty write brings each of them back. */
	EACH(good, i)
		assert_int_equal(set(good[i].scope, good[i].name, good[i].text, NULL), 0);
	EACH(t, i) {
		if (!strcmp(t[i].name, "image"))
			continue;
		bool record = !strcmp(t[i].name, "grace") || !strcmp(t[i].name, "restart") || !strcmp(t[i].name, "network");
		assert_int_equal(set(t[i].scope, t[i].name, i % 2 ? "" : "\n", NULL), 0);
		_cleanup_free_ char *text = get(t[i].scope, t[i].name);
		assert_string_equal(text, t[i].reads);
		assert_int_equal(is_set(t[i].scope, t[i].name), record);
	}
}

static void defaults_are_the_nodes(void **state)
{
	spec_defaults = (struct spec_defaults){ .grace = 7, .restart = RESTART_ALWAYS, .pull = PULL_ALWAYS, .net.mode = NET_HOST };
	struct pod_spec *fresh = pod_spec_new();
	assert_int_equal(fresh->grace, 7);
	assert_int_equal(fresh->restart, RESTART_ALWAYS);
	assert_int_equal(fresh->net.mode, NET_HOST);
	pod_spec_free(fresh);
	assert_int_equal(set(SPEC_POD, "grace", "", NULL), 0);
	assert_int_equal(pod->grace, 7);
	assert_int_equal(pod->net.mode, NET_BRIDGE);
	assert_int_equal(set(SPEC_POD, "network", "\n", NULL), 0);
	assert_int_equal(pod->net.mode, NET_HOST);
	/* The policy follows the node as long as the container has none of its own. */
	assert_int_equal(container_pull_policy(container), PULL_ALWAYS);
	assert_false(is_set(SPEC_CONTAINER, "pull"));
	assert_int_equal(set(SPEC_CONTAINER, "pull", "IfNotPresent", NULL), 0);
	assert_int_equal(container_pull_policy(container), PULL_IF_NOT_PRESENT);
	assert_true(is_set(SPEC_CONTAINER, "pull"));
	spec_defaults = (struct spec_defaults){ .grace = 30, .restart = RESTART_NEVER };
}

static void pod_and_container_limits_are_apart(void **state)
{
	assert_int_equal(set(SPEC_POD, "memory.max", "1G", NULL), 0);
	assert_false(is_set(SPEC_CONTAINER, "memory.max"));
	assert_int_equal(set(SPEC_CONTAINER, "memory.max", "1M", NULL), 0);
	assert_int_equal(pod->limits.memory_max, 1 << 30);
	assert_int_equal(container->limits.memory_max, 1 << 20);
}

static void fields_have_scopes(void **state)
{
	assert_null(spec_field_find("image", SPEC_POD));
	assert_null(spec_field_find("hostname", SPEC_CONTAINER));
	assert_null(spec_field_find("", SPEC_POD));
	assert_ptr_equal(spec_field_find("cpu.max", SPEC_POD), spec_field_find("cpu.max", SPEC_CONTAINER));
}

static void the_sentence_names_the_file(void **state)
{
	struct err e;
	set(SPEC_POD, "memory.max", "10Q\n", &e);
	assert_string_equal(e.text, "memory.max: 10Q is not a quantity (try 256M, 1Gi, max)");
}

/* Quoting makes a text longer; what was taken must be writable again. */
static void quoted_size_is_checked(void **state)
{
	_cleanup_buf_ struct buf b = { 0 };
	for (int i = 0; i < 20000; i++)
		buf_puts(&b, "\\'");
	refuses(SPEC_CONTAINER, "command", b.data, b.len, -E2BIG);
	refuses(SPEC_CONTAINER, "args", b.data, b.len, -E2BIG);
}

static void containers_come_and_go(void **state)
{
	struct container_spec *a = pod_spec_add(pod, "a"), *b = pod_spec_add(pod, "b");
	assert_int_equal(pod->ncontainers, 3);
	assert_ptr_equal(pod_spec_find(pod, "b"), b);
	pod_spec_drop(pod, a);
	assert_null(pod_spec_find(pod, "a"));
	assert_ptr_equal(pod->containers[1], b);
	pod_spec_drop(pod, b);
	pod_spec_drop(pod, container);
	assert_int_equal(pod->ncontainers, 0);
	container = NULL;
}

static void names(void **state)
{
	_cleanup_free_ char *n63 = filled(63, 'a'), *n64 = filled(64, 'a');
	const char *const fits[] = { "a", "0", "web-1", "1-2", n63 };
	const char *const fails[] = { "", "-", "-a", "a-", "Web", "a_b", "a.b", "..", "a/b", "a b", "\xc3\xa4", "a\n", n64 };
	EACH(fits, i)
		assert_int_equal(name_check("pod", fits[i], NULL), 0);
	EACH(fails, i) {
		struct err e = { 0 };
		if (name_check("pod", fails[i], &e) != -EINVAL)
			fail_msg("%s: taken", fails[i]);
		assert_non_null(strstr(e.text, "pod"));
	}
}

static void lists(void **state)
{
	struct strs s = { 0 }, t = { 0 };
	assert_null(strs_lookup(&s, "A"));
	assert_int_equal(strs_copy(&t, &s), 0);
	for (int i = 0; i < 100; i++) {
		char line[32];
		int n = snprintf(line, sizeof line, "K%d=%d", i % 10, i);
		assert_int_equal(strs_add(&s, line, (size_t)n), 0);
		assert_null(s.v[s.n]);
	}
	assert_int_equal(strs_copy(&t, &s), 0);
	strs_free(&s);
	assert_int_equal(t.n, 100);
	assert_string_equal(strs_lookup(&t, "K3"), "93");
	assert_null(strs_lookup(&t, "K"));
	assert_null(strs_lookup(&t, "K3=93"));
	strs_free(&t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_values_read_back),
		TEST(bad_values_change_nothing),
		TEST(nul_and_size_are_checked_everywhere),
		TEST(defaults),
		TEST(defaults_are_the_nodes),
		TEST(pod_and_container_limits_are_apart),
		TEST(fields_have_scopes),
		TEST(the_sentence_names_the_file),
		TEST(quoted_size_is_checked),
		TEST(containers_come_and_go),
		TEST(names),
		TEST(lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
