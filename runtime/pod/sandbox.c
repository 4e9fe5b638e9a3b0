/* The sandbox: what a pod's containers share.
 *
 * Owns the IPC, network and UTS namespaces (podfs-pod lives in them, so they end with it), the
 * loopback device, the hostname and the files in STATE/pods/UID/etc. Runs in podfs-pod, once.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define RESOLV_MAX 65536
#define OOM_SCORE (-999) /* the last that the OOM killer would choose; -1000 would exempt it, and its memory with it */

static int loopback_up(struct err *e)
{
	_cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo))
		return err_sys(e, errno, "loopback device");
	return 0;
}

/* --- etc/ --- */

/* In place, not by rename: containers have these inodes mounted. */
static int write_etc(struct pod *p, const char *name, const struct buf *text, struct err *e)
{
	char path[32];
	snprintf(path, sizeof path, "etc/%s", name);
	_cleanup_close_ int fd = openat(p->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : buf_status(text);
	if (!r)
		r = write_all(fd, buf_str(text), text->len);
	return r ? err_sys(e, -r, "%s", path) : 0;
}

static int write_names(struct pod *p, struct err *e)
{
	_cleanup_buf_ struct buf hostname = { 0 }, hosts = { 0 };
	buf_printf(&hostname, "%s\n", p->hostname);
	buf_printf(&hosts, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t%s\n", p->hostname);
	int r = write_etc(p, "hostname", &hostname, e);
	return r ? r : write_etc(p, "hosts", &hosts, e);
}

/* A host without one, or with one that is absurdly long, gives an empty file. */
static int copy_resolv(struct pod *p, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_close_ int fd = open("/etc/resolv.conf", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= RESOLV_MAX) {
		char chunk[1024];
		ssize_t n;
		while (text.len < RESOLV_MAX && (n = read(fd, chunk, sizeof chunk)) > 0)
			buf_put(&text, chunk, (size_t)n);
	}
	return write_etc(p, "resolv.conf", &text, e);
}

int sandbox_etc(struct pod *p, struct err *e)
{
	if (p->has_etc)
		return 0;
	if (mkdirat(p->dir_fd, "etc", 0755) && errno != EEXIST)
		return err_sys(e, errno, "etc");
	int r = write_names(p, e);
	if (!r)
		r = copy_resolv(p, e);
	p->has_etc = !r;
	return r;
}

static int take_hostname(struct pod *p, const char *hostname, struct err *e)
{
	if (!hostname || strlen(hostname) >= sizeof p->hostname)
		return err_set(e, EINVAL, "hostname: longer than %zu bytes", sizeof p->hostname - 1);
	snprintf(p->hostname, sizeof p->hostname, "%s", hostname);
	return 0;
}

static int set_hostname(struct pod *p, struct err *e)
{
	return sethostname(p->hostname, strlen(p->hostname)) ? err_sys(e, errno, "hostname %s", p->hostname) : 0;
}

int sandbox_hostname(struct pod *p, const char *hostname, struct err *e)
{
	int r = take_hostname(p, hostname, e);
	if (!r)
		r = set_hostname(p, e);
	return r || !p->has_etc ? r : write_names(p, e);
}

/* --- the folder of a pod --- */

/* What an earlier podfs-pod of this pod left: its containers' roots are nobody's now. */
static int remove_old(void *arg, struct err *e)
{
	const struct pod *p = arg;
	int r = remove_tree_at(p->dir_fd, "old");
	return r ? err_sys(e, -r, "pods/%s/old", p->uid) : 0;
}

static void old_removed(void *arg, const struct err *e)
{
	if (e->code)
		link_event(arg, W_LEAK, NULL, "%s", e->text);
}

static void put_old_away(struct pod *p)
{
	char to[40];
	snprintf(to, sizeof to, "old/%llx", (unsigned long long)now_real_ns());
	if (faccessat(p->dir_fd, "c", F_OK, 0) && faccessat(p->dir_fd, "old", F_OK, 0))
		return;
	mkdirat(p->dir_fd, "old", 0700);
	renameat(p->dir_fd, "c", p->dir_fd, to);
	job_start(p, remove_old, old_removed, p);
}

static int open_folder(struct pod *p, struct err *e)
{
	if (mkdirat(p->pods_fd, p->uid, 0700) && errno != EEXIST)
		return err_sys(e, errno, "pods/%s", p->uid);
	close_fd(&p->dir_fd);
	p->dir_fd = openat(p->pods_fd, p->uid, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->dir_fd < 0 ? err_sys(e, errno, "pods/%s", p->uid) : 0;
}

/* Once a node. A half-made one does no harm: what it lacks is made in each container's upper layer. */
static void make_skeleton(struct pod *p)
{
	static const char *const folders[] = { "", "/proc", "/sys", "/dev", "/etc" };
	static const char *const files[] = { "/hostname", "/hosts", "/resolv.conf" };
	char path[64];
	if (!faccessat(p->pods_fd, "../" SKELETON "/etc/resolv.conf", F_OK, 0))
		return;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "../" SKELETON "%s", folders[i]);
		mkdirat(p->pods_fd, path, 0755);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof path, "../" SKELETON "/etc%s", files[i]);
		_cleanup_close_ int fd UNUSED = openat(p->pods_fd, path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	}
}

/* Lowering it needs CAP_SYS_RESOURCE, which root may lack: then it stays as it is, and the server is told. */
static void lower_oom_score(struct pod *p)
{
	char text[16] = "";
	static const char want[] = "-999";
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		return;
	p->oom_score = atoi(text);
	if (p->oom_score <= OOM_SCORE)
		return;
	if (pwrite(fd, want, sizeof want - 1, 0) > 0)
		p->oom_lowered = true;
	else
		p->note = "oom_score_adj can't be lowered here: the OOM killer may choose podfs-pod";
}

/* --- all of it --- */

static int take_settings(struct pod *p, const struct wire_in *in, struct err *e)
{
	const char *share = wire_get_str(in, K_SHARE);
	p->share_pid = share && strstr(share, "pid");
	policy_take(&p->policy, in);
	plan_free(p->groups);
	p->groups = plan_new(in);
	if (!p->groups)
		return err_set(e, ENOMEM, "out of memory");
	return take_hostname(p, wire_get_str(in, K_HOSTNAME), e);
}

static int make_namespaces(struct pod *p, struct err *e)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS))
		return err_sys(e, errno, "namespaces");
	int r = set_hostname(p, e);
	return r ? r : loopback_up(e);
}

/* The disk (a journal commit) and the kernel (a network namespace) take about as long, and neither needs the other: the
 * pod's folder and record are a child's work meanwhile. Its report is awaited, not its end. */
struct recording {
	struct pod *pod;
	const char *text;
	size_t len;
	int sock, report;
};

static int put(struct recording *rec, struct err *e)
{
	int r = open_folder(rec->pod, e);
	return r || !rec->text ? r : record_put(rec->pod->dir_fd, rec->text, rec->len, e);
}

static void write_record(void *arg)
{
	struct recording *rec = arg;
	struct err e = { 0 };
	int r = put(rec, &e);
	report_send(rec->report, r, 0, &e, -1);
}

static void on_written(struct child *c UNUSED, int code UNUSED, int sig UNUSED)
{
}

static void record_begin(struct pod *p, struct recording *rec)
{
	int sv[2];
	rec->sock = -1;
	if (wire_socketpair(sv))
		return;
	rec->sock = sv[0];
	rec->report = sv[1];
	if (child_clone(p, &p->recorder, 0, -1, -1, write_record, rec)) {
		close_fd(&rec->sock);
	} else {
		p->recorder.exited = on_written;
		child_watch(p, &p->recorder);
	}
	close_fd(&rec->report);
}

static int record_end(struct recording *rec, struct err *e)
{
	struct report rep;
	struct pollfd in = { .fd = rec->sock, .events = POLLIN };
	if (rec->sock < 0)
		return put(rec, e);
	while (poll(&in, 1, -1) < 0 && errno == EINTR)
		;
	int got = report_read(rec->sock, &rep);
	close_fd(&rec->sock);
	if (got <= 0)
		return err_set(e, EIO, "record: the process that wrote it ended");
	return rep.err.code ? err_set(e, rep.err.code, "%s", rep.err.text) : open_folder(rec->pod, e);
}

int sandbox_make(struct pod *p, const struct wire_in *in, struct err *e)
{
	struct recording rec = { .pod = p };
	struct err of_record = { 0 };
	int r = take_settings(p, in, e);
	if (r)
		return r;
	rec.text = wire_find(in, K_RECORD, &rec.len);
	record_begin(p, &rec);
	r = make_namespaces(p, e);
	if (!r)
		r = link_listen(p, e);
	lower_oom_score(p);
	int recorded = record_end(&rec, &of_record);
	if (!recorded && rec.text)
		record_settle(p->dir_fd, !r);
	if (!r && recorded)
		r = err_set(e, -recorded, "%s", of_record.text);
	p->standing = !r;
	return r;
}

/* What our starter ignored our children would ignore. */
static void default_signals(void)
{
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		bool ours = sig == SIGKILL || sig == SIGSTOP;
		for (size_t i = 0; i < ARRAY_LEN(pod_ignores); i++)
			ours |= sig == pod_ignores[i];
		if (!ours)
			signal(sig, SIG_DFL);
	}
}

void sandbox_made(struct pod *p)
{
	default_signals();
	sandbox_etc(p, NULL); /* failing, it is tried again, and told, when a container starts; and so is the reaper */
	make_skeleton(p);
	put_old_away(p);
	reaper_begin(p, NULL);
	memory_trim_later(p);
}
