/* The network namespace that podfs-pod, and so the pod, lives in.
 *
 * Owns being in it: entering one that was handed in, making one that has lo alone, moving to another. What is in it
 * (addresses, routes) is the business of whoever handed it in. Runs in podfs-pod.
 *
 * A namespace lives as long as a process lives in it or a socket was made in it: so podfs-pod makes none in there that
 * it keeps, and the reaper is made anew.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int loopback_up(struct err *e)
{
	_cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo))
		return err_sys(e, errno, "loopback device");
	return 0;
}

int netns_enter(int fd, struct err *e)
{
	if (fd < 0)
		return unshare(CLONE_NEWNET) ? err_sys(e, errno, "network namespace") : loopback_up(e);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(e, EINVAL, "network namespace: the descriptor is of something else");
	return setns(fd, CLONE_NEWNET) ? err_sys(e, errno, "network namespace") : 0;
}

int netns_open(struct err *e)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "network namespace") : fd;
}

/* A container's mounts and sockets stay in the one that it was started in. */
static int nothing_ran(const struct pod *p, struct err *e)
{
	for (const struct container *c = p->containers; c; c = c->next)
		if (c->init.pid)
			return err_set(e, EBUSY, "network: container %s runs", c->label);
	return p->has_run ? err_set(e, EBUSY, "network: a container has run in it already") : 0;
}

static int enter_and_write(struct pod *p, const struct wire_in *in, struct err *e)
{
	int r = netns_enter(in->fds[0], e);
	return r ? r : etc_write(p, in, e);
}

int netns_move(struct pod *p, const struct wire_in *in, struct err *e)
{
	int r = nothing_ran(p, e);
	if (r)
		return r;
	_cleanup_close_ int before = netns_open(e);
	if (before < 0)
		return before;
	r = reaper_end(p, e);
	if (r)
		return r;
	r = enter_and_write(p, in, e);
	if (r && setns(before, CLONE_NEWNET))
		abort(); /* our own namespace: it can't be refused, and half of a pod in another would be worse than none */
	reaper_begin(p, NULL); /* failing, it is tried again, and told, when a container starts */
	return r;
}
