/* Pods: made, told of, removed.
 *
 * Owns struct pod and its way through creating → in the tree → leaving → freed. What is
 * done in the kernel is done by podfs-pod; this file starts it and believes what it says.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

/* A podfs-pod that does not answer must not keep rmdir waiting: rule 4 of interface.md. */
#define REMOVE_ANSWER_MS 300
#define REMOVALS_MAX 3

struct pod *pod_new(struct engine *en, struct pod_spec *spec)
{
	struct pod *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	*p = (struct pod){
		.entity = { .kind = ENTITY_POD, .serial = spec->serial }, .engine = en, .spec = spec, .net.netns = -1,
	};
	p->containers = calloc(CONTAINERS_MAX + 1, sizeof *p->containers);
	if (!p->containers || link_new(p)) {
		free(p->containers);
		free(p);
		return NULL;
	}
	ring_init(&p->events, EVENTS_POD_MAX);
	ring_init(&p->error, ERROR_MAX);
	entity_add(en, &p->entity);
	return p;
}

void pod_settled(struct pod *p)
{
	if (p->link->hello) {
		p->link->hello = false;
		p->engine->priv->unsettled--;
	}
}

void pod_free(struct pod *p)
{
	struct engine *en = p->engine;
	pod_settled(p);
	net_cancel(p);
	op_cancel(p);
	close_fd(&p->net.netns);
	link_free(p);
	while (p->sessions)
		session_free(p->sessions);
	while (p->ncontainers)
		container_free(p->containers[p->ncontainers - 1]);
	entity_drop(en, &p->entity);
	ring_free(&p->events);
	ring_free(&p->error);
	pod_spec_free(p->spec);
	free(p->containers);
	free(p);
}

int pod_spawn(struct pod *p, const char *mode, struct err *e)
{
	struct engine *en = p->engine;
	int sv[2];
	int r = wire_socketpair(sv);
	if (r)
		return err_sys(e, -r, "pod %s: socket", p->spec->name);
	char *argv[8];
	int n = 0;
	argv[n++] = (char *)"podfs-pod";
	if (mode)
		argv[n++] = (char *)mode;
	argv[n++] = p->spec->uid;
	argv[n++] = p->spec->name;
	argv[n++] = en->cfg->state;
	argv[n++] = en->cfg->run;
	argv[n++] = (char *)"3";
	argv[n] = NULL;
	struct spawn how = { .program = "podfs-pod", .argv = argv, .fds = { -1, -1, -1, sv[1] }, .nfds = 4 };
	pid_t pid = engine_spawn(en, &how, NULL);
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return err_sys(e, -pid, "podfs-pod");
	}
	r = link_attach(p, sv[0]);
	if (r)
		return err_sys(e, -r, "pod %s: socket", p->spec->name);
	p->pid = pid;
	return 0;
}

void pod_put_groups(struct pod *p, struct wire_out *o)
{
	struct strs dirs = { 0 };
	if (!cg_dirs(p->engine->cg, p->spec->uid, NULL, &dirs))
		for (size_t i = 0; i < dirs.n; i++)
			wire_str(o, K_CGDIR, dirs.v[i]);
	strs_free(&dirs);
	wire_u64(o, K_CGVERSION, (uint64_t)cg_version(p->engine->cg));
}

/* --- mkdir --- */

struct creation {
	struct pod *pod;
	done_fn *done;
	void *arg;
};

static void creating_unlink(struct pod *p)
{
	for (struct pod **at = &p->engine->priv->creating; *at; at = &(*at)->next_leaving)
		if (*at == p) {
			*at = p->next_leaving;
			p->next_leaving = NULL;
			return;
		}
}

/* From creating to leaving: what podfs-pod may have made is removed like any pod. */
static void creation_failed(struct pod *p)
{
	if (p->engine->priv->closing)
		return;
	creating_unlink(p);
	p->leaving = true;
	p->next_leaving = p->engine->leaving;
	p->engine->leaving = p;
	pod_start_removal(p);
}

static void on_sandbox(void *arg, int result, const struct err *e)
{
	struct creation c = *(struct creation *)arg;
	free(arg);
	struct pod *p = c.pod;
	if (result < 0) {
		c.done(c.arg, result, e);
		creation_failed(p);
		return;
	}
	creating_unlink(p);
	pods_insert(p->engine, p);
	c.done(c.arg, 0, e);
	engine_event(p->engine, p, NULL, "created");
	engine_changed(p->engine, p, CHANGE_TREE);
}

static void random_uuid(char out[37])
{
	unsigned char b[16];
	if (getrandom(b, sizeof b, 0) != sizeof b)
		abort(); /* getrandom(2): never short for 16 bytes once the pool is ready */
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 4122, 4.4: version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	char *s = out;
	for (int i = 0; i < 16; i++)
		s += sprintf(s, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static struct pod_spec *fresh_spec(struct engine *en, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	struct pod_spec *s = pod_spec_new();
	if (!s)
		return NULL;
	snprintf(s->name, sizeof s->name, "%s", name);
	snprintf(s->hostname, sizeof s->hostname, "%s", name);
	random_uuid(s->uid);
	s->serial = engine_serial(en);
	s->created_ns = now_real_ns();
	s->owner = uid;
	s->group = gid;
	s->mode = mode & 0777;
	return s;
}

static int name_free(struct engine *en, const char *name, struct err *e)
{
	int r = name_check("pod", name, e);
	if (r)
		return r;
	unsigned count = (unsigned)en->npods;
	bool taken = engine_pod(en, name);
	for (struct pod *p = en->priv->creating; p; p = p->next_leaving, count++)
		taken |= !strcmp(p->spec->name, name);
	if (taken)
		return err_set(e, EEXIST, "pod %s: exists already", name);
	if (count >= en->cfg->max_pods)
		return err_set(e, ENOSPC, "pod %s: the node has %u pods, max_pods allows no more", name, count);
	return 0;
}

int engine_pod_create(struct engine *en, const char *name, uid_t uid, gid_t gid, mode_t mode, done_fn *done, void *arg,
		      struct err *e)
{
	int r = name_free(en, name, e);
	if (r)
		return r;
	struct pod_spec *spec = fresh_spec(en, name, uid, gid, mode);
	struct pod *p = spec ? pod_new(en, spec) : NULL;
	struct creation *c = malloc(sizeof *c);
	if (!p || !c) {
		if (p)
			pod_free(p);
		else
			pod_spec_free(spec);
		free(c);
		return err_set(e, ENOMEM, "pod %s: out of memory", name);
	}
	*c = (struct creation){ p, done, arg };
	p->next_leaving = en->priv->creating;
	en->priv->creating = p;
	r = sandbox_make(p, on_sandbox, c, e);
	if (r) {
		free(c);
		creation_failed(p);
		return r;
	}
	/* podfs-pod starts, and podfs-net makes the network, on the other CPU while this one makes the cgroup. */
	struct err why = { 0 };
	if (cg_create(en->cg, spec->uid, NULL, &why))
		engine_event(en, p, NULL, "cgroup: %s", why.text);
	return 0;
}

/* --- rmdir --- */

static void leave_tree(struct pod *p)
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

static void on_delete(void *arg, int result, struct wire_in *in UNUSED, const struct err *e)
{
	struct pod *p = arg;
	if (result == -ENODEV)
		result = 0; /* it died: pod_on_disconnect removes what is left */
	if (p->link->remove_done)
		answer_removal(p, result, e);
}

static void on_no_answer(struct timer *t)
{
	struct pod_link *l = container_of(t, struct pod_link, timer);
	struct err none = { 0 };
	engine_event(l->pod->engine, l->pod, NULL, "its podfs-pod does not answer; removing it goes on");
	answer_removal(l->pod, 0, &none);
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
		struct err none = { 0 };
		answer_removal(p, 0, &none);
		pod_start_removal(p);
		return 0;
	}
	struct wire_out o = { 0 };
	wire_begin(&o, W_DELETE, 0);
	wire_u64(&o, K_GRACE, p->spec->grace);
	int r = link_request(p, &o, on_delete, p);
	wire_free(&o);
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

static void pod_gone(struct pod *p)
{
	struct engine *en = p->engine;
	for (struct pod **at = &en->leaving; *at; at = &(*at)->next_leaving)
		if (*at == p) {
			*at = p->next_leaving;
			break;
		}
	reap_cgroups(en, p->spec->uid);
	forget_leaks(p);
	net_forget(p);
	pod_free(p);
	gc_run_ended(en);
	engine_changed(en, NULL, CHANGE_TREE);
}

/* For a leaving pod without a podfs-pod: one that only removes what is on disk. */
void pod_start_removal(struct pod *p)
{
	struct err e = { 0 };
	link_drop(p);
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

/* --- what podfs-pod says --- */

static void on_event_line(struct pod *p, struct wire_in *in, bool leak)
{
	struct container *c = container_by_id(p, wire_get_str(in, K_NAME));
	const char *text = wire_get_str(in, K_TEXT);
	if (!text)
		return;
	if (leak && !leak_told(p, text))
		return;
	engine_event(p->engine, p, c, "%s", text);
}

static void on_ready(struct pod *p, struct wire_in *in)
{
	p->pid = (pid_t)wire_get_u64(in, K_PID, (uint64_t)p->pid);
	p->link->ready = true;
	if (wire_get_u64(in, K_LEAVING, 0) && !p->leaving) {
		leave_tree(p);
		engine_changed(p->engine, p, CHANGE_TREE);
	}
	if (p->leaving)
		p->leave_by_ns = now_mono_ns() + wire_get_u64(in, K_GRACE, 0) * 1000000000ull;
}

static void on_log(struct pod *p, struct wire_in *in)
{
	struct container *c = container_by_id(p, wire_get_str(in, K_NAME));
	if (!c)
		return;
	if (c->log && !log_reader_gone(c->log))
		log_reader_rescan(c->log);
	else
		container_open_log(c);
	engine_changed(p->engine, p, CHANGE_LOG);
}

void pod_on_message(struct pod *p, struct wire_in *in)
{
	switch (in->head.op) {
	case W_READY:
		on_ready(p, in);
		break;
	case W_CONTAINER:
		container_on_state(p, in);
		break;
	case W_SESSION:
		session_on_event(p, in);
		break;
	case W_LOG:
		on_log(p, in);
		break;
	case W_EVENT:
		on_event_line(p, in, false);
		break;
	case W_LEAK:
		on_event_line(p, in, true);
		break;
	case W_FREED:
		leak_freed(p, in);
		break;
	case W_DONE:
		recall_on_event(p, in);
		break;
	case W_GONE:
		p->link->gone = true;
		break;
	default:
		break; /* of a newer podfs-pod: nothing that this server could do */
	}
}

static void pod_lost(struct pod *p)
{
	p->pid = 0;
	snprintf(p->lost, sizeof p->lost, "its podfs-pod ended unexpectedly, and its containers with it");
	reap_cgroups(p->engine, p->spec->uid);
	net_forget(p);
	while (p->sessions)
		session_free(p->sessions);
	lost_record(p);
	lost_containers(p, "SandboxLost", p->lost);
	engine_event(p->engine, p, NULL, "%s", p->lost);
	lost_revive(p);
	engine_changed(p->engine, p, CHANGE_STATE);
}

bool pod_reconnect(struct pod *p)
{
	char name[64];
	snprintf(name, sizeof name, "%s.sock", p->spec->uid);
	int sock = wire_connect(p->engine->run_fd, name);
	if (sock < 0 || link_attach(p, sock))
		return false;
	restore_hello(p);
	return true;
}

void pod_on_disconnect(struct pod *p)
{
	bool gone = p->link->gone, creating = false;
	pod_settled(p);
	for (struct pod *c = p->engine->priv->creating; c; c = c->next_leaving)
		creating |= c == p;
	link_drop(p); /* answers the requests: mkdir's or rmdir's among them, which may move p to leaving */
	if (creating)
		return;
	/* A podfs-pod drops a server that was too slow to read; then it lives and listens still. */
	if (!gone && pod_reconnect(p))
		return;
	if (p->leaving && gone)
		pod_gone(p);
	else if (p->leaving)
		pod_start_removal(p);
	else
		pod_lost(p);
}
