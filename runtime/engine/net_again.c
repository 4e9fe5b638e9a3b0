/* The pods' network after a restart: of the server, which asks each podfs-pod for its namespace, or of podfs-net, which is told of
 * all pods again; and after somebody has deleted it.
 *
 * What is there is left alone by podfs-net, so telling it once too often does no harm. N_SYNC comes last: whatever carries our names and
 * was not told is removed. Runs in podfs-server.
 */
#include "runtime/engine/net_link.h"

#include <errno.h>
#include <string.h>

#define AGAIN_S 120 /* all pods at once */
#define SYNC_MS 3000 /* for a podfs-pod that does not answer, the others' leftovers wait no longer */

/* A question for a pod, which it may outlive. */
struct asked {
	struct engine *en;
	uint64_t serial;
};

static struct pod *asked_pod(void *arg)
{
	struct asked q = *(struct asked *)arg;
	free(arg);
	struct entity *ent = engine_entity(q.en, q.serial);
	return ent ? container_of(ent, struct pod, entity) : NULL;
}

static bool is_attached(const struct net_choice *net)
{
	return net->mode == NET_BRIDGE || net->mode == NET_CNI;
}

/* --- N_SYNC --- */

static void put_uids(const struct pod *list, struct wire_out *o)
{
	for (; list; list = list->next_leaving)
		net_str(o, K_UID, list->spec->uid);
}

static void on_synced(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	if (result < 0 && result != -ENODEV)
		engine_event(arg, NULL, NULL, "network: leftovers were not removed: %s", e->text);
}

static void send_sync(struct engine *en)
{
	struct wire_out o = { 0 };
	timer_stop(en->loop, &en->priv->sync);
	en->priv->synced = true;
	net_begin(&o, N_SYNC);
	for (size_t i = 0; i < en->npods; i++)
		net_str(&o, K_UID, en->pods[i]->spec->uid);
	put_uids(en->leaving, &o);
	put_uids(en->priv->creating, &o);
	strays_put(en, &o);
	net_ask_this(en, &o, AGAIN_S, on_synced, en);
}

static void sync_if_all_told(struct engine *en)
{
	if (net_link_up(en) && !en->priv->synced && !en->priv->unplaced && !en->priv->unsettled)
		send_sync(en);
}

static void on_sync_time(struct timer *t)
{
	struct engine_private *priv = container_of(t, struct engine_private, sync);
	struct engine *en = priv->engine;
	if (net_link_up(en) && !priv->synced)
		send_sync(en);
}

/* --- one pod --- */

static bool same_strs(const struct strs *a, const struct strs *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = !strcmp(a->v[i], b->v[i]);
	return same;
}

static int moved_apply(struct op *o, struct err *e UNUSED)
{
	struct net_got *got = o->keep;
	struct pod_spec *s = o->pod->spec;
	struct strs ip = s->ip;
	char *resolv = s->resolv_made;
	s->ip = got->ip;
	s->resolv_made = got->resolv;
	got->ip = ip;
	got->resolv = resolv;
	return 0;
}

static void moved_revert(struct op *o)
{
	moved_apply(o, NULL);
}

static int moved_message(struct op *o, struct wire_out *out, struct err *e UNUSED)
{
	wire_begin(out, W_ETC, 0);
	net_put_etc(o->pod, out);
	return 0;
}

static void moved_free(struct op *o)
{
	net_got_free(o->keep);
	free(o->keep);
}

/* Its addresses, or the servers of names, are others than before. */
static void note_changes(struct pod *p, struct net_got *got)
{
	struct op *o = op_new(p, NULL, NULL, NULL);
	struct net_got *keep = malloc(sizeof *keep);
	if (!o || !keep) {
		free(o);
		free(keep);
		return;
	}
	*keep = *got;
	*got = NET_GOT_NONE;
	o->keep = keep;
	o->apply = moved_apply;
	o->revert = moved_revert;
	o->message = moved_message;
	o->free = moved_free;
	op_run(o, NULL);
}

static bool same_resolv(const struct pod_spec *s, const struct net_got *got)
{
	return s->resolv_made && !strcmp(s->resolv_made, got->resolv);
}

static void is_there(struct pod *p, struct net_got *got)
{
	bool moved = !same_strs(&p->spec->ip, &got->ip);
	net_settle(p, false, "");
	if (moved)
		engine_event(p->engine, p, NULL, "network: its addresses have changed: now %s%s%s", got->ip.n ? got->ip.v[0] : "none",
			     got->ip.n > 1 ? ", " : "", got->ip.n > 1 ? got->ip.v[1] : "");
	if (moved || !same_resolv(p->spec, got))
		note_changes(p, got);
}

/* One of CNI that never had what it should have got gets it as any other does. */
static void is_not(struct pod *p, int result, const struct err *e)
{
	net_down(p, e);
	if (result == -EOPNOTSUPP && p->spec->net.mode == NET_BRIDGE)
		p->net.bare = true;
	engine_event(p->engine, p, NULL, "network: %s", e->text);
	if (p->spec->net.mode != NET_CNI || p->spec->ip.n)
		return;
	close_fd(&p->net.netns);
	net_bring_up(p);
}

static void on_told(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct pod *p = asked_pod(arg);
	struct net_got got = NET_GOT_NONE;
	struct err mine = *e;
	bool died = !in && result == -ENODEV; /* the next one is told again */
	if (!p || p->leaving || p->net.netns < 0 || died)
		return;
	if (result >= 0)
		result = net_read_reply(&p->spec->net, in, &got, &mine);
	if (result >= 0)
		is_there(p, &got);
	else
		is_not(p, result, &mine);
	net_got_free(&got);
	engine_changed(p->engine, p, CHANGE_STATE);
}

static void tell(struct pod *p)
{
	struct asked *q = malloc(sizeof *q);
	struct wire_out o = { 0 };
	if (!q)
		return;
	*q = (struct asked){ p->engine, p->entity.serial };
	net_put_choice(&p->spec->net, p->spec->host, &o);
	net_put_pod(p, &o);
	wire_fd(&o, p->net.netns);
	if (net_ask_this(p->engine, &o, AGAIN_S, on_told, q))
		free(q);
}

/* --- after a start of the server --- */

static void on_netns(void *arg, int result, struct wire_in *in, const struct err *e)
{
	struct pod *p = arg;
	struct engine *en = p->engine;
	en->priv->unplaced--;
	p->link->placing = false;
	if (en->priv->closing)
		return;
	if (result >= 0 && in->nfds && p->net.netns < 0)
		p->net.netns = take_fd(&in->fds[0]);
	else if (in)
		net_down(p, e);
	if (p->net.netns >= 0 && !p->leaving && net_link_up(en))
		tell(p);
	sync_if_all_told(en);
}

static void ask_for_netns(struct pod *p)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_NETNS, 0);
	if (!link_request(p, &o, on_netns, p)) {
		p->engine->priv->unplaced++;
		p->link->placing = true;
	}
	wire_free(&o);
}

void net_resume(struct pod *p)
{
	if (!is_attached(&p->spec->net))
		p->net.up = true;
	else if (p->net.netns < 0 && (!p->leaving || p->spec->net.mode == NET_CNI)) /* which is let go from inside */
		ask_for_netns(p);
	sync_if_all_told(p->engine);
}

/* --- of one whose pair of links is gone --- */

void net_again(struct pod *p)
{
	if (p && !p->leaving && p->spec->net.mode == NET_BRIDGE && p->net.netns >= 0)
		tell(p);
}

/* --- after a start of podfs-net --- */

/* Those that are being made and have nothing yet are asked for anyway. */
static void tell_if_attached(struct pod *p)
{
	if (is_attached(&p->spec->net) && p->net.netns >= 0)
		tell(p);
}

void net_connected(struct engine *en)
{
	en->priv->host_max = UINT64_MAX;
	en->priv->synced = false;
	for (size_t i = 0; i < en->npods; i++)
		tell_if_attached(en->pods[i]);
	for (struct pod *p = en->priv->creating; p; p = p->next_leaving)
		tell_if_attached(p);
	for (struct pod *p = en->leaving; p; p = p->next_leaving)
		net_leave(p);
	timer_arm(en->loop, &en->priv->sync, SYNC_MS);
	sync_if_all_told(en);
}

/* --- the engine's start and end --- */

bool net_wanted(const struct engine *en)
{
	bool wanted = en->cfg->network.mode == NET_BRIDGE;
	for (size_t i = 0; i < en->npods; i++)
		wanted |= is_attached(&en->pods[i]->spec->net);
	for (const struct pod *p = en->leaving; p; p = p->next_leaving)
		wanted |= is_attached(&p->spec->net);
	return wanted;
}

int net_open(struct engine *en)
{
	en->priv->sync.fn = on_sync_time;
	en->priv->engine = en;
	en->priv->host_max = UINT64_MAX;
	return net_link_open(en);
}

void net_begin_soon(struct engine *en)
{
	if (net_wanted(en))
		net_link_want(en);
}

void net_close(struct engine *en)
{
	timer_stop(en->loop, &en->priv->sync);
	net_link_close(en);
}
