/* Becoming the container's user, with no more rights than Docker gives by default.
 *
 * Child side; after this the process is the container's. Bounding, permitted and effective set are Docker's
 * fourteen capabilities (moby, oci/caps/defaults.go); inheritable and ambient are empty, as since CVE-2022-24769.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define BIT(cap) (1ull << (cap))

static const uint64_t allowed = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) |
				BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) |
				BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

/* EINVAL: beyond the last one that this kernel knows. */
static int bound(void)
{
	for (unsigned cap = 0; cap < 64; cap++)
		if (!(allowed & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return errno == EINVAL ? 0 : -errno;
	return 0;
}

/* What is left of the permitted set is cut to the allowed one: root's whole set, nothing for others. */
static int cut(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2], want[2] = { { 0 } };
	if (syscall(SYS_capget, &head, have))
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint32_t keep = have[i].permitted & (uint32_t)(allowed >> (32 * i));
		want[i].permitted = keep;
		want[i].effective = keep & have[i].effective;
	}
	return syscall(SYS_capset, &head, want) ? -errno : 0;
}

int launch_become(struct launch *l, struct err *e)
{
	int r = bound();
	if (r)
		return err_sys(e, -r, "capabilities");
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (setgroups(l->ngroups, l->groups) || setresgid(l->gid, l->gid, l->gid) || setresuid(l->uid, l->uid, l->uid))
		return err_sys(e, errno, "user %u:%u", l->uid, l->gid);
	r = cut();
	if (r)
		return err_sys(e, -r, "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, errno, "no_new_privs");
	/* Changing the uid has cleared it (prctl(2)). */
	child_follow_parent(l->pod);
	return 0;
}
