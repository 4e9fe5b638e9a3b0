/* POD/describe: everything a person wants to know of a pod, laid out as `kubectl describe` does.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

#include "runtime/base/util.h"

#include <string.h>

#define VALUE_COL 18   /* where values begin; a container's lie a step further in */
#define EVENTS_SHOWN 20

struct page {
	struct buf *out;
	unsigned indent;
	unsigned nested; /* names a step further in, values where the others are */
};

/* "Name:        ", after which the caller appends the value and a newline. */
static void field(struct page *d, const char *name)
{
	int pad = VALUE_COL - (int)d->nested - (int)strlen(name) - 1;
	buf_printf(d->out, "%*s%s:%*s", (int)(d->indent + d->nested), "", name, pad > 1 ? pad : 1, "");
}

static void text(struct page *d, const char *name, const char *value)
{
	field(d, name);
	buf_printf(d->out, "%s\n", value && *value ? value : "<none>");
}

static void when(struct page *d, const char *name, uint64_t real_ns)
{
	char t[21];
	if (!real_ns)
		return;
	format_time_s(real_ns, t);
	field(d, name);
	buf_printf(d->out, "%s (", t);
	show_age(real_ns, d->out);
	buf_puts(d->out, " ago)\n");
}

/* One line each, below one another. */
static void lines(struct page *d, const char *name, const struct strs *s)
{
	if (!s->n) {
		text(d, name, NULL);
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			buf_printf(d->out, "%*s", (int)(d->indent + VALUE_COL), "");
		else
			field(d, name);
		buf_printf(d->out, "%s\n", s->v[i]);
	}
}

/* unset: what holds when nothing was written. */
static void words(struct page *d, const char *name, bool set, const struct strs *s, const char *unset)
{
	if (!set) {
		text(d, name, unset);
		return;
	}
	field(d, name);
	format_words(s, d->out);
	buf_putc(d->out, '\n');
}

/* Every limit that is set, as its file reads: of the cgroup, of the network. */
static void limits(struct page *d, struct spec_ref r)
{
	bool any = false;
	for (const struct spec_field *f = spec_fields; f->name; f++) {
		bool limit = f->effect == SPEC_LIMIT || (f->effect == SPEC_RATE && !r.container);
		if (!limit || !f->is_set(r))
			continue;
		_cleanup_buf_ struct buf value = { 0 };
		f->get(r, &value);
		if (any)
			buf_printf(d->out, "%*s", (int)(d->indent + VALUE_COL), "");
		else
			field(d, "Limits");
		buf_printf(d->out, "%s %.*s\n", f->name, (int)strcspn(buf_str(&value), "\n"), buf_str(&value));
		any = true;
	}
	if (!any)
		text(d, "Limits", NULL);
}

static void use(struct page *d, const struct pod *p, const struct container *c)
{
	struct cg_use u;
	if (cg_use(p->engine->cg, p->spec->uid, c ? c->id : NULL, &u))
		return;
	field(d, "Use");
	buf_puts(d->out, "memory ");
	put_bytes(d->out, u.memory);
	buf_printf(d->out, ", cpu %llu.%03llu s, pids %llu\n", (unsigned long long)(u.cpu_usec / 1000000),
		   (unsigned long long)(u.cpu_usec / 1000 % 1000), (unsigned long long)u.pids);
}

static void addresses(struct page *d, const struct pod *p)
{
	char ip[POD_IPS][46];
	struct strs all = { 0 };
	size_t n = pod_ips(p, ip);
	for (size_t i = 0; i < n; i++)
		d->out->failed |= strs_add(&all, ip[i], strlen(ip[i])) != 0;
	text(d, "IP", n ? ip[0] : NULL);
	lines(d, "IPs", &all);
	strs_free(&all);
}

static void network(struct page *d, const struct pod *p)
{
	addresses(d, p);
	field(d, "Network");
	net_choice_show(&p->spec->net, d->out);
	if (p->net.why[0])
		buf_printf(d->out, ": %s", p->net.why);
	buf_putc(d->out, '\n');
	lines(d, "Ports", &p->spec->ports);
}

static void owner(struct page *d, const struct pod_spec *s)
{
	field(d, "Owner");
	put_user(d->out, s->owner);
	buf_putc(d->out, ':');
	put_group(d->out, s->group);
	buf_printf(d->out, " (mode %04o)\n", (unsigned)s->mode & 07777);
}

static void pod_head(struct page *d, const struct pod *p)
{
	const struct pod_spec *s = p->spec;
	text(d, "Name", s->name);
	text(d, "UID", s->uid);
	owner(d, s);
	when(d, "Created", s->created_ns);
	lines(d, "Labels", &s->labels);
	lines(d, "Annotations", &s->annotations);
	text(d, "Status", pod_phase_name(pod_phase(p)));
	field(d, "Why");
	engine_why(p, NULL, d->out);
	buf_putc(d->out, '\n');
	network(d, p);
	text(d, "Hostname", s->hostname);
	text(d, "Restart Policy", restart_policy_name(s->restart));
	field(d, "Grace Period");
	buf_printf(d->out, "%us\n", s->grace);
	text(d, "Share", s->share_pid ? "ipc net uts pid" : "ipc net uts");
	if (p->pid) {
		field(d, "Sandbox PID");
		buf_printf(d->out, "%d\n", (int)p->pid);
	}
	limits(d, (struct spec_ref){ .pod = p->spec });
	use(d, p, NULL);
}

/* Why the last try failed stands in Message already. */
static void pull(struct page *d, const struct pull *p)
{
	uint64_t now = now_real_ns(), left = p->next_ns > now ? p->next_ns - now : 0;
	field(d, "Pull");
	if (p->state == PULL_FETCHING)
		pull_show(p, d->out);
	else
		buf_printf(d->out, "next try in %llu s", (unsigned long long)((left + 999999999) / 1000000000));
	buf_putc(d->out, '\n');
}

static void exit_code(struct page *d, int code, int sig)
{
	if (code >= 0) {
		field(d, "Exit Code");
		buf_printf(d->out, "%d\n", code);
	}
	if (sig)
		text(d, "Signal", signal_name(sig));
}

static void last_state(struct page *d, const struct run_end *r)
{
	if (r->exit_code < 0)
		return;
	text(d, "Last State", "Terminated");
	d->nested = 2;
	if (r->reason[0])
		text(d, "Reason", r->reason);
	exit_code(d, r->exit_code, r->signal);
	when(d, "Started", r->started_ns);
	when(d, "Finished", r->finished_ns);
	d->nested = 0;
}

static void state(struct page *d, const struct container *c)
{
	const struct container_status *s = &c->status;
	field(d, "State");
	const char *name = container_state_name(c);
	buf_printf(d->out, "%c%s\n", name[0] & ~0x20, name + 1);
	if (s->reason[0] && s->state != C_RUNNING)
		text(d, "Reason", s->reason);
	if (s->message[0])
		text(d, "Message", s->message);
	if (s->trouble[0])
		text(d, "Trouble", s->trouble);
	if (s->pid > 0) {
		field(d, "PID");
		buf_printf(d->out, "%d\n", (int)s->pid);
	}
	if (c->pull)
		pull(d, c->pull);
	when(d, "Started", s->started_ns);
	if (s->state == C_RUNNING || s->state == C_PAUSED)
		return;
	when(d, "Finished", s->finished_ns);
	exit_code(d, s->exit_code, s->signal);
}

static void container(struct page *d, const struct container *c)
{
	struct container_spec *s = c->spec;
	buf_printf(d->out, "  %s:\n", s->name);
	text(d, "Image", s->image);
	text(d, "Image ID", c->image_id);
	text(d, "Pull Policy", pull_policy_name(container_pull_policy(s)));
	words(d, "Command", s->has_command, &s->command, "<of the image>");
	words(d, "Args", s->has_args, &s->args, s->has_command ? NULL : "<of the image>");
	if (s->workdir)
		text(d, "Working Dir", s->workdir);
	if (s->user)
		text(d, "User", s->user);
	state(d, c);
	last_state(d, &c->status.last);
	field(d, "Ready");
	buf_puts(d->out, container_ready(c) ? "True\n" : "False\n");
	field(d, "Restart Count");
	buf_printf(d->out, "%u\n", c->status.restarts);
	field(d, "Log Size");
	buf_printf(d->out, "%llu bytes\n", c->log ? (unsigned long long)log_size(c->log, LOG_ALL) : 0ull);
	limits(d, (struct spec_ref){ .pod = c->pod->spec, .container = s });
	use(d, c->pod, c);
	lines(d, "Environment", &s->env);
}

/* The newest ones; all that are kept are in `events`. */
static void events(struct page *d, const struct ring *r)
{
	const char *p = NULL;
	size_t len = ring_at(r, 0, &p);
	const char *end = p + len;
	if (!len) {
		text(d, "Events", NULL);
		return;
	}
	const char *from = end - 1; /* the newest line's newline */
	for (unsigned n = 0; from > p; from--)
		if (from[-1] == '\n' && ++n == EVENTS_SHOWN)
			break;
	buf_puts(d->out, "Events:\n");
	while (from < end) {
		const char *nl = memchr(from, '\n', (size_t)(end - from));
		size_t n = nl ? (size_t)(nl - from) : (size_t)(end - from);
		buf_printf(d->out, "  %.*s\n", (int)n, from);
		from += n + 1;
	}
}

int show_describe(const struct ref *r, struct buf *out)
{
	struct page d = { .out = out };
	const struct pod *p = r->pod;
	pod_head(&d, p);
	if (!p->ncontainers)
		text(&d, "Containers", NULL);
	else
		buf_puts(out, "Containers:\n");
	d.indent = 4;
	for (size_t i = 0; i < p->ncontainers; i++)
		container(&d, p->containers[i]);
	d.indent = 0;
	events(&d, &p->events);
	return buf_status(out);
}
