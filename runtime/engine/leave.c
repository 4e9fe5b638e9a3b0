/* Pods that leave: out of the tree at once, gone when their podfs-pod has removed them.
 *
 * An rmdir that was answered holds, whoever is killed then: before the answer the record is that of a pod that leaves. podfs-pod
 * does that, or this file, where it does not answer in time. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A podfs-pod that does not answer must not keep rmdir waiting: rule 4 of interface.md. */
#define REMOVE_ANSWER_MS 300
#define REMOVALS_MAX 3

void leave_tree(struct pod *p)
{
	if (p->leaving)
		return;
	pods_remove(p->engine, p);
	p->leaving = true;
	p->leave_by_ns = now_mono_ns() + p->spec->grace * 1000000000ull;
	p->next_leaving = p->engine->leaving;
	p->engine->leaving = p;
	while (p->sessions)
		session_free(p->sessions);
	for (size_t i = 0; i < p->ncontainers; i++)
		pull_leave(p->containers[i]);
	net_leave(p);
	engine_event(p->engine, p, NULL, "removed");
}

static void answer_removal(struct pod *p, int result, const struct err *e)
{
	done_fn *done = p->link->remove_done;
	p->link->remove_done = NULL;
	timer_stop(p->engine->loop, &p->link->timer);
	if (!result)
		leave_tree(p);
	if (done)
		done(p->link->remove_arg, result, e);
	engine_changed(p->engine, p, CHANGE_TREE);
}

/* A disk is waited for by a process of its own. */
static void make_durable(struct pod *p)
{
	char folder[4200];
	char *argv[] = { (char *)"podfs-pod", (char *)"-sync", folder, NULL };
	struct spawn how = { .program = "podfs-pod", .argv = argv, .fds = { -1, -1, -1 }, .nfds = 3 };
	snprintf(folder, sizeof folder, "%s/pods/%s", p->engine->cfg->state, p->spec->uid);
	engine_spawn(p->engine, &how, NULL);
}

/* What podfs-pod would have done. Should it come to it later, it finds it done (runtime/pod/record.c). */
static int leave_record(struct pod *p, struct err *e)
{
	char from[64], to[64];
	int state = p->engine->state_fd;
	snprintf(from, sizeof from, "pods/%s/pod.ini", p->spec->uid);
	snprintf(to, sizeof to, "pods/%s/leaving.ini", p->spec->uid);
	if (renameat(state, from, state, to) && errno != ENOENT)
		return err_sys(e, errno, "record %s", from);
	make_durable(p);
	return 0;
}

static void answer_without(struct pod *p)
{
	struct err e = { 0 };
	int r = leave_record(p, &e);
	answer_removal(p, r, &e);
}

static void on_delete(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct pod *p = arg;
	if (p->link->remove_done && result == -ENODEV)
		answer_without(p); /* it died: pod_on_disconnect removes what is left */
	else if (p->link->remove_done || !result) /* which may come after a refusal */
		answer_removal(p, result, e);
}

static void on_no_answer(struct timer *t)
{
	struct pod_link *l = container_of(t, struct pod_link, timer);
	engine_event(l->pod->engine, l->pod, NULL, "its podfs-pod does not answer; removing it goes on");
	answer_without(l->pod);
}

static int send_delete(struct pod *p, uint64_t grace_s, reply_fn *fn)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_DELETE, 0);
	wire_u64(&o, K_GRACE, grace_s);
	int r = link_request(p, &o, fn, p);
	wire_free(&o);
	return r;
}

void leave_again(struct pod *p)
{
	send_delete(p, p->spec->grace, NULL);
}

int engine_pod_remove(struct pod *p, done_fn *done, void *arg, struct err *e)
{
	struct pod_link *l = p->link;
	if (p->leaving || l->remove_done)
		return err_set(e, ENOENT, "pod %s is being removed", p->spec->name);
	if (l->revival)
		net_cancel(p); /* and with it the sandbox that is being made */
	l->remove_done = done;
	l->remove_arg = arg;
	if (!link_up(p)) {
		answer_without(p);
		if (p->leaving)
			pod_start_removal(p);
		return 0;
	}
	int r = send_delete(p, p->spec->grace, on_delete);
	if (r) {
		l->remove_done = NULL;
		return err_sys(e, -r, "pod %s", p->spec->name);
	}
	l->timer.fn = on_no_answer;
	timer_arm(p->engine->loop, &l->timer, REMOVE_ANSWER_MS);
	return 0;
}

/* What was listed as left of the pod and has gone with it is no leak any more. */
static void forget_leaks(struct pod *p)
{
	char path[64];
	snprintf(path, sizeof path, "pods/%s", p->spec->uid);
	if (faccessat(p->engine->state_fd, path, F_OK, 0) && errno == ENOENT && !cg_destroy(p->engine->cg, p->spec->uid))
		ring_forget(&p->engine->leaks, p->spec->uid);
}

void leave_forget(struct pod *p)
{
	for (struct pod **at = &p->engine->leaving; *at; at = &(*at)->next_leaving)
		if (*at == p) {
			*at = p->next_leaving;
			break;
		}
	pod_free(p);
}

void pod_gone(struct pod *p)
{
	struct engine *en = p->engine;
	reap_cgroups(en, p->spec->uid);
	forget_leaks(p);
	net_forget(p);
	leave_forget(p);
	gc_run_ended(en);
	engine_changed(en, NULL, CHANGE_TREE);
}

/* For a leaving pod without a podfs-pod: one that only removes what is on disk. */
void pod_start_removal(struct pod *p)
{
	struct err e = { 0 };
	link_drop(p);
	if (reach_begin(p))
		return;
	reap_cgroups(p->engine, p->spec->uid);
	int r = ++p->link->removals > REMOVALS_MAX ? err_set(&e, EIO, "podfs-pod -remove ended without an answer")
						   : pod_spawn(p, "-remove", &e);
	if (!r) {
		struct wire_out o = { 0 };
		wire_begin(&o, W_DELETE, 0);
		pod_put_groups(p, &o);
		r = link_request(p, &o, NULL, NULL);
		wire_free(&o);
	}
	if (r) {
		char line[600];
		snprintf(line, sizeof line, "%s/pods/%s: could not be removed: %s", p->engine->cfg->state, p->spec->uid,
			 e.text);
		ring_line(&p->engine->leaks, line);
		pod_gone(p);
	}
}
