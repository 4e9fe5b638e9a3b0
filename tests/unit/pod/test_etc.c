/* podfs-pod: the texts of /etc in the pod's containers. In a mount namespace of its own. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

static int write_etc(struct rig *r, const char *hosts, const char *resolv)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_ETC);
	wire_str(&o, K_HOSTS, hosts);
	wire_str(&o, K_RESOLV, resolv);
	return rig_call(r, &o);
}

static void test_seen_live(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	rig_expect_inside(&r, "c1", "etc/resolv.conf", "nameserver 192.0.2.1\n");
	assert_int_equal(write_etc(&r, "192.0.2.7 a much longer one, with a name in it\n", "x\n"), 0);
	rig_expect_inside(&r, "c1", "etc/hosts", "192.0.2.7 a much longer one, with a name in it\n");
	rig_expect_inside(&r, "c1", "etc/resolv.conf", "x\n");
	assert_int_equal(write_etc(&r, "", ""), 0);
	rig_expect_inside(&r, "c1", "etc/hosts", "");
	rig_begin(&r, &o, W_HOSTNAME);
	wire_str(&o, K_HOSTNAME, "other");
	wire_str(&o, K_HOSTS, "127.0.0.1 other\n");
	assert_int_equal(rig_call(&r, &o), 0);
	rig_expect_inside(&r, "c1", "etc/hostname", "other\n");
	rig_expect_inside(&r, "c1", "etc/hosts", "127.0.0.1 other\n");
	rig_expect_inside(&r, "c1", "etc/resolv.conf", "");
	rig_close(&r);
}

static void test_rewritten_by_a_container(void **state)
{
	struct rig r;
	rig_open(&r, true);
	rig_put(&r, "canary", "canary\n", 0644);
	assert_int_equal(rig_run(&r, "c1", "busybox rm -f /etc/hosts; busybox ln -sf /canary /etc/hosts; busybox mv /etc/hosts /etc/x;"
		"echo mine > /etc/hosts; busybox truncate -s 1T /etc/hosts; busybox chown 1000 /etc/hosts; busybox chmod 0 /etc/hosts;"
		"echo done; exec sleep 1000"), 0);
	assert_true(rig_logged(&r, "c1", "done\n"));
	assert_int_equal(write_etc(&r, "127.0.0.1 localhost\n", "nameserver 192.0.2.3\n"), 0);
	rig_expect_inside(&r, "c1", "etc/hosts", "127.0.0.1 localhost\n");
	rig_expect(&r, "etc/hosts", "127.0.0.1 localhost\n");
	rig_close(&r);
}

/* A container's root owns the file, so it may hold a lease on it: openings wait up to 45 s then. */
static void test_leased(void **state)
{
	struct rig r;
	char path[RIG_PATH];
	rig_open(&r, true);
	assert_int_equal(rig_simple(&r, W_HELLO, NULL), 0); /* the files come after the sandbox's answer */
	signal(SIGIO, SIG_IGN);
	rig_pod_path(&r, path, "etc/resolv.conf");
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_false(fcntl(fd, F_SETLEASE, F_RDLCK));
	uint64_t began = now_mono_ns();
	assert_int_equal(write_etc(&r, "a\n", "b\n"), -EBUSY);
	assert_true(now_mono_ns() - began < 2000000000u);
	assert_non_null(strstr(r.error, "lease"));
	rig_expect(&r, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	assert_false(fcntl(fd, F_SETLEASE, F_UNLCK));
	assert_int_equal(write_etc(&r, "a\n", "b\n"), 0);
	rig_expect(&r, "etc/hosts", "a\n");
	rig_close(&r);
}

static void test_full_disk(void **state)
{
	struct rig r;
	char etc[RIG_PATH], filler[RIG_PATH], large[5000];
	rig_open(&r, false);
	rig_fill_etc(&r, etc, filler);
	assert_int_equal(rig_sandbox(&r), 0);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), -ENOSPC);
	assert_non_null(strstr(r.error, "etc/hostname"));
	assert_int_equal(write_etc(&r, "a\n", "b\n"), -ENOSPC);
	assert_false(truncate(filler, 4096));
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	rig_expect_inside(&r, "c1", "etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	rig_expect_inside(&r, "c1", "etc/hostname", "web\n");
	/* No room for a second page of resolv.conf: hosts, which has room, stays as it is too. */
	memset(large, '#', sizeof large);
	large[sizeof large - 1] = 0;
	assert_int_equal(write_etc(&r, "a\n", large), -ENOSPC);
	rig_expect_inside(&r, "c1", "etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	rig_expect_inside(&r, "c1", "etc/resolv.conf", "nameserver 192.0.2.1\n");
	assert_int_equal(write_etc(&r, "a\n", "b\n"), 0);
	rig_expect_inside(&r, "c1", "etc/hosts", "a\n");
	assert_false(umount2(etc, MNT_DETACH));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seen_live), cmocka_unit_test(test_rewritten_by_a_container), cmocka_unit_test(test_leased),
		cmocka_unit_test(test_full_disk),
	};
	if (geteuid())
		return 77; /* meson: skipped */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		rig_die("mount namespace of the test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
