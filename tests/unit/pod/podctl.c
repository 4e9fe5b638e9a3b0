/* See podctl.h. */
#include "tests/unit/pod/podctl.h"

#include "runtime/spec/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CG "/sys/fs/cgroup"
static const char *const controllers[] = { "cpu", "memory", "pids", "freezer" };

static void die(const char *what)
{
	fprintf(stderr, "podctl: %s: %s\n", what, strerror(errno));
	abort();
}

static void in_base(const struct rig *r, char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", r->base, name);
}

static void copy(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	char mem[65536];
	ssize_t n;
	while ((n = read(in, mem, sizeof mem)) > 0)
		if (write_all(out, mem, (size_t)n))
			die(to);
}

static void put(const struct rig *r, const char *name, const char *text, mode_t mode)
{
	char path[256];
	in_base(r, path, sizeof path, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || write_all(fd, text, strlen(text)))
		die(path);
}

/* Applets are links, as an image has them. */
static void make_root(struct rig *r)
{
	static const char *const applets[] = {
		"sh", "cat", "echo", "sleep", "true", "false", "id", "ls", "mount", "dd", "kill", "hostname", "env", "ps", "stty",
		"tty", "head", "seq", "mknod", "touch", "readlink", "stat", "yes", "wc", "ipcs", "df", "pwd", "grep", "tr",
	};
	char path[256], link[256];
	static const char *const folders[] = { "root", "root/bin", "root/etc", "root/tmp", "state", "run" };
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		in_base(r, path, sizeof path, folders[i]);
		if (mkdir(path, 0755))
			die(path);
	}
	in_base(r, path, sizeof path, "root/bin/busybox");
	copy("/bin/busybox", path);
	for (size_t i = 0; i < ARRAY_LEN(applets); i++) {
		snprintf(link, sizeof link, "%s/root/bin/%s", r->base, applets[i]);
		if (symlink("busybox", link))
			die(link);
	}
	put(r, "root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n", 0644);
	put(r, "root/etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:other,app\n", 0644);
	put(r, "root/bin/plain", "echo not a script\n", 0755);
	put(r, "root/bin/noexec", "#!/bin/sh\n", 0644);
	put(r, "root/bin/nointerp", "#!/no/such\n", 0755);
	/* Where a naive launch would follow links out of the image. */
	in_base(r, link, sizeof link, "root/etc/resolv.conf");
	if (symlink("../../../../../../run/nowhere/resolv.conf", link))
		die(link);
}

void rig_cgdir(struct rig *r, const char *controller, const char *name, char *out, size_t size)
{
	snprintf(out, size, CG "/%s/podfs-test/%s%s%s", controller, r->uid, name ? "/c." : "", name ? name : "");
}

static void make_groups(struct rig *r, const char *name)
{
	char path[256];
	for (size_t i = 0; r->cgroups && i < ARRAY_LEN(controllers); i++) {
		snprintf(path, sizeof path, CG "/%s/podfs-test", controllers[i]);
		mkdir(path, 0755);
		rig_cgdir(r, controllers[i], NULL, path, sizeof path);
		mkdir(path, 0755);
		rig_cgdir(r, controllers[i], name, path, sizeof path);
		if (mkdir(path, 0755) && errno != EEXIST)
			die(path);
	}
}

static void put_groups(struct rig *r, struct wire_out *o, const char *name)
{
	char path[256];
	wire_u64(o, K_CGVERSION, 1);
	for (size_t i = 0; r->cgroups && i < ARRAY_LEN(controllers); i++) {
		rig_cgdir(r, controllers[i], name, path, sizeof path);
		wire_str(o, K_CGDIR, path);
	}
	if (!r->cgroups || !name)
		return;
	rig_cgdir(r, "memory", name, path, sizeof path - 20);
	strcat(path, "/memory.oom_control");
	wire_str(o, K_OOM, path);
	rig_cgdir(r, "freezer", name, path, sizeof path - 20);
	strcat(path, "/freezer.state");
	wire_str(o, K_FREEZE, path);
	wire_str(o, K_FREEZE_ON, "FROZEN");
	wire_str(o, K_FREEZE_OFF, "THAWED");
}

static void random_uid(char out[37])
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
	if (read(fd, out, 36) != 36)
		die("uuid");
	out[36] = 0;
}

static bool has_groups(void)
{
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		char path[64];
		snprintf(path, sizeof path, CG "/%s/tasks", controllers[i]);
		if (access(path, W_OK))
			return false;
	}
	return true;
}

/* A test that failed leaves its podfs-pod behind, which would outlive us. */
static pid_t left_running;

static void end_left_running(void)
{
	if (left_running > 0)
		kill(left_running, SIGKILL);
	left_running = 0;
}

void rig_spawn(struct rig *r, const char *mode)
{
	static const char *program;
	char state[80], run[80], num[8];
	int sv[2];
	program = getenv("PODFS_POD") ? getenv("PODFS_POD") : "podfs-pod";
	if (wire_socketpair(sv))
		die("socketpair");
	in_base(r, state, sizeof state, "state");
	in_base(r, run, sizeof run, "run");
	int theirs = fcntl(sv[1], F_DUPFD, 10);
	snprintf(num, sizeof num, "%d", theirs);
	char *argv[8], *none = NULL;
	int n = 0;
	argv[n++] = (char *)"podfs-pod";
	if (mode)
		argv[n++] = (char *)mode;
	argv[n++] = r->uid;
	argv[n++] = (char *)"web";
	argv[n++] = state;
	argv[n++] = run;
	argv[n++] = num;
	argv[n] = NULL;
	if (posix_spawn(&r->pid, program, NULL, NULL, argv, &none))
		die(program);
	left_running = r->pid;
	close(theirs);
	close(sv[1]);
	r->sock = sv[0];
	r->closed = false;
	r->ready = r->gone = 0;
}

void rig_open(struct rig *r, bool sandbox)
{
	*r = (struct rig){ .sock = -1 };
	end_left_running();
	atexit(end_left_running);
	if (geteuid()) {
		fprintf(stderr, "needs root\n");
		exit(77); /* meson: skipped */
	}
	snprintf(r->base, sizeof r->base, "%s/podfs-pod-test.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(r->base))
		die("mkdtemp");
	r->mem = malloc(WIRE_MAX);
	random_uid(r->uid);
	r->cgroups = has_groups();
	make_root(r);
	rig_spawn(r, NULL);
	if (sandbox && rig_sandbox(r))
		die(r->error);
}

int rig_sandbox(struct rig *r)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_SANDBOX);
	wire_str(&o, K_HOSTNAME, "web");
	wire_str(&o, K_SHARE, "ipc net uts");
	wire_u64(&o, K_GRACE, 5);
	wire_u64(&o, K_RESTART, RESTART_NEVER);
	put_groups(r, &o, NULL);
	wire_str(&o, K_RECORD, "[pod]\nname = web\n");
	return rig_call(r, &o);
}

/* --- messages --- */

struct seen *rig_container(struct rig *r, const char *name)
{
	for (struct seen *s = r->containers; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	struct seen *s = calloc(1, sizeof *s);
	snprintf(s->name, sizeof s->name, "%s", name);
	s->next = r->containers;
	s->state = -1;
	return r->containers = s;
}

struct seen_session *rig_session(struct rig *r, uint64_t serial)
{
	for (struct seen_session *s = r->sessions; s; s = s->next)
		if (s->serial == serial)
			return s;
	struct seen_session *s = calloc(1, sizeof *s);
	*s = (struct seen_session){ .serial = serial, .state = -1, .fds = { -1, -1, -1 }, .next = r->sessions };
	return r->sessions = s;
}

static void text(char *out, size_t size, const struct wire_in *in, enum wire_key key)
{
	const char *s = wire_get_str(in, key);
	snprintf(out, size, "%s", s ? s : "");
}

static void on_container(struct rig *r, const struct wire_in *in)
{
	struct seen *s = rig_container(r, wire_get_str(in, K_NAME));
	s->known = true;
	s->tells++;
	s->state = (int)wire_get_u64(in, K_STATE, 99);
	s->code = (int)wire_get_u64(in, K_CODE, (uint64_t)-1);
	s->signal = (int)wire_get_u64(in, K_SIGNAL, 0);
	s->pid = (int)wire_get_u64(in, K_PID, 0);
	s->root_fd = (int)wire_get_u64(in, K_ROOTFD, (uint64_t)-1);
	s->restarts = (unsigned)wire_get_u64(in, K_RESTARTS, 0);
	s->next_ns = wire_get_u64(in, K_NEXT, 0);
	s->started_ns = wire_get_u64(in, K_STARTED, 0);
	s->finished_ns = wire_get_u64(in, K_FINISHED, 0);
	text(s->reason, sizeof s->reason, in, K_REASON);
	text(s->error, sizeof s->error, in, K_ERROR);
}

static void on_session(struct rig *r, struct wire_in *in)
{
	struct seen_session *s = rig_session(r, wire_get_u64(in, K_SESSION, 0));
	s->tells++;
	s->state = (int)wire_get_u64(in, K_STATE, 99);
	s->code = (int)wire_get_u64(in, K_CODE, (uint64_t)-1);
	for (int i = 0; i < in->nfds; i++)
		s->fds[i] = take_fd(&in->fds[i]);
	s->nfds = in->nfds;
}

static void on_reply(struct rig *r, struct wire_in *in)
{
	if (in->head.seq != r->waiting)
		return;
	r->answered = true;
	r->result = in->head.result;
	text(r->error, sizeof r->error, in, K_ERROR);
	r->nfds = in->nfds;
	for (int i = 0; i < 3; i++)
		r->fds[i] = i < in->nfds ? take_fd(&in->fds[i]) : -1;
}

static void on_message(struct rig *r, struct wire_in *in)
{
	switch (in->head.op) {
	case W_REPLY: on_reply(r, in); break;
	case W_READY:
		r->ready++;
		r->leaving = wire_get_u64(in, K_LEAVING, 0);
		text(r->note, sizeof r->note, in, K_TEXT);
		break;
	case W_CONTAINER: on_container(r, in); break;
	case W_SESSION: on_session(r, in); break;
	case W_DROPPED: r->dropped++; break;
	case W_LOG: r->logs++; break;
	case W_GONE: r->gone++; break;
	case W_LEAK:
		r->leaks++;
		text(r->last_leak, sizeof r->last_leak, in, K_TEXT);
		break;
	default: break;
	}
}

bool rig_step(struct rig *r, uint64_t end_ns)
{
	uint64_t now = now_mono_ns();
	struct pollfd p = { .fd = r->sock, .events = POLLIN };
	if (r->closed || now >= end_ns || poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) <= 0)
		return false;
	struct wire_in in;
	int got = wire_recv(r->sock, r->mem, WIRE_MAX, &in);
	if (got == -EAGAIN)
		return true;
	if (got <= 0) {
		r->closed = true;
		return false;
	}
	on_message(r, &in);
	wire_in_close(&in);
	return true;
}

void rig_begin(struct rig *r, struct wire_out *o, enum wire_op op)
{
	wire_begin(o, op, ++r->seq);
}

void rig_send(struct rig *r, struct wire_out *o)
{
	r->waiting = ((struct wire_head *)(void *)o->b.data)->seq;
	r->answered = false;
	int s = wire_send(r->sock, o);
	wire_free(o);
	if (s)
		r->closed = true;
}

int rig_answer(struct rig *r)
{
	return RIG_UNTIL(r, r->answered) ? r->result : -ETIMEDOUT;
}

int rig_call(struct rig *r, struct wire_out *o)
{
	rig_send(r, o);
	return rig_answer(r);
}

int rig_simple(struct rig *r, enum wire_op op, const char *name)
{
	struct wire_out o = { 0 };
	rig_begin(r, &o, op);
	wire_str(&o, K_NAME, name);
	return rig_call(r, &o);
}

void rig_reconnect(struct rig *r)
{
	char run[80], name[64];
	in_base(r, run, sizeof run, "run");
	snprintf(name, sizeof name, "%s.sock", r->uid);
	_cleanup_close_ int dir = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close_fd(&r->sock);
	r->sock = wire_connect(dir, name);
	if (r->sock < 0)
		die("reconnect");
	r->closed = false;
	r->ready = 0;
	struct wire_out o = { 0 };
	rig_begin(r, &o, W_HELLO);
	if (rig_call(r, &o))
		die("hello");
}

/* --- containers --- */

int rig_add(struct rig *r, const char *name)
{
	struct wire_out o = { 0 };
	make_groups(r, name);
	rig_begin(r, &o, W_ADD);
	wire_str(&o, K_NAME, name);
	put_groups(r, &o, name);
	return rig_call(r, &o);
}

void rig_plan_argv(struct rig *r, struct wire_out *o, const char *name, char *const *argv)
{
	char root[80];
	in_base(r, root, sizeof root, "root");
	rig_begin(r, o, W_START);
	wire_str(o, K_NAME, name);
	for (; *argv; argv++)
		wire_str(o, K_ARG, *argv);
	wire_str(o, K_LAYER, root);
	put_groups(r, o, name);
}

void rig_plan(struct rig *r, struct wire_out *o, const char *name, const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	rig_plan_argv(r, o, name, argv);
}

int rig_run(struct rig *r, const char *name, const char *script)
{
	struct wire_out o = { 0 };
	if (!rig_container(r, name)->known && rig_add(r, name))
		return r->result;
	rig_plan(r, &o, name, script);
	return rig_call(r, &o);
}

bool rig_wait(struct rig *r, const char *name, int state)
{
	struct seen *s = rig_container(r, name);
	return RIG_UNTIL(r, s->state == state);
}

/* --- looking --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *rig_log(struct rig *r, const char *name)
{
	static char out[1 << 20];
	char path[256], *names[64];
	size_t n = 0, len = 0;
	snprintf(path, sizeof path, "%s/state/pods/%s/logs/%s", r->base, r->uid, name);
	_cleanup_dir_ DIR *d = opendir(path);
	for (struct dirent *de; d && (de = readdir(d));)
		if (strlen(de->d_name) == 16 && n < ARRAY_LEN(names))
			names[n++] = strdup(de->d_name);
	qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++) {
		_cleanup_buf_ struct buf b = { 0 };
		read_file_at(dirfd(d), names[i], sizeof out, &b);
		if (len + b.len < sizeof out) {
			memcpy(out + len, buf_str(&b), b.len);
			len += b.len;
		}
		free(names[i]);
	}
	out[len] = 0;
	return out;
}

bool rig_logged(struct rig *r, const char *name, const char *text)
{
	for (uint64_t end = now_mono_ns() + PATIENCE_MS * 1000000ull; now_mono_ns() < end;) {
		if (strstr(rig_log(r, name), text))
			return true;
		rig_step(r, now_mono_ns() + 5000000);
	}
	return false;
}

bool alive(int pid)
{
	return pid > 0 && !kill(pid, 0);
}

bool wait_dead(int pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return true;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* --- the end --- */

static void check_no_groups(struct rig *r)
{
	for (size_t i = 0; r->cgroups && i < ARRAY_LEN(controllers); i++) {
		char path[256];
		rig_cgdir(r, controllers[i], NULL, path, sizeof path);
		if (!access(path, F_OK)) {
			fprintf(stderr, "left over: %s\n", path);
			abort();
		}
		snprintf(path, sizeof path, CG "/%s/podfs-test", controllers[i]);
		rmdir(path);
	}
}

static void check_nothing_left(struct rig *r)
{
	char path[256];
	snprintf(path, sizeof path, "%s/state/pods/%s", r->base, r->uid);
	bool tree = !access(path, F_OK);
	snprintf(path, sizeof path, "%s/run/%s.sock", r->base, r->uid);
	bool sock = !access(path, F_OK);
	if (tree || sock || r->leaks) {
		fprintf(stderr, "left over:%s%s %u leaks %s\n", tree ? " tree" : "", sock ? " socket" : "", r->leaks, r->last_leak);
		abort();
	}
	check_no_groups(r);
}

static void free_seen(struct rig *r)
{
	while (r->containers) {
		struct seen *s = r->containers;
		r->containers = s->next;
		free(s);
	}
	while (r->sessions) {
		struct seen_session *s = r->sessions;
		r->sessions = s->next;
		for (int i = 0; i < 3; i++)
			close_fd(&s->fds[i]);
		free(s);
	}
}

void rig_close(struct rig *r)
{
	struct wire_out o = { 0 };
	int status;
	if (!r->gone) {
		rig_begin(r, &o, W_DELETE);
		wire_u64(&o, K_GRACE, 0);
		if (rig_call(r, &o) || !RIG_UNTIL(r, r->gone))
			die("delete");
	}
	waitpid(r->pid, &status, 0);
	left_running = 0;
	check_nothing_left(r);
	close_fd(&r->sock);
	free_seen(r);
	free(r->mem);
	remove_tree_at(AT_FDCWD, r->base);
}
