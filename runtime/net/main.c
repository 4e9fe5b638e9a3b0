/* podfs-net: the one process of a node that touches the host's network.
 *
 *   podfs-net RUN STATE BRIDGE SUBNET4 SUBNET6 TABLE LISTEN-FD
 *
 * runtime/net/net.h says what these are and what the server asks. It stays while a server is connected or a pod is attached.
 */
#include "runtime/base/alive.h"
#include "runtime/net/bridge.h"
#include "runtime/net/cni.h"
#include "runtime/net/link_nl.h"
#include "runtime/net/names.h"
#include "runtime/net/nft.h"
#include "runtime/net/oom.h"
#include "runtime/net/ports.h"
#include "runtime/net/spare.h"
#include "runtime/net/subnet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NOBODY_MS 30000 /* a server that started us connects at once */

struct net net_self;
static struct timer leave;

/* --- coming and going --- */

static bool somebody_knocks(const struct net *n)
{
	struct pollfd p = { .fd = n->door.listener.fd, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

static void on_leave(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	if (n->server.watch.fd >= 0 || n->pods || cni_busy(n))
		return;
	remove_now(n);
	if (n->leaving)
		return;
	idle_now(n);
	n->loop.stop = !somebody_knocks(n);
}

void leave_later(struct net *n)
{
	leave.fn = on_leave;
	timer_arm(&n->loop, &leave, 0);
}

void leave_at_once(struct net *n)
{
	n->loop.stop = true;
}

void server_gone(struct net *n)
{
	server_close(n);
	door_check(&n->door);
	look_alone(n);
	leave_later(n);
}

static void on_listener(struct watch *w, uint32_t events UNUSED)
{
	int fd = wire_accept(w->fd);
	if (fd >= 0)
		server_open(&net_self, fd);
}

/* --- start --- */

static char **arguments; /* RUN … TABLE */

bool setup_is(const char *lines)
{
	static const char *const names[] = { "PODFS_CNI_CONF", "PODFS_CNI_PATH" };
	_cleanup_buf_ struct buf b = { 0 };
	for (int i = 0; i < 6; i++)
		buf_printf(&b, "%s\n", arguments[i]);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		buf_printf(&b, "%s\n", getenv(names[i]) ? getenv(names[i]) : "");
	size_t n = strlen(lines);
	if (n && lines[n - 1] == '\n')
		n--;
	return !buf_status(&b) && n == b.len - 1 && !memcmp(lines, b.data, n);
}

static bool is_word(const char *s, const char *also, size_t max)
{
	size_t n = strlen(s);
	if (!n || n > max)
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || strchr(also, *s)))
			return false;
	return true;
}

static int parse_args(struct net *n, char **arg, struct err *e)
{
	arguments = arg;
	n->run = arg[0];
	n->state = arg[1];
	n->bridge = arg[2];
	n->table = arg[5];
	/* Both stand in nft's commands. */
	if (!is_word(n->bridge, "_-.", IFNAMSIZ - 1))
		return err_set(e, EINVAL, "%.64s cannot be the name of a link", n->bridge);
	if (!is_word(n->table, "_", 63) || (*n->table >= '0' && *n->table <= '9'))
		return err_set(e, EINVAL, "%.64s cannot be the name of a table", n->table);
	return subnet_args(n, arg[3], arg[4], e);
}

/* Of a node there is never a second one. */
static int be_the_one(struct net *n, struct err *e)
{
	_cleanup_close_ int state = open(n->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	n->alive_fd = alive_open(state);
	if (alive_take(n->alive_fd, ALIVE_NET) == -EAGAIN)
		return err_set(e, EBUSY, "another podfs-net lives (pid %d)", (int)alive_pid(n->alive_fd, ALIVE_NET));
	return 0;
}

static int open_door(struct net *n, int listener, struct err *e)
{
	n->door.loop = &n->loop;
	n->door.run = n->run;
	n->door.moved = names_anew;
	snprintf(n->door.name, sizeof n->door.name, "net.sock");
	int r = door_open(&n->door, listener, on_listener);
	return r ? err_sys(e, -r, "%s/net.sock", n->run) : 0;
}

static int take_descriptors(int listener, struct err *e)
{
	if (listener < 3 || fcntl(listener, F_SETFD, FD_CLOEXEC))
		return err_sys(e, listener < 3 ? EBADF : errno, "the listening socket");
	/* 2 stays: there is nobody else to tell what goes wrong before a server is connected. */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return err_sys(e, errno, "/dev/null");
	close(null);
	close_range(3, (unsigned)listener - 1, 0);
	close_range((unsigned)listener + 1, ~0u, 0);
	return 0;
}

static void take_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE };
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
}

/* A descriptor a published port, two a relayed connection. */
static void allow_descriptors(void)
{
	struct rlimit l;
	if (!getrlimit(RLIMIT_NOFILE, &l)) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int begin(struct net *n, int listener, struct err *e)
{
	int r = take_descriptors(listener, e);
	if (r)
		return r;
	take_signals();
	allow_descriptors();
	setsid();
	umask(022);
	if (chdir("/"))
		return err_sys(e, errno, "/");
	oom_lower();
	prctl(PR_SET_DUMPABLE, 0);
	r = be_the_one(n, e);
	if (!r && loop_init(&n->loop))
		r = err_sys(e, errno, "event loop");
	if (!r)
		r = spare_open(n, e);
	if (!r)
		r = link_sock_open(&n->links, e);
	if (!r)
		r = nft_open(&n->nft, n->table, e);
	if (!r)
		r = watch_open(n, e);
	return r ? r : open_door(n, listener, e);
}

static int serve(struct net *n)
{
	leave.fn = on_leave;
	timer_arm(&n->loop, &leave, NOBODY_MS);
	int r = loop_run(&n->loop);
	door_close(&n->door);
	cni_stop(n);
	ports_close(n);
	nft_close(&n->nft);
	link_sock_close(&n->links);
	return r;
}

int main(int argc, char **argv)
{
	struct net *n = &net_self;
	struct err e = { 0 };
	*n = (struct net){ .alive_fd = -1, .door = DOOR_CLOSED, .server = { .watch.fd = -1, .number = 1 } };
	if (argc != 8) {
		dprintf(2, "usage: podfs-net RUN STATE BRIDGE SUBNET4 SUBNET6 TABLE LISTEN-FD (started by podfs-server)\n");
		return 2;
	}
	int r = parse_args(n, argv + 1, &e);
	if (!r)
		r = begin(n, atoi(argv[7]), &e);
	if (r) {
		dprintf(2, "podfs-net: %s\n", e.text);
		return 1;
	}
	return serve(n) ? 1 : 0;
}
