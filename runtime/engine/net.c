/* What podfs-net is asked for one pod, and what a pod's network came to be.
 *
 * Owns the leases (host numbers, which stand in the records) and struct net_work, a network that is being got. Whoever wants one
 * says what becomes of it: sandbox.c, net_set.c. Runs in podfs-server, waits for nothing.
 */
#include "runtime/engine/net_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TRIES_MAX 16 /* host numbers that turn out to be somebody's */
#define CNI_ANSWER_S (4 * CNI_DEADLINE_S) /* its turn, ADD, taking it back */

/* One that is being got; outlives the pod if need be. */
struct net_work {
	struct engine *en;
	struct pod *pod;     /* NULL: nobody wants it any more */
	struct net_choice net;
	uint64_t host;       /* taken, though no record says so yet; 0: none */
	unsigned tries;
	got_fn *fn;
	void *arg;
};

void net_got_free(struct net_got *g)
{
	close_fd(&g->netns);
	strs_free(&g->ip);
	free(g->resolv);
	*g = NET_GOT_NONE;
}

/* --- leases --- */

static size_t collect(const struct pod *list, bool chain, uint64_t *taken, size_t n)
{
	for (const struct pod *p = list; p; p = chain ? p->next_leaving : NULL) {
		if (p->spec->host)
			taken[n++] = p->spec->host;
		if (p->net.work && p->net.work->host)
			taken[n++] = p->net.work->host;
	}
	return n;
}

static size_t count(const struct pod *list)
{
	size_t n = 0;
	for (; list; list = list->next_leaving)
		n++;
	return n;
}

/* A number that no record has, in turn: one that has just been given back is not used again at once. */
static int lease(struct net_work *w, uint64_t from, struct err *e)
{
	struct engine_private *priv = w->en->priv;
	size_t n = 0, room = w->en->npods + count(w->en->leaving) + count(priv->creating) + strays_count(w->en);
	_cleanup_free_ uint64_t *taken = calloc(2 * room + 1, sizeof *taken);
	if (!taken)
		return err_set(e, ENOMEM, "network: out of memory");
	w->host = 0;
	for (size_t i = 0; i < w->en->npods; i++)
		n = collect(w->en->pods[i], false, taken, n);
	n = collect(w->en->leaving, true, taken, n);
	n = collect(priv->creating, true, taken, n);
	n = strays_hosts(w->en, taken, n);
	w->host = lease_choose(taken, n, from, priv->host_max);
	if (!w->host)
		return err_set(e, ENOSPC, "network: the pods' subnet has no address left (%zu are in use; subnet4 and subnet6 of the config "
			"name a larger one)", n);
	priv->next_host = w->host + 1;
	return 0;
}

/* --- asking --- */

void net_put_pod(const struct pod *p, struct wire_out *o)
{
	const struct pod_spec *s = p->spec;
	net_str(o, K_UID, s->uid);
	net_str(o, K_POD, s->name);
	if (s->rate_in != LIMIT_MAX)
		net_u64(o, K_RATE_IN, s->rate_in);
	if (s->rate_out != LIMIT_MAX)
		net_u64(o, K_RATE_OUT, s->rate_out);
	for (size_t i = 0; i < s->ports.n; i++)
		net_str(o, K_PORT, s->ports.v[i]);
}

void net_put_choice(const struct net_choice *net, uint64_t host, struct wire_out *o)
{
	net_begin(o, net->mode == NET_CNI ? N_CNI_ADD : N_ATTACH);
	if (net->mode == NET_CNI)
		net_str(o, K_CNI, net->cni);
	else
		net_u64(o, K_HOST, host);
}

unsigned net_patience(const struct net_choice *net)
{
	return net->mode == NET_CNI ? CNI_ANSWER_S : NET_ANSWER_S;
}

static void on_got(void *arg, int result, struct wire_in *in, const struct err *e);

static int ask(struct net_work *w, struct err *e)
{
	struct wire_out o = { 0 };
	net_put_choice(&w->net, w->host, &o);
	net_put_pod(w->pod, &o);
	return net_ask(w->en, &o, net_patience(&w->net), on_got, w) ? err_set(e, ENOMEM, "network: out of memory") : 0;
}

static void tell_let_go(struct engine *en, const char *uid, const struct net_choice *net, int netns)
{
	struct wire_out o = { 0 };
	if (net->mode != NET_BRIDGE && net->mode != NET_CNI)
		return;
	net_begin(&o, net->mode == NET_CNI ? N_CNI_DEL : N_DETACH);
	net_str(&o, K_UID, uid);
	if (net->mode == NET_CNI && netns >= 0)
		wire_fd(&o, netns);
	net_ask(en, &o, net_patience(net), NULL, NULL);
}

/* --- what came of it --- */

static void finish(struct net_work *w, int result, struct net_got *got, const struct err *e)
{
	got_fn *fn = w->fn;
	void *arg = w->arg;
	got->host = w->host;
	w->pod->net.work = NULL;
	free(w);
	fn(arg, result, got, e);
	net_got_free(got);
}

/* What a CNI plugin has said ends up in the record, which must be readable again. */
static int take_address(struct net_got *got, const char *data, size_t len, struct err *e)
{
	if (!is_ip(data, len))
		return err_set(e, EPROTO, "network: %.80s is not ADDRESS/PREFIX", data);
	return strs_add(&got->ip, data, len) ? err_set(e, ENOMEM, "network: out of memory") : 0;
}

int net_read_reply(const struct net_choice *net, struct wire_in *in, struct net_got *got, struct err *e)
{
	struct strs dns = { 0 };
	_cleanup_buf_ struct buf text = { 0 };
	const char *data;
	size_t pos = 0, len;
	uint16_t key;
	int r = 0;
	while (!r && wire_next(in, &pos, &key, &data, &len))
		if (key == K_ADDR)
			r = take_address(got, data, len, e);
		else if (key == K_DNS && strs_add(&dns, data, len))
			r = err_set(e, ENOMEM, "network: out of memory");
	net_resolv(&dns, net->mode != NET_HOST, &text);
	strs_free(&dns);
	got->resolv = strdup(buf_str(&text));
	if (in->nfds && got->netns < 0)
		got->netns = take_fd(&in->fds[0]);
	if (!r && (buf_status(&text) || !got->resolv))
		r = err_set(e, ENOMEM, "network: out of memory");
	return r;
}

static int plain_resolv(bool own, struct net_got *got)
{
	static const struct strs none;
	_cleanup_buf_ struct buf text = { 0 };
	net_resolv(&none, own, &text);
	got->resolv = strdup(buf_str(&text));
	return got->resolv && !buf_status(&text) ? 0 : -ENOMEM;
}

/* The number is beyond the subnet, whose size only podfs-net knows, or somebody's whom the records do not know. 0: asked anew. */
static int ask_again(struct net_work *w, int result, struct err *e)
{
	if (w->net.mode != NET_BRIDGE || ++w->tries > TRIES_MAX)
		return result;
	uint64_t from = w->host + 1;
	if (result == -ERANGE)
		w->en->priv->host_max = w->host - 1;
	else if (result != -EADDRINUSE)
		return result;
	int r = lease(w, result == -ERANGE ? 0 : from, e);
	return r ? r : ask(w, e);
}

static void got_nothing(struct net_work *w, int result, bool answered, const struct err *e)
{
	struct err mine = *e;
	struct net_got got = NET_GOT_NONE;
	int r = answered ? ask_again(w, result, &mine) : result;
	if (!r)
		return;
	if (!answered)
		tell_let_go(w->en, w->pod->spec->uid, &w->net, -1);
	if (r == -EOPNOTSUPP && w->net.mode == NET_BRIDGE && !plain_resolv(true, &got)) {
		got.bare = true;
		snprintf(got.why, sizeof got.why, "%s", mine.text);
		r = 0;
	}
	finish(w, r, &got, &mine);
}

static void on_got(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct net_work *w = arg;
	struct net_got got = NET_GOT_NONE;
	struct err mine = { 0 };
	if (!w->pod) {
		free(w);
		return;
	}
	if (result < 0) {
		got_nothing(w, result, in, e);
		return;
	}
	result = net_read_reply(&w->net, in, &got, &mine);
	if (!result && got.netns < 0)
		result = err_set(&mine, EPROTO, "network: podfs-net has sent no namespace");
	if (result)
		tell_let_go(w->en, w->pod->spec->uid, &w->net, got.netns);
	finish(w, result, &got, &mine);
}

/* --- getting --- */

static int get_none(struct net_got *got, struct err *e)
{
	return plain_resolv(true, got) ? err_set(e, ENOMEM, "network: out of memory") : 1;
}

static int get_host(struct net_got *got, struct err *e)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "network: /proc/self/ns/net");
	got->netns = fd;
	return plain_resolv(false, got) ? err_set(e, ENOMEM, "network: out of memory") : 1;
}

/* A pod that is made anew has its number already. */
static int get_far(struct net_work *w, struct err *e)
{
	int r = 0;
	if (w->net.mode == NET_BRIDGE && w->pod->spec->host)
		w->host = w->pod->spec->host;
	else if (w->net.mode == NET_BRIDGE)
		r = lease(w, w->en->priv->next_host, e);
	return r ? r : ask(w, e);
}

int net_get(struct pod *p, const struct net_choice *net, struct net_got *got, got_fn *fn, void *arg, struct err *e)
{
	*got = NET_GOT_NONE;
	if (p->net.work)
		return err_set(e, EBUSY, "network: pod %s: its network is being made", p->spec->name);
	if (net->mode == NET_NONE)
		return get_none(got, e);
	if (net->mode == NET_HOST)
		return get_host(got, e);
	struct net_work *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, ENOMEM, "network: out of memory");
	*w = (struct net_work){ .en = p->engine, .pod = p, .net = *net, .fn = fn, .arg = arg };
	int r = get_far(w, e);
	if (r)
		free(w);
	else
		p->net.work = w;
	return r;
}

/* podfs-net takes things one behind another: so what is let go now is let go after it was made. */
void net_drop(struct pod *p)
{
	struct net_work *w = take_ptr(p->net.work);
	if (!w)
		return;
	w->pod = NULL;
	if (!p->engine->priv->closing)
		tell_let_go(p->engine, p->spec->uid, &w->net, -1);
}

void net_cancel(struct pod *p)
{
	struct net_work *w = p->net.work;
	struct net_got got = NET_GOT_NONE;
	struct err e;
	if (!w)
		return;
	got_fn *fn = w->fn;
	void *arg = w->arg;
	net_drop(p);
	err_set(&e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	fn(arg, -ENODEV, &got, &e);
}

/* --- a pod has it --- */

void net_swap(struct pod *p, struct net_got *g)
{
	struct pod_spec *s = p->spec;
	struct net_got was = { .netns = p->net.netns, .host = s->host, .ip = s->ip, .resolv = s->resolv_made };
	p->net.netns = g->netns;
	s->host = g->host;
	s->ip = g->ip;
	s->resolv_made = g->resolv;
	g->netns = was.netns;
	g->host = was.host;
	g->ip = was.ip;
	g->resolv = was.resolv;
}

void net_settle(struct pod *p, bool bare, const char *why)
{
	struct pod_net *n = &p->net;
	n->bare = bare;
	n->up = !bare && (p->spec->net.mode != NET_CNI || n->netns >= 0);
	n->error = 0;
	snprintf(n->why, sizeof n->why, "%s", why);
	if (p->spec->net.mode == NET_HOST)
		close_fd(&n->netns);
}

void net_down(struct pod *p, const struct err *e)
{
	p->net.up = false;
	p->net.error = e->code;
	snprintf(p->net.why, sizeof p->net.why, "%.290s", e->text);
}

void net_let_go(struct pod *p, const struct net_choice *net, int *netns)
{
	tell_let_go(p->engine, p->spec->uid, net, *netns);
	close_fd(netns);
}

void net_leave(struct pod *p)
{
	struct wire_out o = { 0 };
	if (p->spec->net.mode != NET_BRIDGE || p->net.bare)
		return;
	net_begin(&o, N_LEAVE);
	net_str(&o, K_UID, p->spec->uid);
	net_ask(p->engine, &o, NET_ANSWER_S, NULL, NULL);
}

void net_forget(struct pod *p)
{
	net_cancel(p);
	p->net.up = false;
	if (!p->net.bare)
		net_let_go(p, &p->spec->net, &p->net.netns);
	p->net.bare = false;
	p->net.why[0] = 0;
}

void net_put_etc(const struct pod *p, struct wire_out *o)
{
	_cleanup_buf_ struct buf hosts = { 0 }, resolv = { 0 };
	hosts_text(p->spec, &hosts);
	resolv_text(p->spec, &resolv);
	wire_str(o, K_HOSTS, buf_str(&hosts));
	wire_str(o, K_RESOLV, buf_str(&resolv));
	o->b.failed |= hosts.failed || resolv.failed;
}

/* Only a sandbox on a CNI network is made without it. One that had it when the last server saw it has it still. */
int net_may_start(const struct pod *p, struct err *e)
{
	if (p->spec->net.mode != NET_CNI || p->net.netns >= 0 || p->link->placing || p->spec->ip.n)
		return 0;
	return err_set(e, p->net.error ? p->net.error : EAGAIN, "network: %s", *p->net.why ? p->net.why : "it is not there yet");
}

/* --- what podfs-net tells --- */

static struct pod *in_list(struct pod *list, const char *uid)
{
	while (list && strcmp(list->spec->uid, uid))
		list = list->next_leaving;
	return list;
}

static struct pod *pod_of(struct engine *en, const char *uid)
{
	for (size_t i = 0; i < en->npods; i++)
		if (!strcmp(en->pods[i]->spec->uid, uid))
			return en->pods[i];
	struct pod *p = in_list(en->leaving, uid);
	return p ? p : in_list(en->priv->creating, uid);
}

static void on_leak(struct engine *en, const char *uid, const char *text)
{
	char line[700];
	snprintf(line, sizeof line, "network of %s: %s", uid ? uid : "-", text);
	ring_once(&en->leaks, line);
	engine_changed(en, NULL, CHANGE_EVENTS);
}

static void on_freed(struct engine *en, const char *uid)
{
	char line[80];
	snprintf(line, sizeof line, "network of %s:", uid ? uid : "-");
	ring_forget(&en->leaks, line);
	engine_changed(en, NULL, CHANGE_EVENTS);
}

static void on_info(struct engine *en, const char *text)
{
	free(en->net_info);
	en->net_info = strdup(text);
}

void net_on_message(struct engine *en, struct wire_in *in)
{
	const char *uid = net_get_str(in, K_UID), *text = wire_get_str(in, K_TEXT);
	if (!text)
		text = "";
	switch ((enum net_op)in->head.op) {
	case N_LEAK:
		on_leak(en, uid, text);
		break;
	case N_FREED:
		on_freed(en, uid);
		break;
	case N_EVENT:
		engine_event(en, uid ? pod_of(en, uid) : NULL, NULL, "network: %s", text);
		break;
	case N_INFO:
		on_info(en, text);
		break;
	case N_LOST:
		net_again(uid ? pod_of(en, uid) : NULL);
		break;
	default:
		break; /* of a newer podfs-net */
	}
}
