/* runtime/spec/record: what is written is read back whole; what is wrong in it is named. */
#include "runtime/base/util.h"
#include "runtime/spec/spec.h"
#include "tests/unit/unit.h"

#define UID "01234567-89ab-cdef-0123-456789abcdef"
#define N63 "abcdefghij-bcdefghij-bcdefghij-bcdefghij-bcdefghij-bcdefghij-bc"

static struct pod_spec *example(void)
{
	struct pod_spec *p = pod_spec_new();
	strcpy(p->name, N63);
	strcpy(p->uid, UID);
	p->serial = (1ull << 40) - 1;
	p->created_ns = UINT64_MAX;
	p->owner = 1000;
	p->group = UINT32_MAX - 1;
	p->mode = 0750;
	return p;
}

static void set(struct pod_spec *p, struct container_spec *c, const char *name, const char *text, size_t len)
{
	struct err e = { 0 };
	const struct spec_field *f = spec_field_find(name, c ? SPEC_CONTAINER : SPEC_POD);
	if (spec_set(f, (struct spec_ref){ p, c }, text, len, &e))
		fail_msg("%s", e.text);
}

static void set_str(struct pod_spec *p, struct container_spec *c, const char *name, const char *text)
{
	set(p, c, name, text, strlen(text));
}

static struct container_spec *add(struct pod_spec *p, const char *name, uint64_t serial)
{
	struct container_spec *c = pod_spec_add(p, name);
	c->serial = serial;
	c->created_ns = serial * 3;
	return c;
}

/* Writes p, reads it, writes that: the texts agree. The spec read; p is freed. */
static struct pod_spec *again(struct pod_spec *p)
{
	_cleanup_buf_ struct buf first = { 0 }, second = { 0 };
	struct err e = { 0 };
	struct pod_spec *q = NULL;
	if (record_write(p, &first, &e))
		fail_msg("%s", e.text);
	_cleanup_free_ char *text = exact(first.data, first.len);
	if (record_read(text, first.len, &q, &e))
		fail_msg("%s", e.text);
	assert_int_equal(record_write(q, &second, &e), 0);
	assert_string_equal(second.data, first.data);
	pod_spec_free(p);
	return q;
}

static void a_bare_pod(void **state)
{
	struct pod_spec *p = again(example());
	assert_string_equal(p->name, N63);
	assert_string_equal(p->hostname, N63);
	assert_string_equal(p->uid, UID);
	assert_int_equal(p->serial, (1ull << 40) - 1);
	assert_int_equal(p->created_ns, UINT64_MAX);
	assert_int_equal(p->owner, 1000);
	assert_int_equal(p->group, UINT32_MAX - 1);
	assert_int_equal(p->mode, 0750);
	assert_int_equal(p->grace, 30);
	assert_int_equal(p->ncontainers, 0);
	pod_spec_free(p);
}

static void every_setting(void **state)
{
	static const char *const all[][2] = {
		{ "hostname", "www.example.org" }, { "grace", "7" }, { "restart", "Always" }, { "share", "ipc net uts pid" },
		{ "labels", "a=b\nc=d" }, { "annotations", "x.y/z= ; a # b\\" }, { "image", "nginx:alpine" },
		{ "command", "sh -c 'a; b' ';' '' '\n'" }, { "args", "[]" }, { "env", "A= x \nB=;\nC=\\n\nD=\t" }, { "workdir", "/ ;/x " },
		{ "user", "0:0" }, { "memory.max", "1G" }, { "memory.high", "max" }, { "cpu.max", "0.5" }, { "cpu.weight", "1" },
		{ "pids.max", "9" }, { "pull", "Always" }, { "network", "cni:x" }, { "ports", "8080:80\n53:53/udp" },
		{ "net.ingress", "1M" }, { "net.egress", "2M" }, { "hosts", "::1 a\n\n# b ; c\n" }, { "resolv.conf", "search x\n# y\n" },
	};
	struct pod_spec *p = example();
	struct container_spec *a = add(p, N63, 5), *b = add(p, "b", 6);
	EACH(all, i) {
		if (spec_field_find(all[i][0], SPEC_POD))
			set_str(p, NULL, all[i][0], all[i][1]);
		if (spec_field_find(all[i][0], SPEC_CONTAINER))
			set_str(p, a, all[i][0], all[i][1]);
	}
	set_str(p, b, "image", "busybox");
	b->start_pending = true;
	p = again(p);
	a = p->containers[0];
	assert_string_equal(a->name, N63);
	assert_int_equal(a->serial, 5);
	assert_int_equal(a->created_ns, 15);
	assert_true(a->has_args);
	assert_int_equal(a->args.n, 0);
	assert_int_equal(a->command.n, 6);
	assert_string_equal(a->command.v[2], "a; b");
	assert_string_equal(a->command.v[5], "\n");
	assert_string_equal(a->env.v[0], "A= x ");
	assert_string_equal(a->env.v[1], "B=;");
	assert_string_equal(a->env.v[3], "D=\t");
	assert_string_equal(a->workdir, "/ ;/x ");
	assert_string_equal(p->annotations.v[0], "x.y/z= ; a # b\\");
	assert_int_equal(p->limits.memory_max, 1 << 30);
	assert_int_equal(p->limits.memory_high, LIMIT_MAX);
	assert_true(p->share_pid);
	assert_int_equal(p->net.mode, NET_CNI);
	assert_string_equal(p->net.cni, "x");
	assert_int_equal(p->ports.n, 2);
	assert_int_equal(p->rate_in, 1 << 20);
	assert_int_equal(p->rate_out, 2 << 20);
	assert_string_equal(p->hosts, "::1 a\n\n# b ; c\n");
	assert_string_equal(p->resolv, "search x\n# y\n");
	assert_false(p->containers[1]->has_args);
	assert_true(a->has_pull && a->pull == PULL_ALWAYS);
	assert_false(p->containers[1]->has_pull);
	assert_false(a->start_pending);
	assert_true(p->containers[1]->start_pending);
	pod_spec_free(p);
}

static void the_lease(void **state)
{
	struct pod_spec *p = again(example());
	assert_int_equal(p->host, 0);
	assert_int_equal(p->ip.n, 0);
	p->host = UINT64_MAX;
	assert_int_equal(strs_add(&p->ip, "10.213.0.5/20", 13), 0);
	assert_int_equal(strs_add(&p->ip, "fd00::5/64", 10), 0);
	p = again(p);
	assert_int_equal(p->host, UINT64_MAX);
	assert_int_equal(p->ip.n, 2);
	assert_string_equal(p->ip.v[1], "fd00::5/64");
	pod_spec_free(p);
}

/* What was made on a node with another default stays what it is. */
static void the_network_is_the_pods(void **state)
{
	spec_defaults.net = (struct net_choice){ .mode = NET_HOST };
	struct pod_spec *p = example();
	spec_defaults.net = (struct net_choice){ 0 };
	p = again(p);
	assert_int_equal(p->net.mode, NET_HOST);
	pod_spec_free(p);
}

/* The lines of the pod's own name are found again in a record, and still follow. */
static void own_lines_are_found_again(void **state)
{
	_cleanup_buf_ struct buf hosts = { 0 }, after = { 0 };
	struct pod_spec *p = example();
	set_str(p, NULL, "hostname", "www");
	assert_int_equal(strs_add(&p->ip, "10.213.0.5/20", 13), 0);
	hosts_text(p, &hosts);
	buf_puts(&hosts, "10.0.0.1 db\n");
	set(p, NULL, "hosts", hosts.data, hosts.len);
	p = again(p);
	set_str(p, NULL, "hostname", "api");
	hosts_text(p, &after);
	assert_string_equal(after.data, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
					"10.213.0.5\tapi\n10.0.0.1 db\n");
	pod_spec_free(p);
}

static void every_byte_and_long_values(void **state)
{
	_cleanup_buf_ struct buf env = { 0 };
	_cleanup_free_ char *semi = filled(5000, ';'), *big = filled(60000, 'x'), *blank = filled(10240, ' ');
	buf_puts(&env, "A=");
	for (int i = 1; i < 256; i++)
		if (i != '\n')
			buf_putc(&env, (char)i);
	buf_printf(&env, "\nS=%s", semi);
	buf_printf(&env, "\nW= %s ", blank);
	struct pod_spec *p = example();
	struct container_spec *c = add(p, "a", 1), *d = add(p, "b", 2);
	set(p, c, "env", env.data, env.len);
	buf_reset(&env);
	buf_printf(&env, "BIG=%s", big);
	set(p, d, "env", env.data, env.len);
	p = again(p);
	c = p->containers[0];
	assert_int_equal(strlen(c->env.v[0]), 2 + 254);
	assert_string_equal(strs_lookup(&c->env, "S"), semi);
	assert_int_equal(strlen(strs_lookup(&c->env, "W")), 10242);
	assert_string_equal(strs_lookup(&p->containers[1]->env, "BIG"), big);
	pod_spec_free(p);
}

static void records_have_a_bound(void **state)
{
	struct pod_spec *p = example();
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_free_ char *big = filled(60000, 'x');
	struct err e = { 0 };
	memcpy(big, "A=", 2);
	for (int i = 0; i < 3; i++) {
		char name[] = { 'a', (char)('a' + i), 0 };
		set(p, add(p, name, (uint64_t)i + 1), "env", big, 60000);
	}
	buf_puts(&out, "kept");
	assert_int_equal(record_write(p, &out, &e), -E2BIG);
	assert_non_null(strstr(e.text, "more than 160 KiB"));
	assert_string_equal(out.data, "kept");
	pod_spec_free(p);
}

/* What podfs-pod is sent at once. */
static void hosts_and_resolv_conf_count_twice(void **state)
{
	struct pod_spec *p = example();
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_free_ char *big = filled(60000, 'x');
	struct err e = { 0 };
	big[0] = '#';
	set(p, NULL, "hosts", big, 60000);
	assert_int_equal(record_write(p, &out, &e), 0);
	set(p, NULL, "resolv.conf", big, 60000);
	buf_reset(&out);
	assert_int_equal(record_write(p, &out, &e), -E2BIG);
	assert_non_null(strstr(e.text, "hosts and resolv.conf counted twice, are together more than 180 KiB"));
	set(p, NULL, "resolv.conf", big, 25000);
	assert_int_equal(record_write(p, &out, &e), 0);
	pod_spec_free(p);
}

#define POD "[pod]\nuid = " UID "\nname = web\nserial = 1\ncreated = 2\nowner = 0\ngroup = 0\nmode = 0755\n"

static void bad_records_are_named(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "", "the record has no name" },
		{ "[pod]\nname = web\n", "the record has no uid" },
		{ "[pod]\nname = web\nuid = " UID "\n", "the record has no serial" },
		{ "[pod]\nuid = x\n", "pod.ini:2: uid is not a UUID" },
		{ "[pod]\nuid = 01234567-89AB-cdef-0123-456789abcdef\n", "pod.ini:2: uid is not a UUID" },
		{ "[pod]\nname = Web\n", "pod.ini:2: Web: the name of a pod has only" },
		{ "[pod]\nname = a\\x00b\n", "pod.ini:2: the name of a pod holds a NUL byte" },
		{ "[pod]\nmode = 99\n", "pod.ini:2: 99 is not a number that fits" },
		{ "[pod]\nmode = 17777\n", "pod.ini:2: 17777 is not a number that fits" },
		{ "[pod]\nserial =\n", "pod.ini:2: \"\" is not a number" },
		{ "[pod]\nserial = 18446744073709551616\n", "pod.ini:2: 18446744073709551616 is not a number that fits" },
		{ "[pod]\nowner = 4294967296\n", "pod.ini:2: 4294967296 is not a number that fits" },
		{ "[pod]\ngroup = -1\n", "pod.ini:2: -1 is not a number" },
		{ "[pod]\ncreated = 1\\x00\n", "pod.ini:2: 1? is not a number" },
		{ "[pod]\nnosuch = 1\n", "pod.ini:2: unknown key nosuch" },
		{ "[pod]\nhost = x\n", "pod.ini:2: x is not a number that fits" },
		{ "[pod]\nip = 10.0.0.1/8 10.0.0.1\n", "pod.ini:2: ip: 10.0.0.1 is not ADDRESS/PREFIX" },
		{ "[pod]\nip = 10.0.0.1/129\n", "pod.ini:2: ip: 10.0.0.1/129 is not" },
		{ "[pod]\nip = /8\n", "pod.ini:2: ip: /8 is not" },
		{ "[pod]\nnetwork = host\nports = 80:80\n", "pod.ini:3: ports: network is host: " },
		{ "[pod]\nimage = nginx\n", "pod.ini:2: unknown key image" },
		{ "[pod]\nmemory.max = 10Q\n", "pod.ini:2: memory.max: 10Q is not a quantity" },
		{ "[pod]\nlabels = a\\q\n", "pod.ini:2: the backslash at byte 2" },
		{ "name = web\n", "pod.ini:1: first [pod], then [container]s" },
		{ "[volume]\nname = web\n", "pod.ini:2: first [pod], then [container]s are expected, not [volume]" },
		{ POD "[container]\nserial = 1\n", "pod.ini:10: a container begins with its name" },
		{ POD "[container]\nname = a\n", "container a has no serial" },
		{ POD "[container]\nname = a\nserial = 1\n[container]\nname = a\n", "pod.ini:13: container a is there twice" },
		{ POD "[container]\nname = a\nhostname = x\n", "pod.ini:11: unknown key hostname" },
		{ POD "[container]\nname = a\nserial = 1\n[pod]\ngrace = 1\n", "pod.ini:13: first [pod]" },
		{ "[pod]\nstart = pending\n", "pod.ini:2: unknown key start" },
		{ POD "[container]\nname = a\nserial = 1\nstart = soon\n", "pod.ini:12: start: soon is not pending" },
		{ POD "[container]\nname = a\nserial = 1\npull = soon\n", "pod.ini:12: pull: soon is not a pull policy" },
		{ "[pod]\nfoo\n", "pod.ini:2: no `key = value`" },
	};
	EACH(bad, i) {
		size_t len = strlen(bad[i].text);
		_cleanup_free_ char *text = exact(bad[i].text, len);
		struct pod_spec *p = NULL;
		struct err e = { 0 };
		int r = record_read(text, len, &p, &e);
		if (r != -EINVAL || strncmp(e.text, bad[i].why, strlen(bad[i].why)))
			fail_msg("%d %s, not %s", r, e.text, bad[i].why);
		assert_null(p);
		assert_int_equal(record_read(text, len, &p, NULL), -EINVAL);
	}
}

static void records_may_be_written_by_hand(void **state)
{
	static const char text[] = "; by hand\n" POD "grace: 5 ; seconds\n\n[container]\n  name = a\nserial = 2\n"
				   "command = sh -c 'sleep 1;\n   sleep 2'\n";
	struct pod_spec *p = NULL;
	struct err e = { 0 };
	if (record_read(text, strlen(text), &p, &e))
		fail_msg("%s", e.text);
	assert_int_equal(p->grace, 5);
	assert_int_equal(p->net.mode, NET_NONE); /* of a time without networks */
	assert_string_equal(p->containers[0]->command.v[2], "sleep 1;\nsleep 2");
	pod_spec_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bare_pod),
		cmocka_unit_test(every_setting),
		cmocka_unit_test(the_lease),
		cmocka_unit_test(the_network_is_the_pods),
		cmocka_unit_test(own_lines_are_found_again),
		cmocka_unit_test(every_byte_and_long_values),
		cmocka_unit_test(records_have_a_bound),
		cmocka_unit_test(hosts_and_resolv_conf_count_twice),
		cmocka_unit_test(bad_records_are_named),
		cmocka_unit_test(records_may_be_written_by_hand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
