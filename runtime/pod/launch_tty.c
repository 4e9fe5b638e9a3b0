/* A session's terminal: a pair of the container's own devpts.
 *
 * Child side, in the container's mount namespace. The other end is found by ioctl, not by name.
 */
#include "runtime/pod/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

/* Whatever the container has put there, only the real multiplexer (5:2, devices.txt) will do. */
static int open_master(int root)
{
	struct stat st;
	int fd = beneath(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	if (!fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2))
		return fd;
	close(fd);
	return -ENOTTY;
}

int launch_tty(struct launch *l, struct err *e)
{
	int unlock = 0;
	if (!l->tty)
		return 0;
	int master = open_master(l->root);
	if (master < 0)
		return err_sys(e, -master, "/dev/pts/ptmx");
	struct winsize size = { .ws_row = (unsigned short)l->rows, .ws_col = (unsigned short)l->cols };
	int slave = -1;
	if (ioctl(master, TIOCSPTLCK, &unlock) || (slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
	    ioctl(slave, TIOCSWINSZ, &size) || ioctl(slave, TIOCSCTTY, 0) || fchown(slave, l->uid, (gid_t)-1))
		return err_sys(e, errno, "terminal");
	l->give = master;
	for (int i = 0; i < 3; i++)
		l->stdio[i] = slave;
	return 0;
}
