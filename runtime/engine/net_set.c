/* Settings that need podfs-net: network, ports, net.ingress, net.egress.
 *
 * podfs-net does it first (op.h's `before`) and may refuse, then the record says so; should that fail, podfs-net gets what was before.
 * Each effect has a row. A network that takes long is got in the same way after the sandbox stands. Runs in podfs-server.
 */
#include "runtime/engine/net_link.h"

#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of an op that sets a row's field. */
struct net_change {
	struct pod_spec *draft; /* what the spec will say of the network */
	struct net_choice was;
	struct net_got got;     /* what is new; when it holds, what was before */
	bool asked;             /* something is new */
	struct told *told;      /* podfs-net is asked */
};

/* A question for an op, which it may outlive. */
struct told {
	struct op *op; /* NULL: it is over */
};

struct row {
	int (*before)(struct op *o, struct err *e);
	int (*apply)(struct op *o, struct err *e);
	void (*revert)(struct op *o);
	int (*message)(struct op *o, struct wire_out *out, struct err *e);
	void (*undo)(struct op *o);
	void (*after)(struct op *o);
};

/* --- what it would be --- */

static int copy_settings(struct pod_spec *to, const struct pod_spec *from)
{
	to->net = from->net;
	to->rate_in = from->rate_in;
	to->rate_out = from->rate_out;
	return strs_copy(&to->ports, &from->ports);
}

/* The spec itself stays as it is while podfs-net is asked. */
static int make_draft(struct op *o, struct err *e)
{
	struct net_change *n = o->keep;
	n->draft = pod_spec_new();
	if (!n->draft || copy_settings(n->draft, o->pod->spec))
		return err_set(e, ENOMEM, "%s: out of memory", o->field->name);
	int r = set_settle(o, (struct spec_ref){ .pod = n->draft }, e);
	return r ? r : spec_set(o->field, (struct spec_ref){ .pod = n->draft }, o->text, o->len, e);
}

static int no_message(struct op *o UNUSED, struct wire_out *out, struct err *e UNUSED)
{
	wire_begin(out, W_RECORD, 0);
	return 0;
}

static void after(struct op *o)
{
	static const struct err none;
	if (o->done)
		o->done(o->arg, 0, &none);
}

/* --- network --- */

static bool same_choice(const struct net_choice *a, const struct net_choice *b)
{
	return a->mode == b->mode && !strcmp(a->cni, b->cni);
}

static int nothing_runs(const struct pod *p, struct err *e)
{
	for (size_t i = 0; i < p->ncontainers; i++) {
		const struct container *c = p->containers[i];
		if (c->status.state == C_RUNNING || c->status.state == C_PAUSED)
			return err_set(e, EBUSY, "network: container %s runs: a pod's network is chosen before its first container", c->spec->name);
	}
	return 0;
}

static int may_choose(const struct op *o, const struct net_choice *want, struct err *e)
{
	const struct pod *p = o->pod;
	if (want->mode == NET_HOST && !o->by_root)
		return err_set(e, EPERM, "network: the host's network is for root only");
	if (want->mode == NET_CNI && p->spec->net.mode == NET_CNI && p->net.netns >= 0)
		return err_set(e, EBUSY, "network: pod %s is on CNI network %s: write `none` first", p->spec->name, p->spec->net.cni);
	return nothing_runs(p, e);
}

static void on_network(void *arg, int result, struct net_got *got, const struct err *e)
{
	struct op *o = arg;
	struct net_change *n = o->keep;
	struct err mine = *e;
	if (result >= 0 && got->bare)
		result = err_set(&mine, EOPNOTSUPP, "%s", got->why);
	if (result >= 0) {
		n->got = *got;
		*got = NET_GOT_NONE;
		n->asked = true;
	}
	op_go(o, result, &mine);
}

static int network_before(struct op *o, struct err *e)
{
	struct net_change *n = o->keep;
	int r = make_draft(o, e);
	if (r)
		return r;
	const struct net_choice *want = &n->draft->net;
	if (same_choice(want, &o->pod->spec->net) && o->pod->net.up)
		return 1;
	r = may_choose(o, want, e);
	if (r)
		return r;
	r = net_get(o->pod, want, &n->got, on_network, o, e);
	n->asked = r > 0;
	return r;
}

static int network_apply(struct op *o, struct err *e)
{
	struct net_change *n = o->keep;
	n->was = o->pod->spec->net;
	int r = set_apply(o, e);
	if (!r && n->asked)
		net_swap(o->pod, &n->got);
	return r;
}

static void network_revert(struct op *o)
{
	struct net_change *n = o->keep;
	set_revert(o);
	o->pod->spec->net = n->was; /* whatever the default is */
	if (n->asked)
		net_swap(o->pod, &n->got);
}

static int network_message(struct op *o, struct wire_out *out, struct err *e UNUSED)
{
	struct net_change *n = o->keep;
	wire_begin(out, n->asked ? W_NET : W_RECORD, 0);
	if (!n->asked)
		return 0;
	net_put_etc(o->pod, out);
	if (o->pod->net.netns >= 0)
		wire_fd(out, o->pod->net.netns);
	return 0;
}

static void network_undo(struct op *o)
{
	struct net_change *n = o->keep;
	if (n->asked)
		net_let_go(o->pod, &n->draft->net, &n->got.netns);
}

/* Those whose start nobody was told had failed. */
static void start_held(struct pod *p)
{
	for (size_t i = 0; i < p->ncontainers; i++)
		if (p->containers[i]->held)
			container_start(p->containers[i]);
}

/* podfs-net knows a pod by its uid: what has taken the place of something of the same kind is not let go with it. */
static bool was_another(const struct net_change *n, const struct net_choice *now)
{
	return n->was.mode != now->mode && (n->was.mode != NET_CNI || n->got.netns >= 0);
}

static void network_after(struct op *o)
{
	struct net_change *n = o->keep;
	struct pod *p = o->pod;
	if (n->asked) {
		_cleanup_buf_ struct buf name = { 0 };
		net_choice_show(&p->spec->net, &name);
		if (was_another(n, &p->spec->net))
			net_let_go(p, &n->was, &n->got.netns);
		net_settle(p, false, "");
		engine_event(p->engine, p, NULL, "network: %s%s%s", buf_str(&name), p->spec->ip.n ? ", " : "",
			     p->spec->ip.n ? p->spec->ip.v[0] : "");
	}
	after(o);
	if (n->asked)
		start_held(p);
	engine_changed(p->engine, p, CHANGE_STATE);
}

/* --- ports and rates --- */

static uint64_t rate_of(uint64_t limit)
{
	return limit == LIMIT_MAX ? 0 : limit;
}

static int tell(struct op *o, const struct pod_spec *s, reply_fn *fn, void *arg)
{
	struct wire_out out = { 0 };
	bool ports = o->field->effect == SPEC_PORTS;
	net_begin(&out, ports ? N_PORTS : N_RATE);
	net_str(&out, K_UID, o->pod->spec->uid);
	for (size_t i = 0; ports && i < s->ports.n; i++)
		net_str(&out, K_PORT, s->ports.v[i]);
	if (!ports) {
		net_u64(&out, K_RATE_IN, rate_of(s->rate_in));
		net_u64(&out, K_RATE_OUT, rate_of(s->rate_out));
	}
	return net_ask(o->pod->engine, &out, NET_ANSWER_S, fn, arg);
}

static void tell_back(struct op *o)
{
	if (((struct net_change *)o->keep)->asked)
		tell(o, o->pod->spec, NULL, NULL);
}

/* Without an answer nobody knows what podfs-net has done of it. */
static void on_told(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct told *t = arg;
	struct op *o = t->op;
	free(t);
	if (!o)
		return;
	struct net_change *n = o->keep;
	n->told = NULL;
	n->asked = result >= 0 || !in;
	if (result < 0)
		tell_back(o);
	op_go(o, result, e);
}

static int tell_new(struct op *o, struct err *e)
{
	struct net_change *n = o->keep;
	n->told = malloc(sizeof *n->told);
	if (!n->told)
		return err_set(e, ENOMEM, "%s: out of memory", o->field->name);
	*n->told = (struct told){ o };
	if (!tell(o, n->draft, on_told, n->told))
		return 0;
	free(take_ptr(n->told));
	return err_set(e, ENOMEM, "%s: out of memory", o->field->name);
}

/* 1: there is nobody to tell yet, the record is enough. */
static int ask_to_change(struct op *o, struct err *e)
{
	const struct pod *p = o->pod;
	const char *what = o->field->name;
	if (p->spec->net.mode == NET_CNI && p->net.netns >= 0)
		return err_set(e, EBUSY, "%s: the plugins of CNI network %s have it for good: `echo bridge > network`, then `%s`, then network again",
			       what, p->spec->net.cni, what);
	if (p->spec->net.mode != NET_BRIDGE)
		return 1;
	if (p->net.bare)
		return err_set(e, EOPNOTSUPP, "%s: pod %s has lo only: %s", what, p->spec->name, p->net.why);
	return tell_new(o, e);
}

static unsigned first_unprivileged(void)
{
	_cleanup_buf_ struct buf text = { 0 };
	if (read_file_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", 16, &text))
		return 1024;
	return (unsigned)strtoul(buf_str(&text), NULL, 10);
}

static bool holds_line(const struct strs *s, const char *line)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i], line))
			return true;
	return false;
}

/* Lines that somebody else has written already are no matter. */
static int may_publish(const struct op *o, const struct strs *ports, struct err *e)
{
	unsigned first = o->by_root ? 0 : first_unprivileged();
	for (size_t i = 0; i < ports->n; i++) {
		struct port port;
		const char *line = ports->v[i];
		if (holds_line(&o->pod->spec->ports, line) || parse_port(line, strlen(line), &port, NULL))
			continue;
		if (port.host < first)
			return err_set(e, EACCES, "ports: %s: ports below %u are for root (ip_unprivileged_port_start)", line, first);
	}
	return 0;
}

static int ports_before(struct op *o, struct err *e)
{
	struct net_change *n = o->keep;
	int r = make_draft(o, e);
	if (!r)
		r = may_publish(o, &n->draft->ports, e);
	return r ? r : ask_to_change(o, e);
}

static int rate_before(struct op *o, struct err *e)
{
	int r = make_draft(o, e);
	return r ? r : ask_to_change(o, e);
}

/* --- ops --- */

static const struct row rows[] = {
	[SPEC_NETWORK] = { network_before, network_apply, network_revert, network_message, network_undo, network_after },
	[SPEC_PORTS] = { ports_before, set_apply, set_revert, no_message, tell_back, after },
	[SPEC_RATE] = { rate_before, set_apply, set_revert, no_message, tell_back, after },
};

bool net_sets(const struct spec_field *f)
{
	return f->effect < ARRAY_LEN(rows) && rows[f->effect].before;
}

static void net_change_free(struct op *o)
{
	struct net_change *n = o->keep;
	struct pod *p = o->pod;
	p->net.busy = --p->link->net_ops > 0;
	if (n->told)
		n->told->op = NULL;
	if (n->draft)
		pod_spec_free(n->draft);
	net_got_free(&n->got);
	free(n);
}

int net_set_prepare(struct op *o)
{
	const struct row *row = &rows[o->field->effect];
	struct net_change *n = calloc(1, sizeof *n);
	if (!n)
		return -ENOMEM;
	n->got = NET_GOT_NONE;
	o->keep = n;
	o->before = row->before;
	o->apply = row->apply;
	o->revert = row->revert;
	o->message = row->message;
	o->undo = row->undo;
	o->after = row->after;
	o->free = net_change_free;
	o->pod->link->net_ops++;
	o->pod->net.busy = true;
	return 0;
}

/* --- a network that takes long --- */

static void try_later(struct pod *p)
{
	const struct config *cfg = p->engine->cfg;
	struct pod_link *l = p->link;
	timer_arm(p->engine->loop, &l->net_timer, pull_backoff_ms(++l->net_tries, cfg->backoff_base, cfg->backoff_cap));
}

static void on_brought_up(void *arg, int result, const struct err *e)
{
	struct pod *p = arg;
	if (p->engine->priv->closing || p->leaving || result == -ENODEV)
		return;
	if (result >= 0) {
		p->link->net_tries = 0;
		return;
	}
	net_down(p, e);
	engine_event(p->engine, p, NULL, "FailedCreatePodSandBox: %s", e->text);
	try_later(p);
}

static void on_timer(struct timer *t)
{
	net_bring_up(container_of(t, struct pod_link, net_timer)->pod);
}

void net_bring_up(struct pod *p)
{
	static const struct err no_memory = { .code = ENOMEM, .text = "network: out of memory" };
	if (!net_may_start(p, NULL) || p->net.busy || p->leaving)
		return;
	_cleanup_buf_ struct buf text = { 0 };
	net_choice_show(&p->spec->net, &text);
	p->link->net_timer.fn = on_timer;
	timer_stop(p->engine->loop, &p->link->net_timer);
	struct setting as_it_is = { .field = spec_field_find("network", SPEC_POD), .text = buf_str(&text), .len = text.len, .by_root = true };
	struct op *o = set_op(p, NULL, &as_it_is, on_brought_up, p);
	struct err e = no_memory;
	if (!o || op_run(o, &e))
		on_brought_up(p, -e.code, &e);
}
