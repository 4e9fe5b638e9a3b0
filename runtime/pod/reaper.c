/* The reaper: PID 1 of the pod's PID namespace, and root of its /dev/shm.
 *
 * Made when the sandbox stands. Containers' PID namespaces lie inside this one (with `share` pid they
 * are this one), so that whatever a container did to its own parent-death signal (every program that
 * changes its uid clears it), the kernel ends all of them when the reaper ends, and the reaper
 * ends with podfs-pod.
 *
 * Its mount namespace holds nothing but the tmpfs that containers see at /dev/shm: a mount can only be cloned
 * from a namespace one is in, and podfs-pod's own is the host's.
 */
#include "runtime/pod/mount_api.h"
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define READY_MS 5000

static int make_shm(void)
{
	_cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "1777", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "size", "64m", 0) || /* Docker's */
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	int m = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return m < 0 ? -errno : m;
}

static int live_in_shm(void)
{
	_cleanup_close_ int shm = make_shm();
	if (shm < 0)
		return shm;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || move_mount(shm, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) ||
	    fchdir(shm) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return -errno;
	return 0;
}

/* With SIGCHLD ignored the kernel reaps for us (wait(2), notes): nothing ever wakes this process. */
static void reap(void *arg)
{
	int sock = *(int *)arg;
	struct err e = { 0 };
	prctl(PR_SET_NAME, "podfs-reaper");
	signal(SIGCHLD, SIG_IGN);
	int r = live_in_shm();
	if (r)
		err_sys(&e, -r, "/dev/shm");
	report_send(sock, r, 0, &e, -1);
	close_all_but(NULL, 0);
	if (pod_self.link.mem)
		munmap(pod_self.link.mem, WIRE_MAX);
	if (!r)
		memory_wait_forever();
}

static void on_reaper_gone(struct child *c UNUSED, int code, int sig)
{
	struct pod *p = &pod_self;
	if (!p->leaving)
		link_event(p, W_EVENT, NULL, "its reaper ended (%s %d), and its containers with it",
			   sig ? "signal" : "exit code", sig ? sig : code);
	leave_step(p);
}

int reaper_begin(struct pod *p, struct err *e)
{
	int sv[2];
	if (p->reaper.pid)
		return 0;
	int r = wire_socketpair(sv);
	if (r)
		return err_sys(e, -r, "reaper: socket");
	_cleanup_close_ int its = sv[1];
	close_fd(&p->reaper_sock);
	p->reaper_sock = sv[0];
	r = child_clone(p, &p->reaper, CLONE_NEWPID | CLONE_NEWNS, -1, -1, reap, &its);
	if (r)
		return err_sys(e, -r, "reaper");
	p->reaper.exited = on_reaper_gone;
	child_watch(p, &p->reaper);
	return 0;
}

static int await_ready(struct pod *p, struct err *e)
{
	struct report rep;
	struct pollfd in = { .fd = p->reaper_sock, .events = POLLIN };
	if (in.fd < 0)
		return 0;
	if (poll(&in, 1, READY_MS) != 1 || report_read(in.fd, &rep) <= 0)
		return err_set(e, EIO, "reaper: did not come up");
	close_fd(&p->reaper_sock);
	return rep.err.code ? err_set(e, rep.err.code, "reaper: %s", rep.err.text) : 0;
}

int reaper_need(struct pod *p, struct err *e)
{
	int r = reaper_begin(p, e);
	if (r)
		return r;
	r = await_ready(p, e);
	if (r)
		child_signal(&p->reaper, SIGKILL);
	return r;
}

/* A process that exits gives its namespaces up before the kernel ends what lives in its PID namespace, and setns(2) to it is
 * refused from then on; its pidfd tells of the end only when the last of these has been reaped. */
bool reaper_ends(const struct pod *p)
{
	if (!p->reaper.pid)
		return false;
	if (setns(p->reaper.watch.fd, CLONE_NEWPID))
		return errno == ESRCH;
	if (setns(p->self, CLONE_NEWPID))
		abort(); /* our own namespace: it can't be refused, and nothing may be forked in the wrong one */
	return false;
}

int reaper_end(struct pod *p, struct err *e)
{
	int r = child_end(p, &p->reaper, READY_MS);
	if (r)
		return err_sys(e, -r, "reaper");
	close_fd(&p->reaper_sock);
	return 0;
}
