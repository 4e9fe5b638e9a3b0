/* podfs-pod: images and containers that mean harm, and servers that do not listen. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* An image of its own whose paths lead elsewhere; `outside` is what they would like to reach. */
static void replace(struct rig *r, const char *name, const char *target)
{
	char path[256];
	rig_path(r, path, sizeof path, name);
	remove_tree_at(AT_FDCWD, path);
	if (target)
		assert_int_equal(symlink(target, path), 0);
}

static void outside_untouched(struct rig *r)
{
	char path[256];
	rig_path(r, path, sizeof path, "outside");
	_cleanup_dir_ DIR *d = opendir(path);
	int n = 0;
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	assert_int_equal(n, 0);
}

static void begin(struct rig *r, char up[300])
{
	char path[256];
	rig_open(r, true);
	rig_path(r, path, sizeof path, "outside");
	assert_int_equal(mkdir(path, 0777), 0);
	snprintf(up, 300, "../../../../../../../../../../..%s", path);
}

static int finish(struct rig *r, const char *script)
{
	rig_container(r, "c1")->state = -1;
	int result = rig_run(r, "c1", script);
	if (!result)
		rig_wait(r, "c1", WIRE_TERMINATED);
	return result;
}

/* Mount targets that are links: they lead to another place of the image, never out of it. */
static void test_targets(void **state)
{
	struct rig r;
	char up[300], file[320];
	begin(&r, up);
	snprintf(file, sizeof file, "%s/hosts", up);
	replace(&r, "root/dev", up);
	replace(&r, "root/sys", "tmp");
	replace(&r, "root/proc", up + 32); /* absolute */
	replace(&r, "root/etc/hosts", file);
	assert_int_equal(finish(&r, "cat /etc/hosts; cat /etc/hostname; ls /dev/null /dev/shm /proc/self/exe"), 0);
	outside_untouched(&r);
	assert_non_null(strstr(rig_log(&r, "c1"), "localhost"));
	assert_non_null(strstr(rig_log(&r, "c1"), "/dev/null"));

	/* Targets that can't be: a clear refusal. */
	replace(&r, "root/proc", NULL);
	replace(&r, "root/etc/hostname", "/proc/self/fd/3");
	assert_int_equal(finish(&r, "true"), -ELOOP);
	assert_non_null(strstr(r.error, "/etc/hostname"));
	replace(&r, "root/etc/hostname", NULL);
	replace(&r, "root/etc/hosts", NULL);
	char path[256];
	rig_path(&r, path, sizeof path, "root/etc/hosts");
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_not_equal(finish(&r, "true"), 0);
	assert_non_null(strstr(r.error, "/etc/hosts"));
	rig_path(&r, path, sizeof path, "root/etc/hosts");
	rmdir(path);
	replace(&r, "root/proc", NULL);
	rig_put(&r, "root/proc", "a file", 0644);
	assert_int_not_equal(finish(&r, "true"), 0);
	assert_non_null(strstr(r.error, "/proc"));
	rig_close(&r);
}

static void test_etc_leads_out(void **state)
{
	struct rig r;
	char up[300];
	begin(&r, up);
	replace(&r, "root/etc", up);
	assert_int_not_equal(finish(&r, "true") == 0 && rig_container(&r, "c1")->code != 0, 1);
	outside_untouched(&r);
	rig_close(&r);
}

static int with_passwd(struct rig *r)
{
	struct wire_out o = { 0 };
	if (!rig_container(r, "c1")->known)
		rig_add(r, "c1");
	rig_plan(r, &o, "c1", "true");
	wire_str(&o, K_USER, "app");
	int result = rig_call(r, &o);
	rig_wait(r, "c1", WIRE_TERMINATED);
	return result;
}

/* What is read of an image is bounded: no pipe blocks, no size and no text harms. */
static void test_passwd(void **state)
{
	struct rig r;
	char up[300], path[256];
	begin(&r, up);
	rig_path(&r, path, sizeof path, "root/etc/passwd");
	replace(&r, "root/etc/passwd", NULL);
	assert_int_equal(with_passwd(&r), -EINVAL);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(with_passwd(&r), -EINVAL);
	assert_string_equal(r.error, "/etc/passwd of the image is not a file");
	unlink(path);
	rig_put(&r, "root/etc/passwd", "app:x:1000:1000::/:\n", 0644);
	assert_int_equal(truncate(path, 1l << 40), 0);
	assert_int_equal(with_passwd(&r), -EFBIG);
	replace(&r, "root/etc/passwd", NULL);
	rig_put(&r, "root/etc/passwd", "app\napp:::::::::\n:\n\n::::\napp:x:99999999999:0::/:\n", 0644);
	assert_int_equal(with_passwd(&r), -EINVAL);
	replace(&r, "root/etc/passwd", "/proc/self/fd/3");
	assert_int_not_equal(with_passwd(&r), 0);
	replace(&r, "root/etc/passwd", "passwd");
	assert_int_equal(with_passwd(&r), -ELOOP);
	replace(&r, "root/etc/passwd", NULL);
	rig_put(&r, "root/etc/passwd", "app:x:7:8::/:", 0644);
	assert_int_equal(with_passwd(&r), 0);
	rig_close(&r);
}

/* A container can neither change the host's devices nor see what podfs-pod holds. */
static void test_reach(void **state)
{
	struct rig r;
	char up[300];
	struct stat before, after;
	begin(&r, up);
	assert_int_equal(stat("/dev/null", &before), 0);
	assert_int_equal(finish(&r, "busybox chmod 600 /dev/null; busybox chown 1:1 /dev/zero; echo x > /dev/null && echo wrote;"
				    "echo 1 > /proc/sys/kernel/panic; echo b > /proc/sysrq-trigger; cat /proc/kcore | wc -c;"
				    "ls /sys/firmware | wc -l; mount -t tmpfs x /tmp || echo refused; ls /proc/1/fd | wc -l"), 0);
	assert_int_equal(stat("/dev/null", &after), 0);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(before.st_uid, after.st_uid);
	const char *log = rig_log(&r, "c1");
	assert_non_null(strstr(log, "Read-only file system"));
	assert_non_null(strstr(log, "wrote\n"));
	assert_non_null(strstr(log, "refused\n"));
	assert_non_null(strstr(log, "\n0\n0\n"));
	rig_close(&r);
}

/* A server that does not read: podfs-pod goes on, lets go of it, and tells the next one everything. */
static void test_deaf_server(void **state)
{
	struct rig r;
	char up[300];
	begin(&r, up);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	rig_add(&r, "c2");
	struct wire_out o = { 0 };
	rig_plan(&r, &o, "c2", "exit 1");
	wire_u64(&o, K_RESTART, 2);
	wire_u64(&o, K_BACKOFF_BASE, 1);
	wire_u64(&o, K_BACKOFF_CAP, 1);
	wire_u64(&o, K_BACKOFF_RESET, 60000);
	rig_call(&r, &o);
	/* Nothing is read; requests whose answers fill the socket and the queue. */
	for (int i = 0; i < 20000; i++) {
		rig_begin(&r, &o, W_HELLO);
		int s = wire_send(r.sock, &o);
		wire_free(&o);
		if (s == -EPIPE || s == -ECONNRESET)
			break;
		struct pollfd p = { .fd = r.sock, .events = POLLOUT };
		if (s == -EAGAIN && poll(&p, 1, 1000) != 1)
			break;
	}
	r.closed = false;
	rig_reconnect(&r);
	assert_int_equal(rig_container(&r, "c1")->state, WIRE_RUNNING);
	assert_true(rig_container(&r, "c2")->restarts > 0);
	rig_close(&r);
}

/* SIGKILL at any instant: what comes after finds the disk in order and the kernel empty. */
static void test_killed_any_time(void **state)
{
	struct rig r;
	char up[300];
	begin(&r, up);
	unsigned seed = 1;
	for (int i = 0; i < 25; i++) {
		struct wire_out o = { 0 };
		rig_container(&r, "c1")->known = false;
		if (rig_add(&r, "c1"))
			break;
		rig_plan(&r, &o, "c1", "seq 1 1000; exec sleep 1000");
		rig_send(&r, &o);
		seed = seed * 1103515245 + 12345;
		uint64_t end = now_mono_ns() + seed / 65536 % 8000 * 1000;
		while (now_mono_ns() < end && rig_step(&r, end))
			;
		kill(r.pid, SIGKILL);
		waitpid(r.pid, NULL, 0);
		close_fd(&r.sock);
		rig_spawn(&r, NULL);
		assert_int_equal(rig_sandbox(&r), 0);
	}
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets), cmocka_unit_test(test_etc_leads_out), cmocka_unit_test(test_passwd),
		cmocka_unit_test(test_reach), cmocka_unit_test(test_deaf_server), cmocka_unit_test(test_killed_any_time),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
