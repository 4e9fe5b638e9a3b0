/* Network namespaces: see spare.h. */
#include "runtime/net/spare.h"

#include "runtime/net/guard.h"
#include "runtime/net/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#define SPARES 2
#define REFILL_MS 20 /* whoever was answered has things to do, and few processors */

static struct netns spare[SPARES];
static int nspares, home = -1;
static struct timer refill;

/* Nothing that this process does may happen in a pod's namespace: without a way back it has to end. */
static void go_home(void)
{
	if (setns(home, CLONE_NEWNET))
		abort();
}

void netns_close(struct netns *ns)
{
	link_sock_close(&ns->links);
	close_fd(&ns->fd);
}

/* Inside. */
static int prepare(struct link_sock **links, struct err *e)
{
	int r = link_sock_open(links, e);
	return r ? r : link_set_up(*links, 1, e);
}

/* That another pod plays; eth0 takes it over when it is made. Where the guard stands there is none, and nobody pays for this: a path
 * into /proc/sys/net is compared with those of all namespaces for which it was looked up before. */
static void believe_no_router(void)
{
	write_file("/proc/sys/net/ipv6/conf/default/accept_ra", "0", 1);
}

static int make(struct netns *out, struct err *e)
{
	struct netns ns = { .fd = -1 };
	if (unshare(CLONE_NEWNET))
		return err_sys(e, errno, "network namespace");
	ns.fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = ns.fd < 0 ? err_sys(e, errno, "/proc/self/ns/net") : prepare(&ns.links, e);
	if (!r && !guard_stands())
		believe_no_router();
	go_home();
	if (r)
		netns_close(&ns);
	else
		*out = ns;
	return r;
}

int netns_enter(int fd, struct netns *out, struct err *e)
{
	struct netns ns = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3) };
	if (ns.fd < 0 || setns(ns.fd, CLONE_NEWNET)) {
		int r = errno == EINVAL ? err_set(e, EINVAL, "no network namespace was given") : err_sys(e, errno, "the pod's network namespace");
		close_fd(&ns.fd);
		return r;
	}
	int r = prepare(&ns.links, e);
	go_home();
	if (r)
		netns_close(&ns);
	else
		*out = ns;
	return r;
}

static void on_refill(struct timer *t UNUSED)
{
	struct net *n = &net_self;
	if (nspares < SPARES && !make(&spare[nspares], NULL) && ++nspares < SPARES)
		timer_arm(&n->loop, &refill, 0);
}

int spare_open(struct net *n UNUSED, struct err *e)
{
	refill.fn = on_refill;
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home < 0 ? err_sys(e, errno, "/proc/self/ns/net") : 0;
}

int spare_take(struct net *n UNUSED, struct netns *out, struct err *e)
{
	if (!nspares)
		return make(out, e);
	*out = spare[--nspares];
	return 0;
}

void spare_refill_later(struct net *n)
{
	if (nspares < SPARES)
		timer_arm(&n->loop, &refill, REFILL_MS);
}

void spare_drop_all(struct net *n)
{
	timer_stop(&n->loop, &refill);
	while (nspares)
		netns_close(&spare[--nspares]);
}
