/* A pod's sandbox: its network, its podfs-pod, and what both make of it; made with the pod, and made anew when it was lost.
 *
 * podfs-net makes the network namespace while podfs-pod starts: the last that has come is answered with W_SANDBOX. Runs in
 * podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

struct making {
	struct pod *pod;
	done_fn *done;
	void *arg;
	struct net_choice net; /* what it is made with */
	bool bare;
	char why[300];
};

static void end(struct making *m, int result, const struct err *e)
{
	struct making was = *m;
	free(m);
	was.done(was.arg, result, e);
}

static void on_standing(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct making *m = arg;
	struct pod *p = m->pod;
	if (result >= 0) {
		net_settle(p, m->bare, m->why);
		if (m->bare)
			engine_event(p->engine, p, NULL, "network: it has lo only: %s", m->why);
		net_bring_up(p);
	}
	end(m, result, e);
}

static int send_sandbox(struct making *m, struct err *e)
{
	struct pod *p = m->pod;
	_cleanup_buf_ struct buf record = { 0 };
	int r = record_write(p->spec, &record, e);
	if (r)
		return r;
	struct wire_out o = { 0 };
	wire_begin(&o, W_SANDBOX, 0);
	wire_str(&o, K_HOSTNAME, p->spec->hostname);
	wire_str(&o, K_SHARE, p->spec->share_pid ? "ipc net uts pid" : "ipc net uts");
	plan_policy(p, &o);
	pod_put_groups(p, &o);
	net_put_etc(p, &o);
	wire_put(&o, K_RECORD, record.data, record.len);
	if (p->net.netns >= 0)
		wire_fd(&o, p->net.netns);
	r = link_request(p, &o, on_standing, m);
	wire_free(&o);
	if (r == -ENODEV)
		return err_set(e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
	return r ? err_sys(e, -r, "pod %s", p->spec->name) : 0;
}

static int take_network(struct making *m, struct net_got *got, struct err *e)
{
	m->bare = got->bare;
	memcpy(m->why, got->why, sizeof m->why);
	net_swap(m->pod, got);
	return send_sandbox(m, e);
}

static void on_network(void *arg, int result, struct net_got *got, const struct err *e)
{
	struct making *m = arg;
	struct err mine = *e;
	if (result >= 0)
		result = take_network(m, got, &mine);
	if (result < 0)
		end(m, result, &mine);
}

int sandbox_make(struct pod *p, done_fn *done, void *arg, struct err *e)
{
	struct making *m = calloc(1, sizeof *m);
	struct net_got got = NET_GOT_NONE;
	if (!m)
		return err_set(e, ENOMEM, "pod %s: out of memory", p->spec->name);
	*m = (struct making){ .pod = p, .done = done, .arg = arg, .net = p->spec->net };
	if (m->net.mode == NET_CNI)
		m->net = (struct net_choice){ .mode = NET_NONE };
	int had = net_get(p, &m->net, &got, on_network, m, e);
	int r = had < 0 ? had : pod_spawn(p, NULL, e);
	if (!r && had)
		r = take_network(m, &got, e);
	net_got_free(&got);
	if (r) {
		net_drop(p);
		free(m);
	}
	return r;
}

/* --- made anew --- */

struct waiter {
	struct waiter *next;
	done_fn *done;
	void *arg;
};

struct revival {
	struct pod *pod;
	struct waiter *waiters, **tail;
};

static int send_add(struct container *c, struct err *e)
{
	struct wire_out o = { 0 };
	int r = container_message_add(c, &o, e);
	lost_put(c, &o);
	if (!r)
		r = link_request(c->pod, &o, NULL, NULL);
	wire_free(&o);
	return r;
}

int sandbox_add(struct container *c, struct err *e)
{
	int r = send_add(c, e);
	return r ? r : limits_apply(c->pod, c, e);
}

/* The groups are new, and so is podfs-pod: both are told what there is. */
static int tell_all(struct pod *p, struct err *e)
{
	int r = limits_apply(p, NULL, e);
	for (size_t i = 0; !r && i < p->ncontainers; i++)
		r = sandbox_add(p->containers[i], e);
	return r;
}

static void is_lost(struct pod *p, const struct err *e)
{
	net_forget(p);
	link_drop(p);
	p->pid = 0;
	snprintf(p->lost, sizeof p->lost, "%.190s", e->text);
}

static int join(struct revival *v, done_fn *done, void *arg)
{
	struct waiter *w = malloc(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct waiter){ .done = done, .arg = arg };
	*v->tail = w;
	v->tail = &w->next;
	return 0;
}

/* Those who wait come before the ops that do: they may begin with what a container needs. */
static void end_revival(struct revival *v, int result, const struct err *e)
{
	struct pod *p = v->pod;
	p->link->revival = NULL;
	while (v->waiters) {
		struct waiter *w = v->waiters;
		v->waiters = w->next;
		w->done(w->arg, result, e);
		free(w);
	}
	free(v);
	op_resume(p);
}

static void on_revived(void *arg, int result, const struct err *e)
{
	struct revival *v = arg;
	struct pod *p = v->pod;
	struct err mine = *e;
	if (result < 0 && !p->engine->priv->closing && !p->leaving) {
		is_lost(p, e);
	} else if (result >= 0) {
		p->lost[0] = 0;
		result = tell_all(p, &mine);
	}
	if (result >= 0)
		engine_event(p->engine, p, NULL, "sandbox made anew");
	end_revival(v, result, &mine);
	engine_changed(p->engine, p, CHANGE_STATE);
}

static int begin_revival(struct pod *p, struct err *e)
{
	struct engine *en = p->engine;
	link_drop(p);
	lost_no_more(p);
	reap_cancel(en, p->spec->uid);
	cg_destroy(en->cg, p->spec->uid);
	int r = cg_create(en->cg, p->spec->uid, NULL, e);
	if (!r)
		r = sandbox_make(p, on_revived, p->link->revival, e);
	if (r)
		is_lost(p, e);
	return r;
}

int sandbox_revive(struct pod *p, done_fn *done, void *arg, struct err *e)
{
	struct pod_link *l = p->link;
	if (l->revival)
		return join(l->revival, done, arg) ? err_set(e, ENOMEM, "pod %s: out of memory", p->spec->name) : 0;
	if (reach_none(p, e))
		return -e->code;
	struct revival *v = calloc(1, sizeof *v);
	if (!v)
		return err_set(e, ENOMEM, "pod %s: out of memory", p->spec->name);
	*v = (struct revival){ .pod = p };
	v->tail = &v->waiters;
	if (join(v, done, arg)) {
		free(v);
		return err_set(e, ENOMEM, "pod %s: out of memory", p->spec->name);
	}
	l->revival = v;
	int r = begin_revival(p, e);
	if (r) {
		l->revival = NULL;
		free(v->waiters);
		free(v);
	}
	return r;
}
