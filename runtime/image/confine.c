/* The rights of podfs-image, given up: see confine.h. */
#include "runtime/image/confine.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What unpacking needs: any owner, mode, device and file capability, and trusted attributes (SYS_ADMIN). */
static int drop_capabilities(void)
{
	const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |
			      1u << CAP_MKNOD | 1u << CAP_SYS_ADMIN | 1u << CAP_SETFCAP;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[2];
	if (syscall(SYS_capget, &head, now))
		return -errno;
	struct __user_cap_data_struct less[2] = {
		{ .effective = now[0].permitted & keep, .permitted = now[0].permitted & keep },
	};
	return syscall(SYS_capset, &head, less) ? -errno : 0;
}

int confine(struct disk *d, struct work *w UNUSED, struct err *e)
{
#ifndef __SANITIZE_ADDRESS__ /* which reads /proc at the end */
	if (fchdir(d->root) || chroot("."))
		return err_sys(e, errno, "cannot confine itself to the store");
#endif
	int r = drop_capabilities();
	if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	return r ? err_sys(e, -r, "cannot drop its rights") : 0;
}
