/* The sandbox: what a pod's containers share.
 *
 * Owns the IPC and UTS namespaces (podfs-pod lives in them, so they end with it; as in its network namespace: netns.c),
 * the hostname and the pod's folder. Runs in podfs-pod, once.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
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
		leak_folder(arg, "old", e->text);
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
	p->dir_fd = openat(p->pods_fd, p->uid, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->dir_fd < 0 ? err_sys(e, errno, "pods/%s", p->uid) : 0;
}

static bool is_ours(const struct pod *p)
{
	struct stat named, ours;
	return !fstatat(p->pods_fd, p->uid, &named, AT_SYMLINK_NOFOLLOW) && !fstat(p->dir_fd, &ours) && named.st_dev == ours.st_dev &&
	       named.st_ino == ours.st_ino;
}

int sandbox_folder(struct pod *p, struct err *e)
{
	if (is_ours(p))
		return 0;
	int was = p->dir_fd, pods = p->pods_fd;
	int r = pods_open(p, e);
	if (r)
		return r;
	close_fd(&pods);
	r = open_folder(p, e);
	if (r) {
		p->dir_fd = was;
		return r;
	}
	close_fd(&was);
	for (struct container *c = p->containers; c; c = c->next)
		container_prepare(c);
	link_event(p, W_EVENT, NULL, "its folder pods/%s had been removed by others, and is made anew; what was in it is lost", p->uid);
	return 0;
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

int sandbox_begin(struct pod *p, struct err *e)
{
	if (unshare(CLONE_NEWIPC | CLONE_NEWUTS))
		return err_sys(e, errno, "namespaces");
	lower_oom_score(p);
	return open_folder(p, e);
}

int sandbox_make(struct pod *p, const struct wire_in *in, struct err *e)
{
	int r = take_settings(p, in, e);
	if (!r)
		r = set_hostname(p, e);
	if (!r)
		r = netns_enter(in->fds[0], e);
	p->standing = !r;
	return r;
}

/* With a record in it it is a pod's that was lost, and may be made anew. */
void sandbox_unmake(struct pod *p)
{
	unlinkat(p->pods_fd, p->uid, AT_REMOVEDIR);
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
