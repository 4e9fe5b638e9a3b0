/* The folder and the cgroups of a rig, and looking into them: see podctl.h. */
#include "tests/unit/pod/podctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CG "/sys/fs/cgroup"
static const char *const v1[] = { "cpu", "memory", "pids", "freezer" };
static const char *const v2[] = { "unified" }; /* beside v1 controllers; alone it is CG itself */

void rig_path(const struct rig *r, char *out, size_t size, const char *name)
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
			rig_die(to);
}

void rig_put(const struct rig *r, const char *name, const char *text, mode_t mode)
{
	char path[256];
	rig_path(r, path, sizeof path, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || write_all(fd, text, strlen(text)))
		rig_die(path);
}

/* Applets are links, as an image has them. */
void rig_make_root(struct rig *r)
{
	static const char *const applets[] = {
		"sh", "cat", "echo", "sleep", "true", "false", "id", "ls", "mount", "dd", "kill", "hostname", "env", "ps", "stty",
		"tty", "head", "seq", "mknod", "touch", "readlink", "stat", "yes", "wc", "ipcs", "df", "pwd", "grep", "tr",
	};
	char path[256], link[256];
	static const char *const folders[] = { "root", "root/bin", "root/etc", "root/tmp", "state", "run" };
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		rig_path(r, path, sizeof path, folders[i]);
		if (mkdir(path, 0755))
			rig_die(path);
	}
	rig_path(r, path, sizeof path, "root/bin/busybox");
	copy("/bin/busybox", path);
	for (size_t i = 0; i < ARRAY_LEN(applets); i++) {
		snprintf(link, sizeof link, "%s/root/bin/%s", r->base, applets[i]);
		if (symlink("busybox", link))
			rig_die(link);
	}
	rig_put(r, "root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n", 0644);
	rig_put(r, "root/etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:other,app\n", 0644);
	rig_put(r, "root/bin/plain", "echo not a script\n", 0755);
	rig_put(r, "root/bin/noexec", "#!/bin/sh\n", 0644);
	rig_put(r, "root/bin/nointerp", "#!/no/such\n", 0755);
	/* Where a naive launch would follow links out of the image. */
	rig_path(r, link, sizeof link, "root/etc/resolv.conf");
	if (symlink("../../../../../../run/nowhere/resolv.conf", link))
		rig_die(link);
}

static size_t hierarchies(const struct rig *r, const char *const **names)
{
	*names = r->cgversion == 2 ? v2 : v1;
	return !r->cgroups ? 0 : r->cgversion == 2 ? ARRAY_LEN(v2) : ARRAY_LEN(v1);
}

static bool only_v2(void)
{
	return !access(CG "/cgroup.procs", F_OK);
}

/* What is above the pods' groups of ours. */
static void parent_dir(const struct rig *r, const char *controller, char *out, size_t size)
{
	snprintf(out, size, CG "/%s%spodfs-test", r->cgversion == 2 && only_v2() ? "" : controller,
		 r->cgversion == 2 && only_v2() ? "" : "/");
}

void rig_cgdir(struct rig *r, const char *controller, const char *name, char *out, size_t size)
{
	parent_dir(r, r->cgversion == 2 ? v2[0] : controller, out, size);
	size_t n = strlen(out);
	snprintf(out + n, size - n, "/%s%s%s", r->uid, name ? "/c." : "", name ? name : "");
}

static void make_group(const char *path)
{
	static const char all[] = "+memory +pids +cpu";
	char control[300];
	if (mkdir(path, 0755) && errno != EEXIST)
		rig_die(path);
	snprintf(control, sizeof control, "%s/cgroup.subtree_control", path);
	write_file(control, all, sizeof all - 1); /* v1 has none, a hybrid host's v2 no controllers */
}

void rig_make_groups(struct rig *r, const char *name)
{
	const char *const *names;
	char path[256];
	for (size_t i = 0, n = hierarchies(r, &names); i < n; i++) {
		parent_dir(r, names[i], path, sizeof path);
		make_group(path);
		rig_cgdir(r, names[i], NULL, path, sizeof path);
		make_group(path);
		rig_cgdir(r, names[i], name, path, sizeof path);
		if (mkdir(path, 0755) && errno != EEXIST)
			rig_die(path);
	}
}

static void put_file(struct rig *r, struct wire_out *o, enum wire_key key, const char *controller, const char *name,
		     const char *file)
{
	char path[256];
	rig_cgdir(r, controller, name, path, sizeof path - 40);
	strcat(path, "/");
	strcat(path, file);
	wire_str(o, key, path);
}

void rig_put_groups(struct rig *r, struct wire_out *o, const char *name)
{
	const char *const *names;
	char path[256];
	bool two = r->cgversion == 2;
	wire_u64(o, K_CGVERSION, (uint64_t)r->cgversion);
	for (size_t i = 0, n = hierarchies(r, &names); i < n; i++) {
		rig_cgdir(r, names[i], name, path, sizeof path);
		wire_str(o, K_CGDIR, path);
	}
	if (!r->cgroups || !name)
		return;
	put_file(r, o, K_OOM, "memory", name, two ? "memory.events" : "memory.oom_control");
	put_file(r, o, K_FREEZE, "freezer", name, two ? "cgroup.freeze" : "freezer.state");
	wire_str(o, K_FREEZE_ON, two ? "1" : "FROZEN");
	wire_str(o, K_FREEZE_OFF, two ? "0" : "THAWED");
}

/* The file that limits memory, if this host can; its name. */
bool rig_memory_file(struct rig *r, const char *name, char *out, size_t size)
{
	rig_cgdir(r, "memory", name, out, size - 40);
	strcat(out, r->cgversion == 2 ? "/memory.max" : "/memory.limit_in_bytes");
	return r->cgroups && !access(out, W_OK);
}

void rig_no_groups(struct rig *r)
{
	const char *const *names;
	for (size_t i = 0, n = hierarchies(r, &names); i < n; i++) {
		char path[256];
		rig_cgdir(r, names[i], NULL, path, sizeof path);
		if (!access(path, F_OK)) {
			fprintf(stderr, "left over: %s\n", path);
			abort();
		}
		parent_dir(r, names[i], path, sizeof path);
		rmdir(path);
	}
}

void rig_find_groups(struct rig *r, int version)
{
	char path[64];
	r->cgversion = version;
	r->cgroups = true;
	if (version == 1 && only_v2())
		r->cgversion = 2;
	if (r->cgversion == 2) {
		r->cgroups = only_v2() || !access(CG "/unified/cgroup.procs", W_OK);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(v1); i++) {
		snprintf(path, sizeof path, CG "/%s/tasks", v1[i]);
		r->cgroups &= !access(path, W_OK);
	}
}

void rig_new_uid(struct rig *r)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
	if (read(fd, r->uid, 36) != 36)
		rig_die("uuid");
	r->uid[36] = 0;
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

/* --- its files --- */

void rig_pod_path(const struct rig *r, char out[RIG_PATH], const char *name)
{
	snprintf(out, RIG_PATH, "%s/state/pods/%s/%s", r->base, r->uid, name);
}

static void expect_file(const char *path, const char *text)
{
	_cleanup_buf_ struct buf b = { 0 };
	if (read_file_at(AT_FDCWD, path, 1 << 20, &b))
		rig_die(path);
	if (strcmp(buf_str(&b), text)) {
		fprintf(stderr, "%s has \"%s\", not \"%s\"\n", path, buf_str(&b), text);
		abort();
	}
}

void rig_expect(const struct rig *r, const char *name, const char *text)
{
	char path[RIG_PATH];
	rig_pod_path(r, path, name);
	expect_file(path, text);
}

void rig_expect_inside(struct rig *r, const char *container, const char *name, const char *text)
{
	char path[RIG_PATH];
	snprintf(path, sizeof path, "/proc/%d/root/%s", rig_container(r, container)->pid, name);
	expect_file(path, text);
}

void rig_fill_etc(const struct rig *r, char etc[RIG_PATH], char filler[RIG_PATH])
{
	rig_pod_path(r, etc, "etc");
	rig_pod_path(r, filler, "etc/filler");
	if (mkdir_all(etc, 0755) || mount("tmpfs", etc, "tmpfs", 0, "size=16k"))
		rig_die(etc);
	_cleanup_close_ int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fallocate(fd, 0, 0, 16384))
		rig_die(filler);
}
