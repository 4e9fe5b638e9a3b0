/* podfs-pod: the network namespace it lives in.
 *
 * In network and mount namespaces of its own: what is "the host's" below is the test's.
 */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int own_netns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* One with an interface of that name, so that it is told apart from within. */
static int new_netns(const char *link)
{
	char command[100];
	int before = own_netns();
	assert_false(unshare(CLONE_NEWNET));
	int fd = own_netns();
	snprintf(command, sizeof command, "ip link add %s type veth peer name peer0", link);
	assert_int_equal(system(command), 0);
	assert_false(setns(before, CLONE_NEWNET));
	close(before);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;
	assert_false(fstat(fd, &st));
	return st.st_ino;
}

/* 0: it has ended. */
static ino_t netns_of(int pid)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
	return stat(path, &st) ? 0 : st.st_ino;
}

static ino_t told_netns(struct rig *r)
{
	assert_int_equal(rig_simple(r, W_NETNS, NULL), 0);
	assert_int_equal(r->nfds, 1);
	_cleanup_close_ int fd = r->fds[0];
	return inode(fd);
}

static int move(struct rig *r, int fd, const char *hosts)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_NET);
	wire_str(&o, K_HOSTS, hosts);
	wire_str(&o, K_RESOLV, "nameserver 192.0.2.2\n");
	wire_str(&o, K_RECORD, hosts);
	if (fd >= 0)
		wire_fd(&o, fd);
	return rig_call(r, &o);
}

/* As many as an idle podfs-pod has: a job holds some more for a moment. */
static bool few_descriptors(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	for (uint64_t end = now_mono_ns() + 5000000000u; now_mono_ns() < end; poll(NULL, 0, 5)) {
		int n = -2; /* . and .. */
		_cleanup_dir_ DIR *d = opendir(path);
		while (readdir(d))
			n++;
		if (n <= 14)
			return true;
	}
	return false;
}

static bool all_live_in(pid_t pid, ino_t netns)
{
	char path[64];
	_cleanup_buf_ struct buf b = { 0 };
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	read_file_at(AT_FDCWD, path, 4096, &b);
	bool any = false;
	for (char *at = (char *)buf_str(&b), *end; *at; at = end + strspn(end, " ")) {
		ino_t its = netns_of((int)strtol(at, &end, 10));
		if (its && its != netns)
			return false;
		any |= its == netns;
	}
	return any;
}

/* podfs-pod's children: the reaper, which has moved when the answer comes, and jobs, which end. */
static bool children_live_in(pid_t pid, ino_t netns)
{
	for (uint64_t end = now_mono_ns() + 5000000000u; now_mono_ns() < end; poll(NULL, 0, 5))
		if (all_live_in(pid, netns))
			return true;
	return false;
}

/* A pair of links ends with the namespace that one of them is in. */
static void put_link(pid_t pid)
{
	char command[200];
	snprintf(command, sizeof command, "ip link add ours0 type veth peer name its0 && ip link set its0 netns %d", pid);
	assert_int_equal(system(command), 0);
}

static bool link_gone(void)
{
	for (uint64_t end = now_mono_ns() + 10000000000ull; now_mono_ns() < end; poll(NULL, 0, 5))
		if (!if_nametoindex("ours0"))
			return true;
	system("ip link del ours0");
	return false;
}

static void test_handed_in(void **state)
{
	struct rig r;
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, false);
	assert_int_equal(rig_sandbox_in(&r, fd), 0);
	assert_int_equal(netns_of(r.pid), inode(fd));
	assert_int_equal(told_netns(&r), inode(fd));
	assert_int_equal(rig_run(&r, "c1", "ls /sys/class/net; cat /proc/net/dev"), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_non_null(strstr(rig_log(&r, "c1"), "mark0\n"));
	assert_non_null(strstr(rig_log(&r, "c1"), "mark0:"));
	rig_close(&r);
}

static void test_own_has_lo_up(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_not_equal(told_netns(&r), netns_of(getpid()));
	assert_int_equal(rig_run(&r, "c1", "cat /sys/class/net/lo/flags; ls /sys/class/net | wc -l"), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_non_null(strstr(rig_log(&r, "c1"), "0x9\n"));
	rig_close(&r);
}

/* A start whose sandbox was refused leaves nothing and ends. */
static void refuse_sandbox(int fd)
{
	struct rig r;
	char path[RIG_PATH];
	rig_open(&r, false);
	assert_int_equal(rig_sandbox_in(&r, fd), -EINVAL);
	assert_non_null(strstr(r.error, "network namespace"));
	assert_true(wait_dead(r.pid));
	rig_pod_path(&r, path, "");
	assert_int_not_equal(access(path, F_OK), 0);
	close_fd(&r.sock);
	free(r.mem);
	remove_tree_at(AT_FDCWD, r.base);
}

/* setns(2) would take a pidfd for its process' namespaces. */
static int open_other(const char *path)
{
	int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : (int)syscall(SYS_pidfd_open, getpid(), 0);
	assert_true(fd >= 0);
	return fd;
}

static void test_no_namespace(void **state)
{
	static const char *const others[] = { "/dev/null", "/proc/self/ns/uts", "/proc/self/ns/mnt", "/", "" };
	struct rig r;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		_cleanup_close_ int fd = open_other(others[i]);
		refuse_sandbox(fd);
	}
	rig_open(&r, true);
	ino_t before = told_netns(&r);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		_cleanup_close_ int fd = open_other(others[i]);
		assert_int_equal(move(&r, fd, "moved\n"), -EINVAL);
	}
	assert_int_equal(netns_of(r.pid), before);
	rig_expect(&r, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	rig_expect(&r, "etc/resolv.conf", "nameserver 192.0.2.1\n");
	rig_expect(&r, "pod.ini", "[pod]\nname = web\n");
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	assert_int_equal(netns_of(rig_container(&r, "c1")->pid), before);
	rig_close(&r);
}

static void fail_to_start(struct rig *r, const char *name)
{
	struct wire_out o = { 0 };
	char *argv[] = { (char *)"/no/such", NULL };
	assert_int_equal(rig_add(r, name), 0);
	rig_plan_argv(r, &o, name, argv);
	assert_int_equal(rig_call(r, &o), -ENOENT);
	assert_true(rig_wait(r, name, WIRE_TERMINATED));
}

/* What may have been made in the old one: the reaper, folders of a run, a start that failed. */
static void test_moves(void **state)
{
	struct rig r;
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, true);
	put_link(r.pid);
	assert_int_equal(rig_add(&r, "c1"), 0);
	fail_to_start(&r, "c2");
	assert_int_equal(move(&r, fd, "moved\n"), 0);
	assert_int_equal(netns_of(r.pid), inode(fd));
	assert_int_equal(told_netns(&r), inode(fd));
	assert_true(children_live_in(r.pid, inode(fd)));
	assert_true(link_gone());
	rig_expect(&r, "etc/hosts", "moved\n");
	rig_expect(&r, "etc/resolv.conf", "nameserver 192.0.2.2\n");
	rig_expect(&r, "etc/hostname", "web\n");
	rig_expect(&r, "pod.ini", "moved\n");
	rig_container(&r, "c1")->known = true;
	assert_int_equal(rig_run(&r, "c1", "cat /etc/hosts; ls /sys/class/net; touch /dev/shm/x; exec sleep 1000"), 0);
	assert_true(rig_logged(&r, "c1", "mark0\n"));
	assert_int_equal(netns_of(rig_container(&r, "c1")->pid), inode(fd));
	rig_close(&r);
}

static void test_moves_to_one_of_its_own(void **state)
{
	struct rig r;
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, false);
	assert_int_equal(rig_sandbox_in(&r, fd), 0);
	put_link(r.pid);
	close_fd(&fd);
	assert_int_equal(move(&r, -1, "alone\n"), 0);
	assert_true(link_gone());
	assert_int_equal(rig_run(&r, "c1", "cat /sys/class/net/lo/flags"), 0);
	assert_true(rig_logged(&r, "c1", "0x9\n"));
	rig_close(&r);
}

/* Back and forth, also while the reaper is just being made: nothing is kept open. */
static void test_moves_often(void **state)
{
	struct rig r;
	_cleanup_close_ int a = new_netns("mark0"), b = new_netns("mark1");
	rig_open(&r, true);
	assert_int_equal(move(&r, a, "a\n"), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(move(&r, b, "b\n"), 0);
		assert_int_equal(move(&r, a, "a\n"), 0);
		told_netns(&r);
	}
	assert_true(few_descriptors(r.pid));
	assert_true(children_live_in(r.pid, inode(a)));
	rig_close(&r);
}

static void refuse_move(struct rig *r, int fd, const char *why)
{
	ino_t before = told_netns(r);
	assert_int_equal(move(r, fd, "moved\n"), -EBUSY);
	assert_non_null(strstr(r->error, why));
	assert_int_equal(told_netns(r), before);
	rig_expect(r, "pod.ini", "[pod]\nname = web\n");
	rig_expect(r, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
}

static void test_stays_once_used(void **state)
{
	struct rig r;
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	refuse_move(&r, fd, "c1 runs");
	assert_int_equal(rig_simple(&r, W_KILL, "c1"), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	refuse_move(&r, fd, "has run");
	assert_int_equal(rig_simple(&r, W_DROP, "c1"), 0);
	assert_true(RIG_UNTIL(&r, r.dropped));
	refuse_move(&r, fd, "has run");
	rig_close(&r);
}

/* The start was taken on, its reply is still to come. */
static void test_stays_while_starting(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, true);
	assert_int_equal(rig_add(&r, "c1"), 0);
	rig_plan(&r, &o, "c1", "exec sleep 1000");
	rig_send(&r, &o);
	refuse_move(&r, fd, "network: ");
	rig_close(&r);
}

static void test_told_while_leaving(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, false);
	assert_int_equal(rig_sandbox_in(&r, fd), 0);
	assert_int_equal(rig_run(&r, "c1", "trap '' TERM; echo up; while :; do sleep 1000; done"), 0);
	assert_true(rig_logged(&r, "c1", "up"));
	rig_begin(&r, &o, W_DELETE);
	wire_u64(&o, K_GRACE, 1);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_int_equal(told_netns(&r), inode(fd));
	assert_int_equal(move(&r, fd, "moved\n"), -ENOENT);
	assert_true(RIG_UNTIL(&r, r.gone));
	rig_close(&r);
}

/* Its links are not ours: lo stays down. */
static void test_host(void **state)
{
	struct rig r;
	_cleanup_close_ int host = own_netns();
	assert_int_equal(system("ip link add mark1 type veth peer name peer1"), 0);
	rig_open(&r, false);
	assert_int_equal(rig_sandbox_in(&r, host), 0);
	assert_int_equal(rig_run(&r, "c1", "ls /sys/class/net; cat /sys/class/net/lo/flags /proc/sys/net/ipv4/ping_group_range;"
		"mount; echo 1 > /proc/sys/net/ipv4/ip_forward || echo kept; hostname; exec sleep 1000"), 0);
	assert_true(rig_logged(&r, "c1", "web\n"));
	const char *log = rig_log(&r, "c1");
	assert_non_null(strstr(log, "mark1\n"));
	assert_non_null(strstr(log, "0x8\n"));
	assert_non_null(strstr(log, "kept\n"));
	assert_non_null(strstr(log, " on /dev/mqueue type mqueue"));
	assert_non_null(strstr(log, " on /sys type sysfs (ro,"));
	rig_close(&r);
	assert_true(if_nametoindex("mark1"));
	assert_int_equal(system("ip link del mark1"), 0);
}

/* A move that can't write the texts is none. */
static void test_full_disk_moving(void **state)
{
	struct rig r;
	char etc[RIG_PATH], filler[RIG_PATH];
	_cleanup_close_ int fd = new_netns("mark0");
	rig_open(&r, false);
	rig_fill_etc(&r, etc, filler);
	assert_int_equal(rig_sandbox(&r), 0);
	ino_t before = told_netns(&r);
	assert_int_equal(move(&r, fd, "moved\n"), -ENOSPC);
	assert_int_equal(told_netns(&r), before);
	assert_true(children_live_in(r.pid, before));
	rig_expect(&r, "pod.ini", "[pod]\nname = web\n");
	assert_false(umount2(etc, MNT_DETACH));
	assert_int_equal(rig_run(&r, "c1", "cat /etc/hosts; exec sleep 1000"), 0);
	assert_true(rig_logged(&r, "c1", "\tweb\n"));
	assert_int_equal(netns_of(rig_container(&r, "c1")->pid), before);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handed_in), cmocka_unit_test(test_own_has_lo_up), cmocka_unit_test(test_no_namespace),
		cmocka_unit_test(test_moves), cmocka_unit_test(test_moves_to_one_of_its_own), cmocka_unit_test(test_moves_often),
		cmocka_unit_test(test_stays_once_used), cmocka_unit_test(test_stays_while_starting),
		cmocka_unit_test(test_told_while_leaving), cmocka_unit_test(test_host), cmocka_unit_test(test_full_disk_moving),
	};
	if (geteuid())
		return 77; /* meson: skipped */
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		rig_die("namespaces of the test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
