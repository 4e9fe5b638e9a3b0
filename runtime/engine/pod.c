/* Pods: made, and told of.
 *
 * Owns struct pod and its way through creating → in the tree → leaving (leave.c) → freed. What is
 * done in the kernel is done by podfs-pod; this file starts it and believes what it says.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

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

void pod_unsettled(struct pod *p)
{
	if (!p->link->hello) {
		p->link->hello = true;
		p->engine->priv->unsettled++;
	}
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
	int r = run_folder(en, e);
	if (r)
		return r;
	r = wire_socketpair(sv);
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
	p->link->leaves = wire_get_u64(in, K_LEAVING, 0);
	if (p->link->leaves && !p->leaving) {
		leave_tree(p);
		engine_changed(p->engine, p, CHANGE_TREE);
	}
	if (p->link->leaves)
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

void pod_without(struct pod *p)
{
	if (p->leaving)
		pod_start_removal(p);
	else if (p->link->ready)
		pod_lost(p);
	else
		restore_without(p);
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
	if (!gone && (pod_reconnect(p) || reach_begin(p)))
		return;
	if (p->leaving && gone)
		pod_gone(p);
	else if (p->leaving)
		pod_start_removal(p);
	else
		pod_lost(p);
}
