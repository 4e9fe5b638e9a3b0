/* The connection to podfs-net: see net_link.h. */
#include "runtime/engine/net_link.h"

#include "runtime/base/alive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#define SOCKET "net.sock"
#define SENDS_MAX 2
#define CALL_MS 10
#define CALLS_MAX 200
#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 10000
#define STEADY_NS (10 * 1000000000ull) /* it served so long: the next failure is a first one again */

struct question {
	struct question *next;   /* while it waits to be sent */
	struct net_link *link;
	struct timer timer;      /* its time is up */
	struct wire_out out;     /* kept for the next podfs-net; the descriptors are its own */
	unsigned sends, sends_max;
	bool over;               /* fn was told that its time is up: nobody waits for the reply */
	int unsent;              /* -errno: it could not be sent, which is told by the timer */
	reply_fn *fn;
	void *arg;
};

struct net_link {
	struct engine *en;
	struct peer peer;
	struct question *waiting, **waiting_tail;
	struct timer connect;
	bool ready;              /* it is connected, and runs with our settings */
	bool stale;              /* it has others, and ends */
	unsigned failures;       /* in a row */
	unsigned calls;          /* for a socket, of one that lives */
	uint64_t since_ns;       /* CLOCK_MONOTONIC: of this connection */
	struct watch says;       /* stderr of the podfs-net that we started */
	char last[200];          /* the last line of that */
};

/* --- questions --- */

static void question_free(struct question *q)
{
	timer_stop(q->link->en->loop, &q->timer);
	for (int i = 0; i < q->out.nfds; i++)
		close_fd(&q->out.fds[i]);
	wire_free(&q->out);
	free(q);
}

static void put_waiting(struct net_link *l, struct question *q)
{
	q->next = NULL;
	*l->waiting_tail = q;
	l->waiting_tail = &q->next;
}

static struct question *take_waiting(struct net_link *l)
{
	l->waiting_tail = &l->waiting;
	return take_ptr(l->waiting);
}

static void answer(struct question *q, int result, struct wire_in *in, const struct err *e)
{
	if (q->fn && !q->over)
		q->fn(q->arg, result, in, e);
	question_free(q);
}

static void fail(struct question *q, const struct err *e)
{
	answer(q, -e->code, NULL, e);
}

static void fail_all(struct net_link *l, const struct err *e)
{
	struct question *all = take_waiting(l);
	while (all) {
		struct question *q = all;
		all = q->next;
		fail(q, e);
	}
}

static void on_answer(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct question *q = arg;
	struct net_link *l = q->link;
	if (in || q->over || q->sends_max == 1 || l->en->priv->closing) {
		answer(q, result, in, e);
	} else if (q->sends < q->sends_max) {
		put_waiting(l, q);
	} else {
		struct err mine;
		err_set(&mine, EIO, "podfs-net ended twice while it was asked%s%s", *l->last ? ": " : "", l->last);
		fail(q, &mine);
	}
}

/* EPIPE: it has just ended, the next one gets it. */
static void send_question(struct net_link *l, struct question *q)
{
	struct wire_out o = { .nfds = q->out.nfds };
	memcpy(o.fds, q->out.fds, sizeof o.fds);
	buf_put(&o.b, q->out.b.data, q->out.b.len);
	int r = peer_request(&l->peer, &o, on_answer, q);
	wire_free(&o);
	if (r == -EPIPE) {
		put_waiting(l, q);
	} else if (r) {
		q->unsent = r;
		timer_arm(l->en->loop, &q->timer, 0);
	} else {
		q->sends++;
	}
}

/* podfs-net has had its time: the reply, if there will be one, finds nobody. One that waits is taken out. */
static void on_late(struct timer *t)
{
	struct question *q = container_of(t, struct question, timer);
	struct net_link *l = q->link;
	struct err e;
	err_set(&e, ETIMEDOUT, "podfs-net %s", peer_connected(&l->peer) ? "does not answer" : "can't be reached");
	if (q->unsent) {
		err_sys(&e, -q->unsent, "podfs-net");
		fail(q, &e);
		return;
	}
	for (struct question **at = &l->waiting; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			if (!q->next)
				l->waiting_tail = at;
			fail(q, &e);
			return;
		}
	q->over = true;
	if (q->fn)
		q->fn(q->arg, -ETIMEDOUT, NULL, &e);
}

/* NULL: no memory; o is freed all the same. */
static struct question *question_new(struct net_link *l, struct wire_out *o, reply_fn *fn, void *arg)
{
	struct question *q = calloc(1, sizeof *q);
	if (!q || buf_status(&o->b)) {
		wire_free(o);
		free(q);
		return NULL;
	}
	*q = (struct question){ .link = l, .timer.fn = on_late, .out = *o, .fn = fn, .arg = arg };
	for (int i = 0; i < o->nfds; i++)
		q->out.fds[i] = fcntl(o->fds[i], F_DUPFD_CLOEXEC, 3);
	*o = (struct wire_out){ 0 };
	return q;
}

static int ask(struct engine *en, struct wire_out *o, unsigned sends_max, unsigned within_s, reply_fn *fn, void *arg)
{
	struct net_link *l = en->priv->net;
	struct question *q = question_new(l, o, fn, arg);
	if (!q)
		return -ENOMEM;
	q->sends_max = sends_max;
	timer_arm(en->loop, &q->timer, within_s * 1000u);
	if (l->ready && !l->waiting) {
		send_question(l, q);
		return 0;
	}
	put_waiting(l, q);
	net_link_want(en);
	return 0;
}

int net_ask(struct engine *en, struct wire_out *o, unsigned within_s, reply_fn *fn, void *arg)
{
	return ask(en, o, SENDS_MAX, within_s, fn, arg);
}

int net_ask_this(struct engine *en, struct wire_out *o, unsigned within_s, reply_fn *fn, void *arg)
{
	return ask(en, o, 1, within_s, fn, arg);
}

/* --- starting one --- */

static void on_says(struct watch *w, uint32_t events UNUSED)
{
	struct net_link *l = container_of(w, struct net_link, says);
	char chunk[sizeof l->last];
	ssize_t n = read(w->fd, chunk, sizeof chunk - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_del(l->en->loop, w);
		close_fd(&w->fd);
		return;
	}
	struct pollfd ours = { .fd = 2, .events = POLLOUT };
	if (poll(&ours, 1, 0) > 0) /* who reads ours may be slow */
		write_all(2, chunk, (size_t)n);
	while (n && chunk[n - 1] == '\n')
		n--;
	chunk[n] = 0;
	const char *line = strrchr(chunk, '\n');
	snprintf(l->last, sizeof l->last, "%s", line ? line + 1 : chunk);
}

static void listen_to(struct net_link *l, int fd)
{
	loop_del(l->en->loop, &l->says);
	close_fd(&l->says.fd);
	l->last[0] = 0;
	l->says = (struct watch){ .fd = fd, .fn = on_says };
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (loop_add(l->en->loop, &l->says, EPOLLIN))
		close_fd(&l->says.fd);
}

enum { NARGS = 6, NALSO = 2 };

/* What a podfs-net is told at its start. */
struct setup {
	const char *args[NARGS];
	char table[80], also[NALSO][4200];
};

static void fill_setup(const struct config *cfg, struct setup *s)
{
	instance_name(cfg, "podfs", '_', s->table, sizeof s->table);
	const char *const args[NARGS] = { cfg->run, cfg->state, cfg->bridge, cfg->subnet4, cfg->subnet6, s->table };
	memcpy(s->args, args, sizeof args);
	snprintf(s->also[0], sizeof s->also[0], "PODFS_CNI_CONF=%s", cfg->cni_conf);
	snprintf(s->also[1], sizeof s->also[1], "PODFS_CNI_PATH=%s", cfg->cni_bin);
}

static pid_t spawn(struct net_link *l, int listener, int says)
{
	struct setup s;
	char *argv[NARGS + 3] = { (char *)"podfs-net" };
	fill_setup(l->en->cfg, &s);
	for (int i = 0; i < NARGS; i++)
		argv[i + 1] = (char *)(uintptr_t)s.args[i];
	argv[NARGS + 1] = (char *)"3";
	char *const also[] = { s.also[0], s.also[1], NULL };
	struct spawn how = {
		.program = "podfs-net", .argv = argv, .fds = { -1, -1, says, listener }, .nfds = 4, .also = also,
	};
	return engine_spawn(l->en, &how, NULL);
}

/* Its listening socket is ours until it has it, so that the connection is there before it runs. */
static int start(struct net_link *l, struct err *e)
{
	int says[2];
	if (pipe2(says, O_CLOEXEC))
		return err_sys(e, errno, "podfs-net");
	_cleanup_close_ int listener = wire_listen(l->en->run_fd, SOCKET);
	pid_t pid = listener < 0 ? listener : spawn(l, listener, says[1]);
	close(says[1]);
	if (pid < 0) {
		close(says[0]);
		return err_sys(e, -pid, "podfs-net can't be started");
	}
	listen_to(l, says[0]);
	int fd = wire_connect(l->en->run_fd, SOCKET);
	return fd < 0 ? err_sys(e, -fd, "podfs-net") : fd;
}

/* --- the connection --- */

static void try_later(struct net_link *l)
{
	unsigned shift = l->failures < 8 ? l->failures : 8;
	uint64_t ms = l->failures ? (uint64_t)BACKOFF_MS << shift : 0;
	timer_arm(l->en->loop, &l->connect, ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS);
}

/* One lives whose socket is gone. It is asked for another, and ended in the end: the next one finds all that it has made. */
static int call_it(struct net_link *l, struct err *e)
{
	bool too_long = ++l->calls > CALLS_MAX;
	alive_signal(l->en->priv->alive_fd, ALIVE_NET, too_long ? SIGKILL : SIGHUP);
	return err_set(e, EAGAIN, "podfs-net lives, but its socket is gone");
}

/* EAGAIN: there is one that takes no connections now. */
static int find(struct net_link *l, bool *ours, struct err *e)
{
	int r = run_folder(l->en, e);
	if (r)
		return r;
	int fd = wire_connect(l->en->run_fd, SOCKET);
	*ours = fd == -ENOENT || fd == -ECONNREFUSED;
	if (*ours && alive_pid(l->en->priv->alive_fd, ALIVE_NET))
		return call_it(l, e);
	l->calls = 0;
	if (*ours)
		return start(l, e);
	return fd < 0 ? err_sys(e, -fd, "podfs-net") : fd;
}

static void is_ready(struct net_link *l)
{
	struct question *all = take_waiting(l);
	l->ready = true;
	net_connected(l->en);
	while (all) {
		struct question *q = all;
		all = q->next;
		send_question(l, q);
	}
}

static void on_setup(void *arg, int result, struct wire_in *in, const struct err *e UNUSED)
{
	struct net_link *l = arg;
	l->stale = result == -ESTALE;
	if (in && !l->stale)
		is_ready(l);
}

/* One that another server has started, with its settings. */
static int compare_setup(struct net_link *l)
{
	struct setup s;
	struct wire_out o = { 0 };
	_cleanup_buf_ struct buf lines = { 0 };
	fill_setup(l->en->cfg, &s);
	for (int i = 0; i < NARGS; i++)
		buf_printf(&lines, "%s\n", s.args[i]);
	for (int i = 0; i < NALSO; i++)
		buf_printf(&lines, "%s\n", strchr(s.also[i], '=') + 1);
	net_begin(&o, N_SETUP);
	wire_str(&o, K_TEXT, buf_str(&lines));
	int r = peer_request(&l->peer, &o, on_setup, l);
	wire_free(&o);
	return r;
}

static int use(struct net_link *l, int fd, bool ours, struct err *e)
{
	int r = peer_attach(&l->peer, fd);
	if (r)
		return err_sys(e, -r, "podfs-net");
	l->since_ns = now_mono_ns();
	l->stale = false;
	if (ours)
		is_ready(l);
	else if (compare_setup(l)) /* which fails when it has just ended */
		l->ready = false;
	return 0;
}

static void on_connect(struct timer *t)
{
	struct net_link *l = container_of(t, struct net_link, connect);
	struct err e = { 0 };
	bool ours;
	if (peer_connected(&l->peer))
		return;
	int r = find(l, &ours, &e);
	if (r >= 0)
		r = use(l, r, ours, &e);
	if (r >= 0)
		return;
	if (l->calls) {
		timer_arm(l->en->loop, t, CALL_MS);
		return;
	}
	l->failures++;
	if (r != -EAGAIN)
		fail_all(l, &e);
	try_later(l);
}

static void tell_end(struct net_link *l)
{
	if (l->stale)
		engine_event(l->en, NULL, NULL, "podfs-net is started anew: its settings have changed");
	else
		engine_event(l->en, NULL, NULL, "podfs-net ended unexpectedly%s%s", *l->last ? ": " : "", l->last);
}

static void on_closed(struct peer *p)
{
	struct net_link *l = container_of(p, struct net_link, peer);
	struct err e;
	err_set(&e, ENODEV, "podfs-net has ended");
	if (l->says.fd >= 0)
		on_says(&l->says, EPOLLIN);
	tell_end(l);
	l->ready = false;
	peer_drop(p, &e);
	if (now_mono_ns() - l->since_ns > STEADY_NS)
		l->failures = 0;
	if (l->waiting) /* who was asked for the second time fails: this ends */
		net_link_want(l->en);
	else if (net_wanted(l->en))
		try_later(l);
	l->failures++;
}

static void on_message(struct peer *p, struct wire_in *in)
{
	net_on_message(container_of(p, struct net_link, peer)->en, in);
}

/* What is asked now does not wait for the next try. */
void net_link_want(struct engine *en)
{
	struct net_link *l = en->priv->net;
	if (!peer_connected(&l->peer))
		timer_arm(en->loop, &l->connect, 0);
}

bool net_link_up(const struct engine *en)
{
	return en->priv->net->ready;
}

int net_link_open(struct engine *en)
{
	struct net_link *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	*l = (struct net_link){ .en = en, .connect.fn = on_connect, .says.fd = -1 };
	l->waiting_tail = &l->waiting;
	peer_init(&l->peer, en->loop, en->priv->wire_mem);
	snprintf(l->peer.what, sizeof l->peer.what, "podfs-net");
	l->peer.on_message = on_message;
	l->peer.on_closed = on_closed;
	en->priv->net = l;
	return 0;
}

void net_link_close(struct engine *en)
{
	struct net_link *l = take_ptr(en->priv->net);
	struct err e;
	if (!l)
		return;
	err_set(&e, ENODEV, "the server ends");
	peer_drop(&l->peer, &e);
	fail_all(l, &e);
	timer_stop(en->loop, &l->connect);
	loop_del(en->loop, &l->says);
	close_fd(&l->says.fd);
	free(l);
}
