/* The sandbox: what a pod's containers share.
 *
 * Owns the IPC and UTS namespaces (podfs-pod lives in them, so they end with it; as in its network namespace: netns.c),
 * the hostname and the pod's folder. Runs in podfs-pod, once.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OOM_SCORE (-999) /* the last that the OOM killer would choose; -1000 would exempt it, and its memory with it */

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

int sandbox_hostname(struct pod *p, const struct wire_in *in, struct err *e)
{
	char before[sizeof p->hostname];
	memcpy(before, p->hostname, sizeof before);
	int r = take_hostname(p, wire_get_str(in, K_HOSTNAME), e);
	if (!r)
		r = set_hostname(p, e);
	if (!r)
		r = etc_write(p, in, e);
	if (r) {
		memcpy(p->hostname, before, sizeof before);
		set_hostname(p, NULL);
	}
	return r;
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

/* The listener comes first: a socket keeps the network namespace that it was made in, and the pod may leave this one. */
static int make_namespaces(struct pod *p, int net, struct err *e)
{
	int r = link_listen(p, e);
	if (r)
		return r;
	if (unshare(CLONE_NEWIPC | CLONE_NEWUTS))
		return err_sys(e, errno, "namespaces");
	r = netns_enter(net, e);
	return r ? r : set_hostname(p, e);
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
	r = make_namespaces(p, in->fds[0], e);
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

void sandbox_made(struct pod *p, const struct wire_in *in)
{
	default_signals();
	etc_make(p, in);
	make_skeleton(p);
	put_old_away(p);
	reaper_begin(p, NULL); /* failing, it is tried again, and told, when a container starts */
	memory_trim_later(p);
}
