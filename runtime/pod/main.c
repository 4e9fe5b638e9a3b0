/* podfs-pod: one process a pod, from the first sign to the last.
 *
 *   podfs-pod [-remove] UID NAME STATE RUN FD
 *   podfs-pod -sync FOLDER
 *
 * FD is an inherited SOCK_SEQPACKET socket to the server (runtime/wire/wire.h). UID and NAME stand in argv so that
 * whoever sees the process knows whose it is. With -remove nothing is made: what a lost podfs-pod left is removed.
 * -sync makes a folder's names durable in place of the server, which waits for no disk.
 */
#include "runtime/base/alive.h"
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FIRST_REQUEST_MS 10000 /* it waits for the pod's network */

struct pod pod_self;
const int pod_ignores[3] = { SIGHUP, SIGINT, SIGPIPE };

static int usage(void)
{
	static const char text[] = "usage: podfs-pod [-remove] UID NAME STATE RUN FD (started by podfs-server)\n";
	return write_all(2, text, sizeof text - 1) ? 2 : 2;
}

/* Whatever the starter had open, of it only the socket stays. */
static int take_descriptors(int sock)
{
	int keep[] = { sock };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -errno;
	close_all_but(keep, 1);
	return fcntl(sock, F_SETFD, FD_CLOEXEC) ? -errno : 0;
}

static void take_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL); /* ignored, there would be no exit codes */
	for (size_t i = 0; i < ARRAY_LEN(pod_ignores); i++)
		signal(pod_ignores[i], SIG_IGN);
}

/* Of a pod there is never a second one: it would run the same containers. */
static int be_the_one(struct pod *p, struct err *e)
{
	_cleanup_close_ int s = open(p->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	p->alive_fd = alive_open(s);
	if (alive_take(p->alive_fd, p->uid) == -EAGAIN)
		return err_set(e, EBUSY, "another podfs-pod of pod %s lives (pid %d)", p->name, (int)alive_pid(p->alive_fd, p->uid));
	return 0;
}

int pods_open(struct pod *p, struct err *e)
{
	_cleanup_close_ int s = open(p->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s < 0 || (mkdirat(s, "pods", 0700) && errno != EEXIST))
		return err_sys(e, errno, "%s/pods", p->state);
	int fd = openat(s, "pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s/pods", p->state);
	p->pods_fd = fd;
	return 0;
}

static int begin(struct pod *p, int sock, struct err *e)
{
	int r = take_descriptors(sock);
	if (r)
		return r;
	take_signals();
	setsid();
	umask(022);
	if (chdir("/"))
		return err_sys(e, errno, "/");
	/* No process in a container may look into what will be its sibling. */
	prctl(PR_SET_DUMPABLE, 0);
	p->self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	r = p->self < 0 ? -errno : loop_init(&p->loop);
	if (!r)
		r = link_open(p, sock);
	if (r)
		return err_sys(e, -r, "event loop");
	r = be_the_one(p, e);
	if (!r)
		r = pods_open(p, e);
	if (!r) /* here, as a socket keeps the network namespace that it was made in, and the pod may leave its own */
		r = link_listen(p, e);
	return r || p->remove_only ? r : sandbox_begin(p, e);
}

/* The first request is awaited, as the server would take our end for the reason, and answered with what went wrong before it. */
static int refuse(struct pod *p, const struct err *e)
{
	struct pollfd server = { .fd = p->link.watch.fd, .events = POLLIN };
	struct wire_in in;
	char *mem = server.fd >= 0 ? malloc(WIRE_MAX) : NULL;
	if (mem && poll(&server, 1, FIRST_REQUEST_MS) == 1 && wire_recv(server.fd, mem, WIRE_MAX, &in) > 0) {
		struct asker first = { .link = p->link.number, .seq = in.head.seq };
		wire_in_close(&in);
		link_reply(p, &first, -e->code, e);
	}
	free(mem);
	door_close(&p->door);
	return 1;
}

static int sync_folder(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct pod *p = &pod_self;
	struct err e = { 0 };
	if (argc == 3 && !strcmp(argv[1], "-sync"))
		return sync_folder(argv[2]);
	memory_keep_small();
	*p = (struct pod){
		.pods_fd = -1, .dir_fd = -1, .alive_fd = -1, .self = -1, .door = DOOR_CLOSED, .reaper.watch.fd = -1, .reaper_sock = -1, .link.number = 1,
		.link.watch.fd = -1, .remove_only = argc > 1 && !strcmp(argv[1], "-remove"),
		.policy = { .grace_s = 30, .base_ms = 10000, .cap_ms = 300000, .reset_ms = 600000 },
	};
	char **arg = argv + 1 + p->remove_only;
	int sock = argc - p->remove_only == 6 ? atoi(arg[4]) : 0;
	if (sock < 3)
		return usage();
	p->uid = arg[0];
	p->name = arg[1];
	p->state = arg[2];
	p->run = arg[3];
	if (begin(p, sock, &e))
		return refuse(p, &e);
	int r = loop_run(&p->loop);
	door_close(&p->door);
	if (!p->standing && !p->remove_only)
		sandbox_unmake(p);
	return r ? 1 : 0;
}
