/* The socket at which the next server knocks: see door.h. */
#include "runtime/wire/door.h"

#include "runtime/base/util.h"
#include "runtime/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

static struct door *only;

static int open_run(const struct door *d)
{
	int fd = open(d->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_ours(const struct door *d, int run_fd)
{
	struct stat st;
	return !fstatat(run_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) && st.st_dev == d->dev && st.st_ino == d->ino;
}

static void remember(struct door *d)
{
	struct stat st;
	if (fstatat(d->run_fd, d->name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
}

/* Now it listens there, and nowhere else. */
static int move_in(struct door *d, int listener)
{
	loop_del(d->loop, &d->listener);
	close_fd(&d->listener.fd);
	d->listener.fd = listener;
	remember(d);
	return loop_add(d->loop, &d->listener, EPOLLIN);
}

void door_check(struct door *d)
{
	_cleanup_close_ int run = open_run(d);
	if (d->listener.fd < 0)
		return;
	if (run == -ENOENT && !mkdir_all(d->run, 0700))
		run = open_run(d);
	if (run < 0 || is_ours(d, run))
		return;
	int listener = wire_listen(run, d->name);
	if (listener < 0)
		return;
	close_fd(&d->run_fd);
	d->run_fd = take_fd(&run);
	move_in(d, listener);
	if (d->moved)
		d->moved();
}

/* --- SIGHUP --- */

static void on_signal(int sig UNUSED)
{
	int saved = errno;
	eventfd_write(only->knock.fd, 1);
	errno = saved;
}

static void on_knock(struct watch *w, uint32_t events UNUSED)
{
	eventfd_t n;
	eventfd_read(w->fd, &n);
	door_check(container_of(w, struct door, knock));
}

static int hear_signal(struct door *d)
{
	d->knock = (struct watch){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_knock };
	int r = d->knock.fd < 0 ? -errno : loop_add(d->loop, &d->knock, EPOLLIN);
	if (r)
		return r;
	only = d;
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	return sigaction(SIGHUP, &sa, NULL) ? -errno : 0;
}

/* --- --- */

int door_open(struct door *d, int listener, void (*fn)(struct watch *w, uint32_t events))
{
	d->listener = (struct watch){ .fd = -1, .fn = fn };
	d->run_fd = open_run(d);
	if (d->run_fd < 0)
		return d->run_fd;
	if (listener < 0)
		listener = wire_listen(d->run_fd, d->name);
	int r = listener < 0 ? listener : move_in(d, listener);
	return r ? r : hear_signal(d);
}

void door_close(struct door *d)
{
	if (d->listener.fd < 0)
		return;
	loop_del(d->loop, &d->listener);
	close_fd(&d->listener.fd);
	if (is_ours(d, d->run_fd))
		unlinkat(d->run_fd, d->name, 0);
}
