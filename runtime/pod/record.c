/* The pod's record on disk: replaced whole, and put back when what it asked for fails.
 *
 * The new text is made durable under another name, then the two names are exchanged
 * (renameat2(2), RENAME_EXCHANGE): at every instant there is one whole record, and the old one
 * is still at hand. The exchange itself is not waited for: a power cut may take the last seconds' changes back, each of
 * them whole. Called in podfs-pod's loop: a slow disk delays this pod.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#define RECORD "pod.ini"
#define OTHER ".pod.ini" /* being written, then the old one */
#define LEAVING "leaving.ini"

static int write_other(int dir_fd, const char *text, size_t len)
{
	_cleanup_close_ int fd = openat(dir_fd, OTHER, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, text, len);
	return !r && fsync(fd) ? -errno : r;
}

static int exchange(int dir_fd)
{
	return syscall(SYS_renameat2, dir_fd, OTHER, dir_fd, RECORD, RENAME_EXCHANGE) ? -errno : 0;
}

static bool exists(int dir_fd, const char *name)
{
	return !faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* A server that got no answer in time has made the pod one that leaves; from then on there is no record to exchange with,
 * and none may come back. */
int record_put(int dir_fd, const char *text, size_t len, struct err *e)
{
	int r = write_other(dir_fd, text, len);
	if (!r)
		r = exchange(dir_fd);
	if (r == -ENOENT && exists(dir_fd, OTHER) && !exists(dir_fd, LEAVING))
		r = renameat(dir_fd, OTHER, dir_fd, RECORD) ? -errno : 0;
	if (r)
		unlinkat(dir_fd, OTHER, 0);
	return r ? err_sys(e, -r, "record " RECORD) : 0;
}

void record_settle(int dir_fd, bool keep)
{
	if (!keep && exchange(dir_fd) && !exists(dir_fd, OTHER))
		unlinkat(dir_fd, RECORD, 0); /* there was none before */
	unlinkat(dir_fd, OTHER, 0);
}

int record_leave(int dir_fd, struct err *e)
{
	if ((renameat(dir_fd, RECORD, dir_fd, LEAVING) && errno != ENOENT) || fsync(dir_fd))
		return err_sys(e, errno, "record " RECORD);
	return 0;
}
