/* What is asked of CNI's attachments: see cni_chain.h. */
#include "runtime/net/cni_conf.h"
#include "runtime/net/cni_private.h"
#include "runtime/net/cni_netns.h"
#include "runtime/net/cni_step.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int check_plugins(const struct cni *c, const struct cni_request *q, const struct cni_net *n, struct err *e)
{
	char path[PATH_MAX];
	for (size_t i = 0; i < n->n; i++)
		if (cni_plugin_find(c->s.bin, cni_net_type(n, i), path, e))
			return err_prefix(e, "CNI network %s", n->name);
	if (q->nports && !cni_net_can(n, "portMappings"))
		return err_set(e, EOPNOTSUPP, "CNI network %s has no plugin that publishes ports (capability portMappings)", n->name);
	if ((q->rate_in || q->rate_out) && !cni_net_can(n, "bandwidth"))
		return err_set(e, EOPNOTSUPP, "CNI network %s has no plugin that limits rates (capability bandwidth)", n->name);
	return 0;
}

static int prepare(struct chain *ch, const struct cni_request *q, const char *id, struct err *e)
{
	struct cni_record *rec = &ch->rec;
	if (!chain_is_uid(q->uid) || strlen(q->pod) >= sizeof rec->pod)
		return err_set(e, EINVAL, "not a pod's uid and name");
	strcpy(rec->uid, q->uid);
	strcpy(rec->pod, q->pod);
	strcpy(rec->netns, id);
	int r = cni_conf_find(ch->cni->s.conf, q->network, &rec->net, e);
	if (!r)
		r = check_plugins(ch->cni, q, &rec->net, e);
	if (r)
		return r;
	rec->runtime = cni_runtime(q->ports, q->nports, q->rate_in, q->rate_out);
	ch->netns = fcntl(q->netns, F_DUPFD_CLOEXEC, 3);
	if (!rec->runtime || ch->netns < 0)
		return err_set(e, ch->netns < 0 ? errno : ENOMEM, "CNI network %s: no memory or no descriptor left", q->network);
	cni_netns_name(ch->netns, rec->sandbox);
	return 0;
}

static void answer_attached(struct chain *ch, const struct cni_request *q, cni_done *done, void *arg)
{
	struct call call = { done, arg };
	if (ch->netns < 0)
		ch->netns = fcntl(q->netns, F_DUPFD_CLOEXEC, 3);
	answer_added(ch, &call);
}

static void drop_after(struct chain *ch, struct err *e)
{
	struct chain *after = take_ptr(ch->after);
	if (after)
		answer(&after->call, e, NULL);
	chain_free(after);
}

/* A DEL runs, or will as soon as an ADD has ended that nobody wants any more. */
static bool is_going(const struct chain *ch)
{
	return ch->op == OP_DEL || ch->unwanted;
}

/* After what is there now, if there is something. */
static int add_new(struct cni *c, const struct cni_request *q, const char *id, struct chain *old, const struct call *call, struct err *e)
{
	bool rests = old && (old->stage == ATTACHED || old->stage == RETRYING);
	if (old && !rests && !is_going(old))
		return err_set(e, EBUSY, "the pod's network is being changed already");
	struct chain *ch = chain_new(c);
	int r = ch ? prepare(ch, q, id, e) : err_set(e, ENOMEM, "not enough memory");
	if (r) {
		chain_free(ch);
		return r;
	}
	ch->call = *call;
	if (old) {
		struct err replaced = { 0 };
		err_set(&replaced, ECANCELED, "another network was asked for meanwhile");
		drop_after(old, &replaced);
		old->after = ch;
		if (rests)
			chain_begin(old, OP_DEL);
	} else {
		chain_link(ch);
		chain_begin(ch, OP_ADD);
	}
	return 0;
}

void chain_add(struct cni *c, const struct cni_request *q, cni_done *done, void *arg)
{
	struct err e = { 0 };
	char id[NETNS_ID];
	struct chain *old = NULL;
	int r = netns_identify(q->netns, id, &e);
	if (!r)
		r = chain_find_or_load(c, q->uid, &old, &e);
	if (!r && old && old->stage == ATTACHED && old->rec.result && !strcmp(old->rec.netns, id) &&
	    !strcmp(old->rec.net.name, q->network)) {
		answer_attached(old, q, done, arg);
		return;
	}
	if (!r)
		r = add_new(c, q, id, old, &(struct call){ done, arg }, &e);
	if (r)
		done(arg, &e, NULL);
}

static void del_now(struct chain *ch, struct err *cancelled)
{
	struct cni *c = ch->cni;
	if (ch->stage == ATTACHED || ch->stage == RETRYING) {
		chain_begin(ch, OP_DEL);
	} else if (ch->stage == QUEUED && ch->op == OP_ADD) {
		struct call del = ch->del;
		chain_unlink(ch);
		answer(&ch->call, cancelled, NULL);
		chain_free(ch);
		answer(&del, NULL, NULL);
		chain_run_next(c);
	} else if (ch->op != OP_DEL) {
		ch->unwanted = true;
		cni_run_kill(&ch->run);
	}
}

void chain_del(struct cni *c, const char *uid, int netns, cni_done *done, void *arg)
{
	struct err e = { 0 }, cancelled;
	struct chain *ch = NULL;
	int r = chain_find_or_load(c, uid, &ch, &e);
	if (r || !ch) {
		done(arg, r ? &e : NULL, NULL);
		return;
	}
	if (ch->netns < 0 && netns >= 0)
		ch->netns = fcntl(netns, F_DUPFD_CLOEXEC, 3);
	err_set(&cancelled, ECANCELED, "the pod was removed meanwhile");
	answer(&ch->del, &cancelled, NULL);
	drop_after(ch, &cancelled);
	ch->del = (struct call){ done, arg };
	ch->tell = true;
	del_now(ch, &cancelled);
}

void chain_check(struct cni *c, const char *uid, int netns, cni_done *done, void *arg)
{
	struct err e = { 0 };
	struct chain *ch = NULL;
	int r = chain_find_or_load(c, uid, &ch, &e);
	if (!r && (!ch || !ch->rec.result))
		r = err_set(&e, ENOENT, "the pod is not attached to a CNI network");
	else if (!r && ch->stage != ATTACHED)
		r = err_set(&e, EBUSY, "the pod's network is being changed");
	else if (!r && !cni_net_is_new(&ch->rec.net))
		r = err_set(&e, EOPNOTSUPP, "CNI network %s is of version %s, which has no CHECK", ch->rec.net.name, ch->rec.net.version);
	if (r || cni_net_unchecked(&ch->rec.net)) {
		done(arg, r ? &e : NULL, NULL);
		return;
	}
	if (ch->netns < 0 && netns >= 0)
		ch->netns = fcntl(netns, F_DUPFD_CLOEXEC, 3);
	ch->call = (struct call){ done, arg };
	ch->at = 0;
	chain_begin(ch, OP_CHECK);
}

/* --- the whole --- */

static int list_uids(struct cni *c, struct strs *out)
{
	int r = 0;
	_cleanup_dir_ DIR *d = opendir(c->s.cache);
	struct dirent *de;
	for (struct chain *ch = c->chains; ch && !r; ch = ch->next)
		r = strs_add(out, ch->rec.uid, strlen(ch->rec.uid));
	while (d && !r && (de = readdir(d))) {
		const char *dot = strchr(de->d_name, '.');
		size_t n = dot ? (size_t)(dot - de->d_name) : 0;
		_cleanup_free_ char *uid = strndup(de->d_name, n);
		if (n && uid && !strcmp(dot, ".json") && chain_is_uid(uid) && !chain_find(c, uid))
			r = strs_add(out, uid, n);
	}
	return r;
}

void chain_each(struct cni *c, void (*fn)(void *arg, const char *uid), void *arg)
{
	struct strs uids = { 0 };
	list_uids(c, &uids);
	for (size_t i = 0; i < uids.n; i++)
		fn(arg, uids.v[i]);
	strs_free(&uids);
}

bool chain_any(const struct cni *c)
{
	return c->chains;
}

int cni_open(struct cni **out, const struct cni_setup *s, struct err *e)
{
	struct cni *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, ENOMEM, "not enough memory");
	c->s = *s;
	*out = c;
	return 0;
}

void cni_close(struct cni **c)
{
	if (*c)
		rmdir((*c)->s.cache); /* without a record in it, it is as if there had never been one */
	while (*c && (*c)->chains) {
		struct chain *ch = (*c)->chains;
		(*c)->chains = ch->next;
		chain_free(ch);
	}
	free(take_ptr(*c));
}
