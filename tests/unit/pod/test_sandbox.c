/* podfs-pod: the sandbox, and what is left when it goes. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void read_state(struct rig *r, const char *name, struct buf *out)
{
	char path[256];
	snprintf(path, sizeof path, "%s/state/pods/%s/%s", r->base, r->uid, name);
	buf_reset(out);
	read_file_at(AT_FDCWD, path, 1 << 20, out);
}

static bool other_namespace(struct rig *r, const char *ns)
{
	char path[64], mine[64], its[64];
	snprintf(path, sizeof path, "/proc/self/ns/%s", ns);
	ssize_t n = readlink(path, mine, sizeof mine);
	snprintf(path, sizeof path, "/proc/%d/ns/%s", r->pid, ns);
	ssize_t m = readlink(path, its, sizeof its);
	assert_true(n > 0 && m > 0);
	return n != m || memcmp(mine, its, (size_t)n);
}

static void test_stands(void **state)
{
	struct rig r;
	_cleanup_buf_ struct buf b = { 0 };
	rig_open(&r, true);
	assert_int_equal(r.ready, 1);
	assert_true(other_namespace(&r, "net") && other_namespace(&r, "ipc") && other_namespace(&r, "uts"));
	assert_false(other_namespace(&r, "mnt") || other_namespace(&r, "pid"));
	read_state(&r, "pod.ini", &b);
	assert_string_equal(buf_str(&b), "[pod]\nname = web\n");
	assert_int_equal(rig_simple(&r, W_HELLO, NULL), 0); /* the rest comes after the answer */
	read_state(&r, "etc/hostname", &b);
	assert_string_equal(buf_str(&b), "web\n");
	read_state(&r, "etc/hosts", &b);
	assert_string_equal(buf_str(&b), "127.0.0.1\tlocalhost\n127.0.0.1\tweb\n");
	read_state(&r, "etc/resolv.conf", &b);
	assert_string_equal(buf_str(&b), "nameserver 192.0.2.1\n");
	rig_close(&r);
}

/* How many descriptors the process has; none of them may be the stray one. */
static int count_descriptors(pid_t pid)
{
	char path[64];
	int n = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	_cleanup_dir_ DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));) {
		char to[256] = "";
		if (de->d_name[0] == '.')
			continue;
		n++;
		if (readlinkat(dirfd(d), de->d_name, to, sizeof to - 1) > 0)
			assert_string_not_equal(to, "/dev/zero");
	}
	return n;
}

static void test_only_its_descriptors(void **state)
{
	struct rig r;
	int n;
	int stray = open("/dev/zero", O_RDONLY); /* not CLOEXEC: inherited */
	rig_open(&r, true);
	close(stray);
	/* stdio, two sockets, the listener and its eventfd, epoll, two pidfds, three folders, `alive`; a job of the start holds some for a
	 * moment. */
	uint64_t until = now_mono_ns() + 5000000000u;
	while ((n = count_descriptors(r.pid)) > 14 && now_mono_ns() < until)
		poll(NULL, 0, 5);
	assert_true(n <= 14);
	rig_close(&r);
}

static void test_record(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	rig_open(&r, true);
	rig_begin(&r, &o, W_RECORD);
	wire_str(&o, K_RECORD, "second");
	assert_int_equal(rig_call(&r, &o), 0);
	read_state(&r, "pod.ini", &b);
	assert_string_equal(buf_str(&b), "second");

	/* A request that fails leaves the record as it was. */
	rig_begin(&r, &o, W_STOP);
	wire_str(&o, K_NAME, "nobody");
	wire_str(&o, K_RECORD, "third");
	assert_int_equal(rig_call(&r, &o), -ENOENT);
	read_state(&r, "pod.ini", &b);
	assert_string_equal(buf_str(&b), "second");
	read_state(&r, ".pod.ini", &b);
	assert_int_equal(b.len, 0);

	rig_begin(&r, &o, W_HOSTNAME);
	wire_str(&o, K_HOSTNAME, "other");
	wire_str(&o, K_HOSTS, "127.0.0.1\tother\n");
	wire_str(&o, K_RECORD, "fourth");
	assert_int_equal(rig_call(&r, &o), 0);
	read_state(&r, "pod.ini", &b);
	assert_string_equal(buf_str(&b), "fourth");
	read_state(&r, "etc/hosts", &b);
	assert_string_equal(buf_str(&b), "127.0.0.1\tother\n");
	read_state(&r, "etc/hostname", &b);
	assert_string_equal(buf_str(&b), "other\n");
	rig_close(&r);
}

/* A server has made the pod one that leaves, as it got no answer in time: no change brings the record back. */
static void test_record_of_one_that_leaves(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	char path[256], to[256];
	rig_open(&r, true);
	snprintf(path, sizeof path, "%s/state/pods/%s/pod.ini", r.base, r.uid);
	snprintf(to, sizeof to, "%s/state/pods/%s/leaving.ini", r.base, r.uid);
	assert_int_equal(rename(path, to), 0);
	rig_begin(&r, &o, W_RECORD);
	wire_str(&o, K_RECORD, "second");
	assert_int_equal(rig_call(&r, &o), -ENOENT);
	read_state(&r, "pod.ini", &b);
	read_state(&r, ".pod.ini", &b);
	assert_int_equal(b.len, 0);
	read_state(&r, "leaving.ini", &b);
	assert_true(b.len > 0);
	rig_close(&r);
}

static void test_refusals(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, false);
	assert_int_equal(rig_simple(&r, W_STOP, "c1"), -EPROTO); /* before the sandbox */
	assert_int_equal(rig_sandbox(&r), 0);
	assert_int_equal(rig_sandbox(&r), -EALREADY);
	rig_begin(&r, &o, (enum wire_op)60);
	assert_int_equal(rig_call(&r, &o), -EOPNOTSUPP);
	assert_int_equal(rig_simple(&r, W_ADD, "../up"), -EINVAL);
	assert_int_equal(rig_simple(&r, W_ADD, ""), -EINVAL);
	assert_int_equal(rig_simple(&r, W_ADD, "c1"), 0);
	assert_int_equal(rig_simple(&r, W_ADD, "c1"), -EEXIST);
	assert_int_equal(rig_simple(&r, W_PAUSE, "c1"), -ESRCH);
	assert_int_equal(rig_simple(&r, W_KILL, "c1"), -ESRCH);
	assert_int_equal(rig_simple(&r, W_STOP, "c1"), 0);
	rig_close(&r);
}

/* A record that can't be written: no sandbox, and podfs-pod ends. */
static void test_no_record(void **state)
{
	struct rig r;
	char path[RIG_PATH];
	rig_open(&r, false);
	rig_pod_path(&r, path, ".pod.ini");
	assert_false(mkdir_all(path, 0700));
	assert_int_equal(rig_sandbox(&r), -EISDIR);
	assert_non_null(strstr(r.error, "pod.ini"));
	assert_true(wait_dead(r.pid));
	close_fd(&r.sock);
	free(r.mem);
	remove_tree_at(AT_FDCWD, r.base);
}

static void expect_nothing_left(struct rig *r)
{
	char path[256];
	assert_true(wait_dead(r->pid));
	snprintf(path, sizeof path, "%s/run/%s.sock", r->base, r->uid);
	assert_int_not_equal(access(path, F_OK), 0);
	rig_pod_path(r, path, "");
	assert_int_not_equal(access(path, F_OK), 0);
	free(r->mem);
	remove_tree_at(AT_FDCWD, r->base);
}

/* A server that dies before it has asked for anything leaves nothing. */
static void test_orphan(void **state)
{
	struct rig r;
	rig_open(&r, false);
	close_fd(&r.sock);
	expect_nothing_left(&r);
}

/* Nor does one that dies before the sandbox is begun: the next one has not heard of this pod, and makes another of the name. */
static void test_orphan_that_was_asked(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, false);
	assert_false(kill(r.pid, SIGSTOP));
	assert_int_equal(waitpid(r.pid, NULL, WUNTRACED), r.pid);
	rig_sandbox_message(&r, &o);
	rig_send(&r, &o);
	close_fd(&r.sock);
	assert_false(kill(r.pid, SIGCONT));
	expect_nothing_left(&r);
}

static void test_reconnect(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	int pid = rig_container(&r, "c1")->pid;
	close_fd(&r.sock);
	rig_container(&r, "c1")->state = -1;
	rig_reconnect(&r);
	assert_int_equal(r.ready, 1);
	assert_int_equal(rig_container(&r, "c1")->state, WIRE_RUNNING);
	assert_int_equal(rig_container(&r, "c1")->pid, pid);
	rig_close(&r);
}

/* The old server still holds its socket: the newest one is the server. */
static void test_newest_server_wins(void **state)
{
	struct rig r;
	rig_open(&r, true);
	int old = fcntl(r.sock, F_DUPFD_CLOEXEC, 3);
	rig_reconnect(&r);
	struct wire_in in;
	uint64_t end = now_mono_ns() + 5000000000ull;
	int got;
	while ((got = wire_recv(old, r.mem, WIRE_MAX, &in)) == -EAGAIN && now_mono_ns() < end)
		;
	assert_int_equal(got, 0);
	close(old);
	rig_close(&r);
}

static void test_remove_mode(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "touch /file; exec sleep 1000"), 0);
	int pid = rig_container(&r, "c1")->pid;
	kill(r.pid, SIGKILL);
	waitpid(r.pid, NULL, 0);
	assert_true(wait_dead(pid));
	close_fd(&r.sock);
	rig_spawn(&r, "-remove");
	rig_begin(&r, &o, W_DELETE);
	rig_put_groups(&r, &o, NULL);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_true(RIG_UNTIL(&r, r.gone));
	rig_close(&r);
}

/* A new podfs-pod for a pod that lost its first one: the old roots are nobody's. */
static void test_lost_and_made_anew(void **state)
{
	struct rig r;
	char path[256];
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "touch /file; exec sleep 1000"), 0);
	kill(r.pid, SIGKILL);
	waitpid(r.pid, NULL, 0);
	close_fd(&r.sock);
	rig_spawn(&r, NULL);
	assert_int_equal(rig_sandbox(&r), 0);
	rig_container(&r, "c1")->known = false;
	assert_int_equal(rig_run(&r, "c1", "ls /file; exec sleep 1000"), 0);
	snprintf(path, sizeof path, "%s/state/pods/%s/old", r.base, r.uid);
	for (uint64_t end = now_mono_ns() + 5000000000ull; !access(path, F_OK) && now_mono_ns() < end;)
		rig_step(&r, now_mono_ns() + 1000000);
	assert_int_not_equal(access(path, F_OK), 0);
	rig_close(&r);
}

static void test_shared_between_containers(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "echo from c1 > /dev/shm/f; hostname; exec sleep 1000"), 0);
	assert_true(rig_logged(&r, "c1", "web"));
	assert_int_equal(rig_run(&r, "c2", "cat /dev/shm/f; cat /sys/class/net/lo/operstate; ls /proc | grep -c '^[0-9]'"), 0);
	assert_true(rig_wait(&r, "c2", WIRE_TERMINATED));
	assert_non_null(strstr(rig_log(&r, "c2"), "from c1\n"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stands), cmocka_unit_test(test_only_its_descriptors), cmocka_unit_test(test_record), cmocka_unit_test(test_record_of_one_that_leaves),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_record), cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_orphan_that_was_asked), cmocka_unit_test(test_reconnect),
		cmocka_unit_test(test_newest_server_wins), cmocka_unit_test(test_remove_mode),
		cmocka_unit_test(test_lost_and_made_anew), cmocka_unit_test(test_shared_between_containers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
