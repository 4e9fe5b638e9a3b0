/* Which network namespace a descriptor is of: see cni_netns.h. */
#include "runtime/net/cni_netns.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

/* The cookie is the kernel's name for the namespace of a socket (5.14). */
static int cookie_here(uint64_t *out)
{
	socklen_t n = sizeof *out;
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return s < 0 || getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, out, &n) ? -errno : 0;
}

static int cookie_of(int netns, uint64_t *out)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || setns(netns, CLONE_NEWNET))
		return -errno;
	int r = cookie_here(out);
	if (setns(home, CLONE_NEWNET))
		abort(); /* nothing that this process does may happen in a pod's namespace */
	return r;
}

int netns_identify(int netns, char out[NETNS_ID], struct err *e)
{
	uint64_t cookie;
	_cleanup_buf_ struct buf boot = { 0 };
	int r = netns < 0 ? -EINVAL : cookie_of(netns, &cookie);
	if (r == -EINVAL)
		return err_set(e, EINVAL, "no network namespace was given");
	if (!r)
		r = read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot);
	if (r)
		return err_sys(e, -r, "the pod's network namespace");
	snprintf(out, NETNS_ID, "%.36s %llu", buf_str(&boot), (unsigned long long)cookie);
	return 0;
}
