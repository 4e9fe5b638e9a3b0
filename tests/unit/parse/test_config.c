/* runtime/parse/config: defaults, the file, options; errors name file, line and key. */
#include "runtime/base/util.h"
#include "runtime/parse/config.h"
#include "tests/unit/unit.h"

#include <fcntl.h>

static char path[] = "/tmp/podfs-config.XXXXXX";
static struct config c;

static int setup(void **state)
{
	return config_defaults(&c);
}

static int teardown(void **state)
{
	config_free(&c);
	return 0;
}

static void write_config(const char *text, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, len), 0);
}

static void reads(const char *text)
{
	struct err e = { 0 };
	write_config(text, strlen(text));
	if (config_read_file(&c, path, &e))
		fail_msg("%s: %s", text, e.text);
}

static void refuses(const char *text, size_t len, int line, const char *why)
{
	struct err e = { 0 };
	char expected[300];
	write_config(text, len);
	assert_int_equal(config_read_file(&c, path, &e), -EINVAL);
	assert_int_equal(e.code, EINVAL);
	snprintf(expected, sizeof expected, "%s:%d: %s", path, line, why);
	assert_string_equal(e.text, expected);
}

static void defaults(void **state)
{
	assert_string_equal(c.config, "/etc/podfs/podfs.conf");
	assert_string_equal(c.state, "/var/lib/podfs");
	assert_string_equal(c.run, "/run/podfs");
	assert_string_equal(c.cgroup, "podfs");
	assert_string_equal(c.users, "");
	assert_int_equal(c.max_pods, 1000);
	assert_int_equal(c.restart, RESTART_NEVER);
	assert_int_equal(c.grace, 30);
	assert_int_equal(c.log_max, 16 << 20);
	assert_int_equal(c.log_files, 4);
	assert_int_equal(c.backoff_base, 10000);
	assert_int_equal(c.backoff_cap, 300000);
	assert_int_equal(c.backoff_reset, 600000);
	assert_int_equal(c.pull_backoff_base, 10000);
	assert_int_equal(c.pull, PULL_IF_NOT_PRESENT);
	assert_int_equal(c.pull_backoff_cap, 300000);
	assert_int_equal(c.pull_stall, 60);
	assert_int_equal(c.image_max, 64ull << 30);
	assert_int_equal(c.image_gc_high, 85);
	assert_int_equal(c.image_gc_low, 80);
	assert_int_equal(c.network.mode, NET_BRIDGE);
	assert_string_equal(c.subnet4, "auto");
	assert_string_equal(c.subnet6, "auto");
	assert_string_equal(c.cni_conf, "/etc/cni/net.d");
	assert_string_equal(c.cni_bin, "/usr/lib/cni:/opt/cni/bin");
	assert_int_equal(config_finish(&c, NULL), 0);
	assert_string_equal(c.bridge, "podfs0");
}

static void a_file_is_read(void **state)
{
	reads("# the node\n[node]\nstate = /srv/podfs ; here\nrun=/run/x\nusers = alice bob\n  carol\nmax_pods = 20\n"
	      "restart = OnFailure\ngrace = 1m\nlog_max = 64K\nlog_files: 2\nbackoff_base = 0.1\nbackoff_cap = 2.5\n"
	      "pull = Always\npull_backoff_cap = 0.5\npull_stall = 2m\nimage_gc_high = 60\nimage_gc_low = 0\n"
	      "image_max = 1Gi\nsubuid = 100000:65536\ncgroup = pods.slice\n"
	      "network = cni:my-net\nbridge = br-pods\nsubnet4 = 10.1.0.0/16\nsubnet6 = none\ncni_bin = /a\n");
	assert_string_equal(c.state, "/srv/podfs");
	assert_string_equal(c.run, "/run/x");
	assert_string_equal(c.users, "alice bob carol");
	assert_int_equal(c.max_pods, 20);
	assert_int_equal(c.restart, RESTART_ON_FAILURE);
	assert_int_equal(c.grace, 60);
	assert_int_equal(c.log_max, 65536);
	assert_int_equal(c.log_files, 2);
	assert_int_equal(c.backoff_base, 100);
	assert_int_equal(c.backoff_cap, 2500);
	assert_int_equal(c.pull, PULL_ALWAYS);
	assert_int_equal(c.pull_backoff_cap, 500);
	assert_int_equal(c.pull_stall, 120);
	assert_int_equal(c.image_gc_high, 60);
	assert_int_equal(c.image_gc_low, 0);
	assert_int_equal(c.image_max, 1 << 30);
	assert_string_equal(c.subuid, "100000:65536");
	assert_string_equal(c.cgroup, "pods.slice");
	assert_int_equal(c.network.mode, NET_CNI);
	assert_string_equal(c.network.cni, "my-net");
	assert_string_equal(c.subnet4, "10.1.0.0/16");
	assert_string_equal(c.subnet6, "none");
	assert_string_equal(c.cni_bin, "/a");
	assert_int_equal(config_finish(&c, NULL), 0);
	assert_string_equal(c.bridge, "br-pods"); /* whatever the state folder */
}

static void empty_files_are_fine(void **state)
{
	reads("");
	reads("[node]\n");
	assert_int_equal(c.grace, 30);
}

static void errors_name_file_and_line(void **state)
{
#define REFUSES(text, line, why) refuses(text, sizeof(text) - 1, line, why)
	REFUSES("[node]\n\ngrase = 3\n", 3, "grase is not a key");
	REFUSES("[node]\ngrace = soon\n", 2, "grace: soon is not a number of seconds (try 30, 2m, 1h)");
	REFUSES("grace = 3\n", 1, "grace: keys stand in the section [node], this is []");
	REFUSES("[node]\ngrace = 3\n[nodes]\ngrace=4\n", 4, "grace: keys stand in the section [node], this is [nodes]");
	REFUSES("[node]\nstate = var\n", 2, "state: var is not an absolute path");
	REFUSES("[node]\nstate =\n", 2, "state: \"\" is not an absolute path");
	REFUSES("[node]\nconfig = /x\n", 2, "config names this file: it can only be an option");
	REFUSES("[node]\nfoo\n", 2, "no `key = value`");
	REFUSES("[node]\nrestart = always\n", 2, "restart: always is not a restart policy (Never, OnFailure, Always)");
	REFUSES("[node]\npull = always\n", 2, "pull: always is not a pull policy (IfNotPresent, Always, Never)");
	REFUSES("[node]\npull_stall = 0\n", 2, "pull_stall: 0 is too little");
	REFUSES("[node]\nnetwork = bridged\n", 2, "network: bridged is not a network (bridge, none, host, cni:NAME)");
	REFUSES("[node]\nbridge = a/b\n", 2, "bridge: a/b is not the name of a link (letters, digits, _ . -, at most 15)");
	REFUSES("[node]\nsubnet4 = 10.0.0.1/8\n", 2, "subnet4: 10.0.0.1/8 has bits set behind its prefix");
	REFUSES("[node]\n\nsubnet4 = fd00::/64\n", 3,
		"subnet4: fd00::/64 is not a subnet of IPv4 (10.213.0.0/20, /8 to /29), auto or none");
	REFUSES("[node]\nsubnet6 = fd00::/63\n", 2,
		"subnet6: fd00::/63 is not a subnet of IPv6 (fd00:1::/64, /64 to /120), auto or none");
	REFUSES("[node]\nsubnet6 = fe80::/64\n", 2, "subnet6: fe80::/64 is not a subnet that hosts can be in");
	REFUSES("[node]\ncni_bin = /a:b\n", 2, "cni_bin: b is not an absolute path");
	REFUSES("[node]\nlog_max = 10Q\n", 2, "log_max: 10Q is not a quantity (try 256M, 1Gi, max)");
	REFUSES("[node]\nmax_pods = 0\n", 2, "max_pods: 0 is too little");
	REFUSES("[node]\nstate = /a\0b\n", 2, "a NUL byte");
	REFUSES("[node]\nstate = /a\n  /b\n", 2, "state: /a?/b: control character in the path");
#undef REFUSES
}

static bool is_alice(const char *name)
{
	return !strcmp(name, "alice");
}

static void users_are_asked_for(void **state)
{
	static const char text[] = "[node]\n\nusers = alice\n  bob\n";
	reads(text);
	c.has_user = is_alice;
	reads("[node]\nusers = alice\n");
	refuses(text, sizeof text - 1, 3, "users: there is no user bob");
	assert_string_equal(c.users, "alice");
}

static void bad_values_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "state", "" }, { "state", "rel/x" }, { "run", "./x" }, { "config", "" }, { "cgroup", "" }, { "cgroup", "a/b" },
		{ "cgroup", ".." }, { "cgroup", "a b" }, { "users", "alice ../x" }, { "users", "a:b" }, { "subuid", "100000" },
		{ "subuid", "x:1" }, { "subuid", "1:0" }, { "subuid", "4294967295:1" }, { "max_pods", "-1" },
		{ "max_pods", "max" }, { "max_pods", "99999999999999999999" }, { "max_pods", "1000001" }, { "restart", "" },
		{ "grace", "-1" }, { "grace", "0.5" }, { "grace", "99999999999" }, { "log_max", "4095" }, { "log_max", "max" },
		{ "log_max", "2G" }, { "log_files", "0" }, { "log_files", "1.5" }, { "backoff_base", "0" },
		{ "backoff_base", "0.0" }, { "backoff_cap", "-0.1" }, { "image_max", "0" }, { "image_max", "1e9G" },
		{ "pull", "" }, { "pull", "Sometimes" }, { "pull_stall", "86401" }, { "pull_stall", "max" }, { "pull_backoff_cap", "0" },
		{ "image_gc_high", "0" }, { "image_gc_high", "101" }, { "image_gc_high", "85%" }, { "image_gc_low", "100" },
		{ "network", "" }, { "network", "Bridge" }, { "network", "cni:" }, { "network", "cni:../x" }, { "network", "cni" },
		{ "bridge", "abcdefghijklmnop" }, { "bridge", "." }, { "bridge", "a b" }, { "bridge", "-a" },
		{ "subnet4", "" }, { "subnet4", "10.0.0.0" }, { "subnet4", "10.0.0.0/" }, { "subnet4", "10.0.0.0/-8" },
		{ "subnet4", "10.0.0.0/7" }, { "subnet4", "10.0.0.0/30" }, { "subnet4", "10.1.0.0/15" }, { "subnet4", "127.0.0.0/8" },
		{ "subnet4", "224.0.0.0/8" }, { "subnet4", "0.0.0.0/8" }, { "subnet4", "10.0.0.0/18446744073709551624" },
		{ "subnet6", "fd00::1/64" }, { "subnet6", "fd00::/121" }, { "subnet6", "ff00::/64" }, { "subnet6", "::/64" },
		{ "subnet6", "::ffff:10.0.0.0/104" }, { "subnet6", "10.0.0.0/20" }, { "subnet6", "fd00::/64/64" },
		{ "cni_conf", "etc/cni" }, { "cni_bin", "" }, { "cni_bin", ":/a" }, { "cni_bin", "/a:" }, { "cni_bin", "/a:bin" },
	};
	EACH(bad, i) {
		struct err e = { 0 };
		if (config_set(&c, bad[i][0], bad[i][1], &e) != -EINVAL)
			fail_msg("%s = %s: taken", bad[i][0], bad[i][1]);
		assert_int_equal(e.code, EINVAL);
		assert_memory_equal(e.text, bad[i][0], strlen(bad[i][0]));
	}
	assert_string_equal(c.state, "/var/lib/podfs");
	assert_int_equal(config_set(&c, "nosuch", "1", NULL), -ENOENT);
	assert_int_equal(config_set(&c, "", "1", NULL), -ENOENT);
}

/* Whatever order they are read in. */
static void keys_that_contradict_each_other(void **state)
{
	struct err e = { 0 };
	reads("[node]\nimage_gc_low = 90\nimage_gc_high = 95\n");
	assert_int_equal(config_finish(&c, &e), 0);
	reads("[node]\nimage_gc_high = 90\n");
	assert_int_equal(config_finish(&c, &e), -EINVAL);
	assert_string_equal(e.text, "image_gc_low: 90 is not below image_gc_high, which is 90");
}

static void no_subnet_is_left(void **state)
{
	struct err e = { 0 };
	reads("[node]\nsubnet4 = none\n");
	assert_int_equal(config_finish(&c, NULL), 0);
	reads("[node]\nsubnet6 = none\n");
	assert_int_equal(config_finish(&c, &e), -EINVAL);
	assert_string_equal(e.text, "subnet4 and subnet6 are both none: for pods without a network there is `network = none`");
}

/* Two state folders, two bridges; always the same one of the same folder. */
static void bridges_of_other_instances(void **state)
{
	char first[16];
	reads("[node]\nstate = /srv/a\n");
	assert_int_equal(config_finish(&c, NULL), 0);
	snprintf(first, sizeof first, "%s", c.bridge);
	assert_int_equal(strlen(first), 14);
	assert_memory_equal(first, "podfs-", 6);
	reads("[node]\nstate = /srv/b\nbridge =\n");
	assert_int_equal(config_finish(&c, NULL), 0);
	assert_string_not_equal(c.bridge, first);
	reads("[node]\nstate = /srv/a\nbridge =\n");
	assert_int_equal(config_finish(&c, NULL), 0);
	assert_string_equal(c.bridge, first);
}

static void subnets_that_are_fine(void **state)
{
	static const char *const good[][2] = {
		{ "subnet4", "10.0.0.0/8" }, { "subnet4", "192.168.1.8/29" }, { "subnet4", "172.16.0.0/13" }, { "subnet6", "fd12:3456::/64" },
		{ "subnet6", "2001:db8::100/120" }, { "subnet6", "2001:db8:0:0:8000::/65" },
	};
	EACH(good, i)
		assert_int_equal(config_set(&c, good[i][0], good[i][1], NULL), 0);
}

static void what_is_shown_can_be_read(void **state)
{
	_cleanup_buf_ struct buf first = { 0 }, again = { 0 };
	static const char *const set[][2] = {
		{ "backoff_base", "0.125" }, { "backoff_cap", "1h" }, { "users", "a b" }, { "restart", "Always" }, { "log_max", "1M" },
		{ "pull", "Never" }, { "network", "cni:a.b" }, { "bridge", "br0" }, { "subnet6", "fd00::/64" }, { "cni_bin", "/a:/b" },
	};
	EACH(set, i)
		assert_int_equal(config_set(&c, set[i][0], set[i][1], NULL), 0);
	config_show(&c, &first);
	assert_non_null(strstr(first.data, "backoff_base = 0.125\n"));
	assert_non_null(strstr(first.data, "backoff_cap = 3600\n"));
	char *line = strchr(first.data, '\n') + 1; /* config itself cannot stand in the file */
	buf_puts(&again, "[node]\n");
	buf_puts(&again, line);
	config_free(&c);
	assert_int_equal(config_defaults(&c), 0);
	reads(again.data);
	buf_reset(&again);
	config_show(&c, &again);
	assert_string_equal(first.data, again.data);
}

static void long_values_are_whole(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, users = { 0 };
	while (users.len < 10240)
		buf_printf(&users, "%suser%zu", users.len ? " " : "", users.len);
	buf_printf(&text, "[node]\nusers = %s\ngrace = 5\n", users.data);
	reads(text.data);
	assert_string_equal(c.users, users.data);
	assert_int_equal(c.grace, 5);
	_cleanup_free_ char *dir = filled(3000, 'd');
	buf_reset(&text);
	buf_printf(&text, "[node]\nstate = /%s\n", dir);
	reads(text.data);
	assert_int_equal(strlen(c.state), 3001);
	_cleanup_free_ char *mega = filled(2 << 20, '\n');
	struct err e;
	write_config(mega, 2 << 20);
	assert_int_equal(config_read_file(&c, path, &e), -EFBIG);
}

static void a_file_that_cannot_be_read(void **state)
{
	struct err e = { 0 };
	assert_int_equal(config_read_file(&c, "/nonexistent/podfs.conf", &e), -ENOENT);
	assert_string_equal(e.text, "/nonexistent/podfs.conf: No such file or directory");
	assert_int_equal(config_read_file(&c, "/tmp", &e), -EISDIR);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(a_file_is_read),
		TEST(empty_files_are_fine),
		TEST(errors_name_file_and_line),
		TEST(users_are_asked_for), TEST(bad_values_are_refused),
		TEST(keys_that_contradict_each_other),
		TEST(no_subnet_is_left),
		TEST(bridges_of_other_instances),
		TEST(subnets_that_are_fine),
		TEST(what_is_shown_can_be_read),
		TEST(long_values_are_whole),
		TEST(a_file_that_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
