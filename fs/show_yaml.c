/* POD/pod.yaml: the pod as a v1 Pod that Kubernetes accepts, with its status.
 *
 * What a setting is called there: kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1.
 * A setting that a manifest has no field for is an annotation, `podfs/FILE` of the pod and `NAME.podfs/FILE`
 * of a container, with the text that the file reads. What belongs to the network is show_yaml_net.c.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"
#include "fs/show_yaml.h"

#include "runtime/base/util.h"

#include <string.h>

static void put_time(struct yaml *y, const char *key, uint64_t real_ns)
{
	char t[21];
	if (!real_ns)
		return;
	format_time_s(real_ns, t);
	yaml_str(y, key, t);
}

/* --- metadata --- */

/* USER[:GROUP] in numbers that fit runAsUser and runAsGroup. gid -1: none is named. */
static bool numeric_user(const char *user, long *uid, long *gid)
{
	char *end;
	if (*user < '0' || *user > '9')
		return false;
	*uid = strtol(user, &end, 10);
	*gid = -1;
	if (*end == ':' && end[1] >= '0' && end[1] <= '9')
		*gid = strtol(end + 1, &end, 10);
	return !*end && *uid <= INT32_MAX && *gid <= INT32_MAX;
}

static bool limit_fits(const struct limits *l, const char *file)
{
	if (!strcmp(file, "memory.max"))
		return l->memory_max != LIMIT_MAX;
	return !strcmp(file, "cpu.max") && l->cpu_quota != LIMIT_MAX;
}

/* Whether the setting stands somewhere else than in an annotation. */
static bool has_field(const struct spec_field *f, struct spec_ref r)
{
	long uid, gid;
	if (f->effect == SPEC_LIMIT)
		return limit_fits(r.container ? &r.container->limits : &r.pod->limits, f->name);
	if (!strcmp(f->name, "user"))
		return numeric_user(r.container->user, &uid, &gid);
	if (!strcmp(f->name, "hostname"))
		return !name_check("host", r.pod->hostname, NULL);
	if (f->effect == SPEC_NETWORK) /* Kubernetes knows a pod's own, which is mostly the node's default too, and the host's */
		return r.pod->net.mode == NET_HOST || (r.pod->net.mode == NET_BRIDGE && spec_defaults.net.mode == NET_BRIDGE);
	return f->effect != SPEC_RATE;
}

/* The map's key is written when its first entry comes. */
struct open_map {
	struct yaml *y;
	const char *key;
	bool begun;
};

static void map_pair(struct open_map *m, const char *key, size_t keylen, const char *value)
{
	if (!m->begun)
		yaml_map(m->y, m->key);
	m->begun = true;
	yaml_pair(m->y, key, keylen, value);
}

static void map_end(struct open_map *m)
{
	if (m->begun)
		yaml_end(m->y);
}

/* KEY=VALUE lines. A key may stand there twice, in YAML it may not: the last one holds. */
static void map_lines(struct open_map *m, const struct strs *s)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t keylen = strcspn(s->v[i], "=");
		bool again = false;
		for (size_t k = i + 1; k < s->n && !again; k++)
			again = !strncmp(s->v[i], s->v[k], keylen) && strcspn(s->v[k], "=") == keylen;
		if (!again)
			map_pair(m, s->v[i], keylen, s->v[i] + keylen + (s->v[i][keylen] == '='));
	}
}

/* Rates have names that the plugins of clusters know. */
static void put_key(struct buf *key, const struct spec_field *f, struct spec_ref r)
{
	if (f->effect == SPEC_RATE)
		buf_printf(key, "kubernetes.io/%s-bandwidth", strchr(f->name, '.') + 1);
	else
		buf_printf(key, "%s%spodfs/%s", r.container ? r.container->name : "", r.container ? "." : "", f->name);
}

static void annotate(struct open_map *m, const struct spec_field *f, struct spec_ref r)
{
	_cleanup_buf_ struct buf key = { 0 }, value = { 0 };
	put_key(&key, f, r);
	if (strs_lookup(&r.pod->annotations, buf_str(&key))) /* in YAML no key stands twice */
		return;
	f->get(r, &value);
	if (value.len && value.data[value.len - 1] == '\n')
		value.data[--value.len] = 0;
	if (buf_status(&key) || buf_status(&value))
		m->y->out->failed = true;
	else
		map_pair(m, key.data, key.len, buf_str(&value));
}

static void settings(struct open_map *m, struct spec_ref r)
{
	unsigned scope = r.container ? SPEC_CONTAINER : SPEC_POD;
	for (const struct spec_field *f = spec_fields; f->name; f++)
		if ((f->scope & scope) && f->is_set(r) && !has_field(f, r))
			annotate(m, f, r);
}

static void metadata(struct yaml *y, const struct pod *p)
{
	const struct pod_spec *s = p->spec;
	struct open_map labels = { y, "labels", false }, notes = { y, "annotations", false };
	yaml_map(y, "metadata");
	yaml_str(y, "name", s->name);
	yaml_str(y, "uid", s->uid);
	put_time(y, "creationTimestamp", s->created_ns);
	map_lines(&labels, &s->labels);
	map_end(&labels);
	map_lines(&notes, &s->annotations);
	settings(&notes, (struct spec_ref){ .pod = p->spec });
	for (size_t i = 0; i < p->ncontainers; i++)
		settings(&notes, (struct spec_ref){ .pod = p->spec, .container = p->containers[i]->spec });
	map_end(&notes);
	yaml_end(y);
}

/* --- spec --- */

static void resources(struct yaml *y, const struct limits *l)
{
	bool memory = l->has_memory_max && l->memory_max != LIMIT_MAX;
	bool cpu = l->has_cpu_max && l->cpu_quota != LIMIT_MAX;
	char text[32];
	if (!memory && !cpu)
		return;
	yaml_map(y, "resources");
	yaml_map(y, "limits");
	if (cpu) { /* in thousandths of a core, the smallest Kubernetes knows: rounded up, so never 0 */
		unsigned __int128 milli = (unsigned __int128)l->cpu_quota * 1000 + l->cpu_period - 1;
		snprintf(text, sizeof text, "%llum", (unsigned long long)(milli / l->cpu_period));
		yaml_str(y, "cpu", text);
	}
	if (memory) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)l->memory_max);
		yaml_str(y, "memory", text);
	}
	yaml_end(y);
	yaml_end(y);
}

static void string_list(struct yaml *y, const char *key, bool set, const struct strs *s)
{
	if (!set)
		return;
	if (!s->n) {
		yaml_empty_list(y, key);
		return;
	}
	yaml_list(y, key);
	for (size_t i = 0; i < s->n; i++)
		yaml_scalar(y, s->v[i]);
	yaml_end(y);
}

static void environment(struct yaml *y, const struct strs *env)
{
	if (!env->n)
		return;
	yaml_list(y, "env");
	for (size_t i = 0; i < env->n; i++) {
		size_t keylen = strcspn(env->v[i], "=");
		yaml_item(y);
		yaml_strn(y, "name", env->v[i], keylen);
		yaml_str(y, "value", env->v[i] + keylen + (env->v[i][keylen] == '='));
		yaml_end(y);
	}
	yaml_end(y);
}

static void security(struct yaml *y, const char *user)
{
	long uid, gid;
	if (!user || !numeric_user(user, &uid, &gid))
		return;
	yaml_map(y, "securityContext");
	yaml_int(y, "runAsUser", uid);
	if (gid >= 0)
		yaml_int(y, "runAsGroup", gid);
	yaml_end(y);
}

/* Published ports are the pod's; in a manifest they stand with a container. */
static void container_spec(struct yaml *y, const struct container_spec *c, const struct pod_spec *publishes)
{
	yaml_item(y);
	yaml_str(y, "name", c->name);
	if (c->image)
		yaml_str(y, "image", c->image);
	/* Also where nobody has written it: Kubernetes would take Always for `:latest`. */
	yaml_word(y, "imagePullPolicy", pull_policy_name(container_pull_policy(c)));
	string_list(y, "command", c->has_command, &c->command);
	string_list(y, "args", c->has_args, &c->args);
	if (c->workdir)
		yaml_str(y, "workingDir", c->workdir);
	environment(y, &c->env);
	if (publishes)
		yaml_ports(y, publishes);
	resources(y, &c->limits);
	security(y, c->user);
	yaml_end(y);
}

static void spec(struct yaml *y, const struct pod *p)
{
	const struct pod_spec *s = p->spec;
	yaml_map(y, "spec");
	yaml_word(y, "restartPolicy", restart_policy_name(s->restart));
	yaml_int(y, "terminationGracePeriodSeconds", s->grace);
	if (strcmp(s->hostname, s->name) && !name_check("host", s->hostname, NULL))
		yaml_str(y, "hostname", s->hostname);
	if (s->share_pid)
		yaml_bool(y, "shareProcessNamespace", true);
	yaml_network(y, s);
	resources(y, &s->limits);
	if (!p->ncontainers) {
		yaml_empty_list(y, "containers");
	} else {
		yaml_list(y, "containers");
		for (size_t i = 0; i < p->ncontainers; i++)
			container_spec(y, p->containers[i]->spec, i ? NULL : s);
		yaml_end(y);
	}
	yaml_end(y);
}

/* --- status --- */

static void condition(struct yaml *y, const char *type, bool holds)
{
	yaml_item(y);
	yaml_word(y, "type", type);
	yaml_str(y, "status", holds ? "True" : "False");
	yaml_end(y);
}

static void conditions(struct yaml *y, const struct pod *p)
{
	bool ready = p->ncontainers && pod_ready_count(p) == p->ncontainers;
	yaml_list(y, "conditions");
	condition(y, "PodScheduled", true);
	condition(y, "Initialized", true);
	condition(y, "ContainersReady", ready);
	condition(y, "Ready", ready);
	yaml_end(y);
}

static void container_id(struct yaml *y, const struct container *c)
{
	_cleanup_buf_ struct buf id = { 0 };
	buf_printf(&id, "podfs://%s/%s", c->pod->spec->uid, c->id);
	yaml_str(y, "containerID", buf_str(&id));
}

static void terminated(struct yaml *y, const struct container *c, const struct run_end *r, const char *message)
{
	yaml_map(y, "terminated");
	yaml_int(y, "exitCode", r->exit_code < 0 ? 0 : r->exit_code);
	if (r->signal)
		yaml_int(y, "signal", r->signal);
	if (r->reason[0])
		yaml_str(y, "reason", r->reason);
	if (message[0])
		yaml_str(y, "message", message);
	put_time(y, "startedAt", r->started_ns);
	put_time(y, "finishedAt", r->finished_ns);
	container_id(y, c);
	yaml_end(y);
}

static void ended(struct yaml *y, const struct container *c)
{
	const struct container_status *s = &c->status;
	struct run_end r = { .exit_code = s->exit_code, .signal = s->signal, .started_ns = s->started_ns, .finished_ns = s->finished_ns };
	memcpy(r.reason, s->reason, sizeof r.reason);
	terminated(y, c, &r, s->message);
}

static void waiting(struct yaml *y, const struct container_status *s)
{
	yaml_map(y, "waiting");
	yaml_str(y, "reason", s->reason[0] ? s->reason : "ContainerCreating");
	if (s->message[0])
		yaml_str(y, "message", s->message);
	yaml_end(y);
}

static void container_state(struct yaml *y, const struct container *c)
{
	const struct container_status *s = &c->status;
	yaml_map(y, "state");
	switch (s->state) {
	case C_WAITING:
		waiting(y, s);
		break;
	case C_RUNNING:
	case C_PAUSED: /* Kubernetes has no word for it: it runs and is not ready */
		yaml_map(y, "running");
		put_time(y, "startedAt", s->started_ns ? s->started_ns : c->spec->created_ns);
		yaml_end(y);
		break;
	case C_TERMINATED:
		ended(y, c);
		break;
	}
	yaml_end(y);
}

static void container_status(struct yaml *y, const struct container *c)
{
	yaml_item(y);
	yaml_str(y, "name", c->spec->name);
	yaml_str(y, "image", c->spec->image ? c->spec->image : "");
	yaml_str(y, "imageID", c->image_id ? c->image_id : "");
	container_id(y, c);
	yaml_bool(y, "ready", container_ready(c));
	yaml_bool(y, "started", c->status.state == C_RUNNING || c->status.state == C_PAUSED);
	yaml_int(y, "restartCount", c->status.restarts);
	container_state(y, c);
	if (c->status.last.exit_code >= 0) {
		yaml_map(y, "lastState");
		terminated(y, c, &c->status.last, "");
		yaml_end(y);
	}
	yaml_end(y);
}

static void status(struct yaml *y, const struct pod *p)
{
	yaml_map(y, "status");
	yaml_word(y, "phase", pod_phase_name(pod_phase(p)));
	if (p->lost[0])
		yaml_str(y, "message", p->lost);
	put_time(y, "startTime", p->spec->created_ns);
	yaml_addresses(y, p);
	conditions(y, p);
	if (p->ncontainers) {
		yaml_list(y, "containerStatuses");
		for (size_t i = 0; i < p->ncontainers; i++)
			container_status(y, p->containers[i]);
		yaml_end(y);
	}
	yaml_end(y);
}

int show_yaml(const struct ref *r, struct buf *out)
{
	struct yaml y = { .out = out };
	yaml_word(&y, "apiVersion", "v1");
	yaml_word(&y, "kind", "Pod");
	metadata(&y, r->pod);
	spec(&y, r->pod);
	status(&y, r->pod);
	return buf_status(out);
}
