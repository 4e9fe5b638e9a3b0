/* Attachments of pods to CNI networks, the steps of their chains: see cni_chain.h. */
#include "runtime/net/cni_private.h"
#include "runtime/net/cni_step.h"

#include <errno.h>

static const char *const commands[] = { [OP_ADD] = "ADD", [OP_CHECK] = "CHECK", [OP_DEL] = "DEL" };

static void step_failed(struct chain *ch, const struct err *e);

/* --- a row of those that wait --- */

static struct cni_step step_of(const struct chain *ch)
{
	const struct json_t *prev = ch->last;
	if (ch->op != OP_ADD && !cni_net_is_new(&ch->rec.net))
		prev = NULL;
	else if (ch->rec.result)
		prev = ch->rec.result;
	return (struct cni_step){
		.command = commands[ch->op],
		.record = &ch->rec,
		.plugin = ch->at,
		.prev = prev,
		.netns = ch->netns,
		.folders = ch->cni->s.bin,
	};
}

static void run_plugin(struct chain *ch)
{
	struct err e = { 0 };
	struct cni_step s = step_of(ch);
	ch->stage = RUNNING;
	if (cni_step_start(&ch->run, &s, &e)) {
		cni_step_blame(&s, &e);
		step_failed(ch, &e);
	}
}

static void run_store(struct chain *ch, enum stage stage)
{
	struct err e = { 0 };
	ch->stage = stage;
	if (cni_run_job(&ch->run, chain_store, ch, &e))
		step_failed(ch, &e);
}

void chain_run_next(struct cni *c)
{
	while (c->running < CNI_AT_ONCE) {
		struct chain *first = NULL;
		for (struct chain *ch = c->chains; ch; ch = ch->next)
			if (ch->stage == QUEUED && (!first || ch->ticket < first->ticket))
				first = ch;
		if (!first)
			return;
		c->running++;
		timer_arm(c->s.loop, &first->timer, c->s.deadline_ms);
		if (first->op == OP_ADD)
			run_store(first, STORING);
		else
			run_plugin(first);
	}
}

void chain_begin(struct chain *ch, enum op op)
{
	if (op == OP_DEL && ch->stage == ATTACHED)
		ch->at = ch->rec.net.n - 1;
	timer_stop(ch->cni->s.loop, &ch->timer);
	ch->op = op;
	ch->stage = QUEUED;
	ch->late = false;
	ch->ticket = ch->cni->tickets++;
	chain_run_next(ch->cni);
}

/* No more runs for it now. */
static void come_to_rest(struct chain *ch, enum stage stage)
{
	timer_stop(ch->cni->s.loop, &ch->timer);
	ch->stage = stage;
	ch->cni->running--;
}

/* --- how operations end --- */

static void deleted(struct chain *ch)
{
	struct cni *c = ch->cni;
	struct chain *after = take_ptr(ch->after);
	come_to_rest(ch, ATTACHED);
	chain_forget(ch);
	if (ch->leaked)
		c->s.freed(c->s.arg, ch->rec.uid);
	chain_unlink(ch);
	answer(&ch->call, &ch->why, NULL); /* an ADD that failed */
	answer(&ch->del, NULL, NULL);
	chain_free(ch);
	if (after) {
		chain_link(after);
		chain_begin(after, OP_ADD);
	}
	chain_run_next(c);
}

static uint64_t retry_after(const struct chain *ch)
{
	uint64_t ms = (uint64_t)ch->cni->s.retry_ms << (ch->tries > 6 ? 6 : ch->tries - 1);
	return ms < CNI_RETRY_MAX_MS ? ms : CNI_RETRY_MAX_MS;
}

static void not_deleted(struct chain *ch, const struct err *e)
{
	struct cni *c = ch->cni;
	struct chain *after = take_ptr(ch->after);
	ch->tries++;
	come_to_rest(ch, RETRYING);
	timer_arm(c->s.loop, &ch->timer, retry_after(ch));
	if (!ch->leaked || ch->tell)
		c->s.leak(c->s.arg, ch->rec.uid, e->text);
	ch->leaked = true;
	ch->tell = false;
	answer(&ch->call, &ch->why, NULL);
	answer(&ch->del, e, NULL);
	if (after)
		answer(&after->call, e, NULL);
	chain_free(after);
	chain_run_next(c);
}

/* What was done is taken back, this plugin's part too. */
static void not_added(struct chain *ch, const struct err *e)
{
	bool nothing_done = ch->stage == STORING;
	ch->why = *e;
	if (nothing_done) {
		ch->op = OP_DEL;
		deleted(ch);
		return;
	}
	if (ch->stage == KEEPING)
		ch->at = ch->rec.net.n - 1;
	come_to_rest(ch, QUEUED);
	chain_begin(ch, OP_DEL);
}

static void checked(struct chain *ch, const struct err *e)
{
	struct cni *c = ch->cni;
	come_to_rest(ch, ATTACHED);
	answer(&ch->call, e, NULL);
	if (ch->unwanted)
		chain_begin(ch, OP_DEL);
	chain_run_next(c);
}

void answer_added(struct chain *ch, struct call *call)
{
	struct cni_answer got = { 0 };
	struct err e = { 0 };
	if (cni_result_addrs(ch->rec.result, &got.addrs) || cni_result_dns(ch->rec.result, &got.dns))
		err_set(&e, ENOMEM, "not enough memory");
	answer(call, e.code ? &e : NULL, &got);
	strs_free(&got.addrs);
	strs_free(&got.dns);
}

static void added(struct chain *ch)
{
	struct cni *c = ch->cni;
	come_to_rest(ch, ATTACHED);
	answer_added(ch, &ch->call);
	chain_run_next(c);
}

static void step_failed(struct chain *ch, const struct err *e)
{
	if (ch->op == OP_ADD)
		not_added(ch, e);
	else if (ch->op == OP_CHECK)
		checked(ch, e);
	else
		not_deleted(ch, e);
}

/* --- from one step to the next --- */

static void plugin_ended_well(struct chain *ch, struct json_t *result)
{
	if (ch->op == OP_ADD) {
		cni_json_free(&ch->last);
		ch->last = result;
	}
	if (ch->op == OP_DEL ? ch->at-- > 0 : ++ch->at < ch->rec.net.n) {
		run_plugin(ch);
	} else if (ch->op == OP_ADD) {
		ch->rec.result = take_ptr(ch->last);
		run_store(ch, KEEPING);
	} else if (ch->op == OP_CHECK) {
		checked(ch, NULL);
	} else {
		deleted(ch);
	}
}

/* Why this run counts for nothing, whatever it ended with. */
static int interrupted(const struct chain *ch, const struct cni_step *s, struct err *e)
{
	if (ch->unwanted && ch->op == OP_ADD)
		return err_set(e, ECANCELED, "the pod was removed meanwhile");
	if (!ch->late)
		return 0;
	err_set(e, ETIMEDOUT, "not ended within %g s, killed", ch->cni->s.deadline_ms / 1000.0);
	return cni_step_blame(s, e);
}

static void plugin_ended(struct chain *ch)
{
	struct err e = { 0 };
	struct json_t *result = NULL;
	struct cni_step s = step_of(ch);
	int r = interrupted(ch, &s, &e);
	if (!r)
		r = cni_step_verdict(&ch->run, &s, ch->op == OP_ADD ? &result : NULL, &e);
	if (r)
		step_failed(ch, &e);
	else
		plugin_ended_well(ch, result);
}

static void store_ended(struct chain *ch)
{
	struct err e = { 0 };
	if (ch->unwanted)
		err_set(&e, ECANCELED, "the pod was removed meanwhile");
	else if (ch->late || ch->run.sig)
		err_set(&e, ETIMEDOUT, "%s: not written in time", ch->cni->s.cache);
	else if (ch->run.code)
		err_set(&e, ch->run.code, "%s", buf_str(&ch->run.out_text));
	if (e.code)
		step_failed(ch, &e);
	else if (ch->stage == STORING)
		run_plugin(ch);
	else
		added(ch);
}

void chain_run_done(struct cni_run *r)
{
	struct chain *ch = container_of(r, struct chain, run);
	if (ch->stage == RUNNING)
		plugin_ended(ch);
	else
		store_ended(ch);
}

void chain_timer(struct timer *t)
{
	struct chain *ch = container_of(t, struct chain, timer);
	if (ch->stage == RETRYING) {
		chain_begin(ch, OP_DEL);
	} else {
		ch->late = true;
		cni_run_kill(&ch->run);
	}
}
