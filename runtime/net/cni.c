/* What the server asks of CNI: see cni.h. cni_chain.h has what is done for it. */
#include "runtime/net/cni.h"

#include "runtime/net/cni_chain.h"
#include "runtime/net/ports.h"
#include "runtime/net/spare.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define CONF "/etc/cni/net.d"
#define PLUGINS "/usr/lib/cni:/opt/cni/bin" /* Debian's, and the one that everybody else uses */

struct question {
	struct net *net;
	struct asker who;
	int netns; /* made for it: the reply carries it; -1: none was */
};

static const char *str_of(const struct wire_in *in, enum net_key key)
{
	return wire_get_str(in, (enum wire_key)key);
}

static uint64_t u64_of(const struct wire_in *in, enum net_key key)
{
	return wire_get_u64(in, (enum wire_key)key, 0);
}

static const char *setting(const char *name, const char *usual)
{
	const char *s = getenv(name);
	return s && *s == '/' ? s : usual;
}

static void on_leak(void *arg, const char *uid, const char *words)
{
	server_event(arg, N_LEAK, uid, "%s", words);
}

static void on_freed(void *arg, const char *uid)
{
	server_event(arg, N_FREED, uid, "CNI network");
	leave_later(arg);
}

static int open_once(struct net *n, struct err *e)
{
	static char cache[PATH_MAX];
	if (n->cni)
		return 0;
	snprintf(cache, sizeof cache, "%s/cni", n->state);
	struct cni_setup s = {
		.loop = &n->loop,
		.conf = setting("PODFS_CNI_CONF", CONF),
		.bin = setting("PODFS_CNI_PATH", PLUGINS),
		.cache = cache,
		.deadline_ms = CNI_DEADLINE_S * 1000,
		.retry_ms = CNI_RETRY_MS,
		.arg = n,
		.leak = on_leak,
		.freed = on_freed,
	};
	return cni_open(&n->cni, &s, e);
}

static void put_all(struct wire_out *o, enum net_key key, const struct strs *s)
{
	for (size_t i = 0; i < s->n; i++)
		wire_str(o, (enum wire_key)key, s->v[i]);
}

static void reply_done(const struct question *q, const struct cni_answer *got)
{
	static const struct cni_answer none;
	struct wire_out o = { 0 };
	if (!server_reply_begin(q->net, &q->who, &o))
		return;
	put_all(&o, K_ADDR, got ? &got->addrs : &none.addrs);
	put_all(&o, K_DNS, got ? &got->dns : &none.dns);
	if (q->netns >= 0)
		wire_fd(&o, q->netns);
	server_send(q->net, &o);
}

static void on_done(void *arg, const struct err *e, const struct cni_answer *got)
{
	_cleanup_free_ struct question *q = arg;
	if (e)
		server_reply(q->net, &q->who, -e->code, e);
	else
		reply_done(q, got);
	close_fd(&q->netns);
	leave_later(q->net);
}

/* NULL: the asker was told why not. */
static struct question *question(struct net *n, const struct asker *a, const struct wire_in *in)
{
	struct err e = { 0 };
	struct question *q = calloc(1, sizeof *q);
	int r = q ? open_once(n, &e) : err_set(&e, ENOMEM, "not enough memory");
	if (!r && !str_of(in, K_UID))
		r = err_set(&e, EINVAL, "malformed request: K_UID");
	if (r) {
		free(q);
		server_reply(n, a, r, &e);
		return NULL;
	}
	*q = (struct question){ .net = n, .who = *a, .netns = -1 };
	return q;
}

static int read_ports(const struct wire_in *in, struct port *out, size_t *n, struct err *e)
{
	const char *data;
	size_t pos = 0, len, total = 0;
	uint16_t key;
	for (*n = 0; wire_next(in, &pos, &key, &data, &len);) {
		if (key != K_PORT)
			continue;
		int r = parse_port(data, len, &out[*n], e);
		if (r)
			return r;
		total += out[(*n)++].count;
		if (total > PORTS_MAX)
			return err_set(e, E2BIG, "a pod has at most %d ports", PORTS_MAX);
	}
	return 0;
}

/* A namespace with lo up, the pod's or a new one: the chain makes eth0 only; other runtimes run the plugin `loopback` before it. */
static int find_netns(struct question *q, int given, int *out, struct err *e)
{
	struct netns ns;
	int r = given >= 0 ? netns_enter(given, &ns, e) : spare_take(q->net, &ns, e);
	if (r)
		return r;
	if (given < 0)
		q->netns = take_fd(&ns.fd);
	*out = given < 0 ? q->netns : given;
	netns_close(&ns);
	return 0;
}

void cni_add(struct net *n, const struct asker *a, struct wire_in *in)
{
	struct err e = { 0 };
	struct question *q = question(n, a, in);
	if (!q)
		return;
	struct cni_request r = {
		.uid = str_of(in, K_UID),
		.pod = str_of(in, K_POD),
		.network = str_of(in, K_CNI),
		.netns = -1,
		.rate_in = u64_of(in, K_RATE_IN),
		.rate_out = u64_of(in, K_RATE_OUT),
	};
	_cleanup_free_ struct port *ports = calloc(PORTS_MAX + 1, sizeof *ports);
	if (!ports)
		err_set(&e, ENOMEM, "not enough memory");
	else if (!r.pod || !r.network)
		err_set(&e, EINVAL, "malformed request: K_POD or K_CNI");
	else
		read_ports(in, ports, &r.nports, &e);
	r.ports = ports;
	if (!e.code)
		find_netns(q, in->nfds ? in->fds[0] : -1, &r.netns, &e);
	if (e.code)
		on_done(q, &e, NULL);
	else
		chain_add(n->cni, &r, on_done, q);
}

void cni_del(struct net *n, const struct asker *a, struct wire_in *in)
{
	struct question *q = question(n, a, in);
	if (q)
		chain_del(n->cni, str_of(in, K_UID), in->nfds ? in->fds[0] : -1, on_done, q);
}

/* --- all of them --- */

struct sync {
	struct net *net;
	bool (*listed)(void *arg, const char *uid);
	void *arg;
};

static void on_stranger_gone(void *arg, const struct err *e, const struct cni_answer *got)
{
	leave_later(arg);
}

static void sync_one(void *arg, const char *uid)
{
	const struct sync *s = arg;
	if (!s->listed(s->arg, uid))
		chain_del(s->net->cni, uid, -1, on_stranger_gone, s->net);
}

void cni_sync(struct net *n, bool (*listed)(void *arg, const char *uid), void *arg)
{
	struct err e = { 0 };
	struct sync s = { n, listed, arg };
	if (open_once(n, &e))
		server_event(n, N_EVENT, NULL, "CNI: %s", e.text);
	else
		chain_each(n->cni, sync_one, &s);
}

bool cni_busy(const struct net *n)
{
	return n->cni && chain_any(n->cni);
}

void cni_stop(struct net *n)
{
	cni_close(&n->cni);
}
