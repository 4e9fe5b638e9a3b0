/* What the server asks for: one row an op.
 *
 * A handler checks its fields, does what is asked or hands it to its owner, and returns: 0 or -errno, which
 * becomes the reply, or LATER when it has taken the asker. A record that came along is on disk
 * before the handler runs and is put back when the reply is a failure (link_reply).
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LATER 1

typedef int handler(struct pod *p, struct wire_in *in, struct asker *a, struct err *e);

static struct container *named(struct pod *p, const struct wire_in *in, struct err *e)
{
	const char *name = wire_get_str(in, K_NAME);
	struct container *c = container_find(p, name);
	if (!c)
		err_set(e, ENOENT, "container %.*s: there is none", name ? (int)strcspn(name, ".") : 0, name);
	return c;
}

/* --- the pod --- */

static void tell_ready(struct pod *p)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_READY, 0);
	wire_u64(&o, K_PID, (uint64_t)getpid());
	wire_str(&o, K_TEXT, p->note);
	if (p->leaving) {
		wire_u64(&o, K_LEAVING, 1);
		wire_u64(&o, K_GRACE, leave_seconds(p));
	}
	link_send(p, &o);
}

static int do_sandbox(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	if (p->standing)
		return err_set(e, EALREADY, "pod %s: the sandbox stands", p->name);
	int r = sandbox_make(p, in, e);
	if (r)
		return r;
	tell_ready(p);
	link_reply(p, a, 0, NULL);
	sandbox_made(p, in);
	return LATER;
}

static int do_hello(struct pod *p, struct wire_in *in UNUSED, struct asker *a UNUSED, struct err *e UNUSED)
{
	tell_ready(p);
	for (struct container *c = p->containers; c; c = c->next)
		container_tell(c);
	sessions_tell(p);
	asked_tell(p);
	leaks_tell(p);
	return 0;
}

static int do_sweep(struct pod *p, struct wire_in *in UNUSED, struct asker *a UNUSED, struct err *e UNUSED)
{
	leaks_retry(p);
	return 0;
}

static int do_record(struct pod *p UNUSED, struct wire_in *in UNUSED, struct asker *a UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int do_hostname(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	return sandbox_hostname(p, in, e);
}

static int do_netns(struct pod *p, struct wire_in *in UNUSED, struct asker *a, struct err *e)
{
	if (!p->standing) /* one that only removes lives in the server's */
		return err_set(e, ESRCH, "pod %s has no network namespace", p->name);
	_cleanup_close_ int fd = netns_open(e);
	if (fd < 0)
		return fd;
	link_reply_fds(p, a, &fd, 1);
	return LATER;
}

static int do_net(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	return netns_move(p, in, e);
}

static int do_etc(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	return etc_write(p, in, e);
}

static int do_share(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	const char *share = wire_get_str(in, K_SHARE);
	bool share_pid = share && strstr(share, "pid");
	for (struct container *c = p->containers; c && share_pid != p->share_pid; c = c->next)
		if (c->init.pid)
			return err_set(e, EBUSY, "share: container %s runs", c->label);
	p->share_pid = share_pid;
	return 0;
}

static int do_policy(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	if (wire_get_str(in, K_NAME)) {
		struct container *c = named(p, in, e);
		if (!c)
			return -ENOENT;
		policy_take(&c->policy, in);
		life_policy(c);
		return 0;
	}
	policy_take(&p->policy, in);
	for (struct container *c = p->containers; c; c = c->next) {
		policy_take(&c->policy, in);
		life_policy(c);
	}
	return 0;
}

static int do_delete(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	uint32_t grace = (uint32_t)wire_get_u64(in, K_GRACE, p->policy.grace_s);
	if (p->leaving)
		return err_set(e, ENOENT, "pod %s is being removed", p->name);
	if (!p->standing) {
		p->groups = plan_new(in);
	} else {
		int r = record_leave(p->dir_fd, e);
		if (r)
			return r;
	}
	link_reply(p, a, 0, NULL);
	leave_begin(p, grace);
	return LATER;
}

/* --- limits --- */

/* A limit below what is in use makes the write(2) reclaim memory, which may take seconds: a child's work. */
struct limit {
	struct pod *pod;
	struct asker asker;
	struct plan *writes;
};

static int write_limits(void *arg, struct err *e)
{
	struct limit *l = arg;
	struct wire_in in = plan_view(l->writes);
	const char *path;
	for (unsigned i = 0; (path = plan_nth(&in, K_PATH, i)); i++) {
		const char *value = plan_nth(&in, K_VALUE, i);
		int r = value ? write_file(path, value, strlen(value)) : -EINVAL;
		if (r)
			return err_sys(e, -r, "%s", path);
	}
	return 0;
}

static void limits_written(void *arg, const struct err *e)
{
	struct limit *l = arg;
	link_reply(l->pod, &l->asker, -e->code, e);
	plan_free(l->writes);
	free(l);
}

static int do_limit(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	struct limit *l = calloc(1, sizeof *l);
	struct plan *writes = plan_new(in);
	if (!l || !writes) {
		free(l);
		plan_free(writes);
		return err_set(e, ENOMEM, "out of memory");
	}
	*l = (struct limit){ .pod = p, .asker = *a, .writes = writes };
	job_start(p, write_limits, limits_written, l);
	return LATER;
}

/* --- containers --- */

static bool good_name(const char *name)
{
	return name && *name && *name != '.' && !strchr(name, '/') && strlen(name) < sizeof((struct container *)0)->name;
}

static int do_add(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	const char *name = wire_get_str(in, K_NAME);
	if (!good_name(name))
		return err_set(e, EINVAL, "container: not a name");
	for (struct container *c = p->containers; c; c = c->next)
		if (!strcmp(c->name, name))
			return err_set(e, EEXIST, "container %s: exists already", name);
	struct plan *plan = plan_new(in);
	struct container *c = plan ? container_new(p, name) : NULL;
	if (!c) {
		plan_free(plan);
		return err_set(e, ENOMEM, "container %s: out of memory", name);
	}
	c->plan = plan;
	policy_take(&c->policy, in);
	ran_inherit(c, in);
	container_tell(c);
	link_reply(p, a, 0, NULL);
	container_prepare(c);
	return LATER;
}

static int do_start(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	struct container *c = named(p, in, e);
	if (!c)
		return -ENOENT;
	struct plan *plan = plan_new(in);
	if (!plan)
		return err_set(e, ENOMEM, "container %s: out of memory", c->label);
	int r = plan_hold(plan, e);
	if (r) {
		plan_free(plan);
		return r;
	}
	policy_take(&c->policy, in);
	if (wire_get_u64(in, K_KEEP, 0)) {
		if (c->state != DEFINED && c->state != ENDED) {
			plan_free(plan);
			return err_set(e, EBUSY, "container %s runs", c->label);
		}
		plan_free(c->plan);
		c->plan = plan;
		return 0;
	}
	if (c->want) {
		struct err replaced;
		err_set(&replaced, ECANCELED, "container %s: a newer start took its place", c->label);
		link_reply(p, &c->want_asker, -ECANCELED, &replaced);
		plan_free(c->want);
	}
	/* What the record says beside the start holds, whatever becomes of that. */
	if (a->record && a->record == p->record)
		record_settle(p->dir_fd, true);
	a->record = 0;
	c->want = plan;
	c->want_asker = *a;
	c->grace_s = c->policy.grace_s;
	life_event(c, ON_START, e);
	return LATER;
}

static int do_stop(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	struct container *c = named(p, in, e);
	if (!c)
		return -ENOENT;
	c->grace_s = (uint32_t)wire_get_u64(in, K_GRACE, c->policy.grace_s);
	return life_event(c, ON_STOP, e);
}

static int do_kill(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	struct container *c = named(p, in, e);
	int sig = (int)wire_get_u64(in, K_SIGNAL, SIGKILL);
	if (!c)
		return -ENOENT;
	if (!c->init.pid || c->state == STARTING)
		return err_set(e, ESRCH, "container %s does not run", c->label);
	if (c->state == PAUSED) {
		int r = life_event(c, ON_UNPAUSE, e);
		if (r)
			return r;
	}
	int r = container_signal(c, sig);
	return r ? err_sys(e, -r, "container %s: signal %d", c->label, sig) : 0;
}

static int do_pause(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	struct container *c = named(p, in, e);
	return c ? life_event(c, in->head.op == W_PAUSE ? ON_PAUSE : ON_UNPAUSE, e) : -ENOENT;
}

static int do_gather(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	struct container *c = named(p, in, e);
	int r = c ? gather_begin(c, *a, e) : -ENOENT;
	return r ? r : LATER;
}

static int do_drop(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	struct container *c = named(p, in, e);
	if (!c)
		return -ENOENT;
	c->grace_s = (uint32_t)wire_get_u64(in, K_GRACE, c->policy.grace_s);
	link_reply(p, a, 0, NULL);
	life_event(c, ON_DROP, NULL);
	return LATER;
}

/* --- sessions --- */

static struct session *numbered(struct pod *p, const struct wire_in *in, struct err *e)
{
	struct session *s = session_find(p, wire_get_u64(in, K_SESSION, 0));
	if (!s)
		err_set(e, ENOENT, "session: there is none");
	return s;
}

static int do_exec(struct pod *p, struct wire_in *in, struct asker *a, struct err *e)
{
	int r = session_start(p, in, *a, e);
	return r ? r : LATER;
}

static int do_exec_close(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	struct session *s = numbered(p, in, e);
	if (!s)
		return -ENOENT;
	session_close_in(s);
	return 0;
}

static int do_exec_note(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	return note_keep(p, in) ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int do_exec_end(struct pod *p, struct wire_in *in, struct asker *a UNUSED, struct err *e)
{
	bool noted = note_drop(p, wire_get_u64(in, K_SESSION, 0));
	struct session *s = numbered(p, in, e);
	if (!s)
		return noted ? 0 : -ENOENT;
	session_end(s);
	return 0;
}

/* --- dispatch --- */

/* when: in which of a podfs-pod's times the request makes sense. */
enum { EMPTY = 1, STANDING = 2, LEAVING = 4 };
static const struct row {
	handler *fn;
	unsigned when;
} rows[] = {
	[W_HELLO] = { do_hello, EMPTY | STANDING | LEAVING }, [W_RECORD] = { do_record, STANDING },
	[W_ADD] = { do_add, STANDING }, [W_START] = { do_start, STANDING }, [W_STOP] = { do_stop, STANDING },
	[W_KILL] = { do_kill, STANDING }, [W_PAUSE] = { do_pause, STANDING }, [W_UNPAUSE] = { do_pause, STANDING },
	[W_DROP] = { do_drop, STANDING }, [W_LIMIT] = { do_limit, STANDING }, [W_POLICY] = { do_policy, STANDING },
	[W_HOSTNAME] = { do_hostname, STANDING }, [W_SHARE] = { do_share, STANDING }, [W_EXEC] = { do_exec, STANDING },
	[W_EXEC_CLOSE] = { do_exec_close, STANDING }, [W_EXEC_END] = { do_exec_end, STANDING | LEAVING },
	[W_EXEC_NOTE] = { do_exec_note, STANDING },
	[W_DELETE] = { do_delete, EMPTY | STANDING | LEAVING }, [W_SANDBOX] = { do_sandbox, EMPTY | STANDING },
	[W_NETNS] = { do_netns, STANDING | LEAVING }, [W_NET] = { do_net, STANDING }, [W_ETC] = { do_etc, STANDING },
	[W_SWEEP] = { do_sweep, STANDING }, [W_GATHER] = { do_gather, STANDING },
};

static unsigned times(const struct pod *p)
{
	return p->leaving ? LEAVING : p->standing ? STANDING : EMPTY;
}

static const struct row *find_row(const struct pod *p, const struct wire_in *in, struct err *e)
{
	const struct row *row = in->head.op < ARRAY_LEN(rows) ? &rows[in->head.op] : NULL;
	if (!row || !row->fn) {
		err_set(e, EOPNOTSUPP, "podfs-pod " PODFS_VERSION " knows no request %d", in->head.op);
		return NULL;
	}
	if (row->when & times(p))
		return row;
	err_set(e, p->leaving ? ENOENT : EPROTO, p->leaving ? "pod %s is being removed" : "pod %s: no sandbox yet", p->name);
	return NULL;
}

static int take_record(struct pod *p, const struct wire_in *in, struct asker *a, struct err *e)
{
	size_t len;
	const char *text = wire_find(in, K_RECORD, &len);
	if (!text)
		return 0;
	int r = sandbox_folder(p, e);
	if (!r)
		r = record_put(p->dir_fd, text, len, e);
	if (!r)
		a->record = ++p->record;
	return r;
}

/* A server that is gone has told nobody of this pod, and the next one may have made another of its name. */
static bool nobodys_sandbox(const struct pod *p, const struct wire_in *in)
{
	return in->head.op == W_SANDBOX && !p->standing && link_hung_up(p);
}

void request_handle(struct pod *p, struct wire_in *in)
{
	struct err e = { 0 };
	if (nobodys_sandbox(p, in)) {
		p->loop.stop = true;
		return;
	}
	struct asker a = link_asker(p, in->head.seq);
	const struct row *row = find_row(p, in, &e);
	a.asked = wire_get_u64(in, K_ASKED, 0);
	int r = row ? take_record(p, in, &a, &e) : -e.code;
	asked_begin(a.asked);
	if (!r)
		r = row->fn(p, in, &a, &e);
	if (r != LATER)
		link_reply(p, &a, r, &e);
	/* A sandbox that could not be made is nobody's: the server removes what is on disk. */
	if (in->head.op == W_SANDBOX && !p->standing && !p->leaving)
		p->loop.stop = true;
}
