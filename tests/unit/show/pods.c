/* Pods made by hand: see pods.h. */
#include "tests/unit/show/pods.h"

#include "runtime/base/util.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct fake fake;

/* --- stand-ins --- */

void engine_why(const struct pod *p, const struct container *c, struct buf *out)
{
	buf_printf(out, "because of %s", c ? c->spec->name : p->spec->name);
}

enum pod_phase pod_phase(const struct pod *p)
{
	return fake.phase;
}

const char *pod_phase_name(enum pod_phase ph)
{
	static const char *const names[] = { "Pending", "Running", "Succeeded", "Failed" };
	return names[ph];
}

const char *container_state_name(const struct container *c)
{
	static const char *const names[] = { "waiting", "running", "paused", "terminated" };
	return names[c->status.state];
}

unsigned pod_ready_count(const struct pod *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < p->ncontainers; i++)
		n += p->containers[i]->status.state == C_RUNNING;
	return n;
}

unsigned pod_restarts(const struct pod *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < p->ncontainers; i++)
		n += p->containers[i]->status.restarts;
	return n;
}

int cg_version(const struct cg_host *h)
{
	return 2;
}

int cg_show(const struct cg_host *h, const char *uid, const char *name, const char *file, struct buf *out)
{
	buf_printf(out, "%s/%s/%s\n", uid, name ? name : "", file);
	return 0;
}

int cg_use(const struct cg_host *h, const char *uid, const char *name, struct cg_use *out)
{
	if (!fake.use_result)
		*out = fake.use;
	return fake.use_result;
}

size_t images_count(const struct images *s)
{
	return fake.image != NULL;
}

const struct image *images_at(const struct images *s, size_t i)
{
	return fake.image;
}

/* Like the real one it knows no path, only spellings of a reference. */
const struct image *images_find(const struct images *s, const char *reference)
{
	const struct image *i = fake.image;
	return i && (!strcmp(reference, i->canonical) || !strcmp(reference, i->written)) ? i : NULL;
}

uint64_t images_bytes(const struct images *s, const bool *keep)
{
	return !fake.image || (keep && !keep[0]) ? 0 : fake.image->size;
}

const struct pull *engine_pulls(const struct engine *en)
{
	return fake.pulls;
}

const struct pull *engine_pull_find(const struct engine *en, const char *reference)
{
	const struct pull *p = fake.pulls;
	while (p && strcmp(reference, p->reference) && strcmp(reference, p->canonical))
		p = p->next;
	return p;
}

unsigned engine_pull_waiters(const struct engine *en, const struct pull *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < en->pods[0]->ncontainers; i++)
		n += en->pods[0]->containers[i]->pull == p;
	return n + fake.more_waiters;
}

void pull_show(const struct pull *p, struct buf *out)
{
	buf_printf(out, "so far %s", p->error);
}

void image_show(const struct image *i, struct buf *out)
{
	buf_printf(out, "%s\n", i->canonical);
}

uint64_t log_size(struct log_reader *r, enum log_view v)
{
	return fake.log_size;
}

uint64_t log_oldest(struct log_reader *r, enum log_view v)
{
	return fake.log_oldest;
}

/* --- pods --- */

static void container_begin(struct node *n, size_t i, const char *name)
{
	struct container *c = &n->c[i];
	*c = (struct container){ .pod = &n->pod, .spec = pod_spec_add(n->pod.spec, name) };
	assert(c->spec);
	c->entity.serial = 100 + i;
	snprintf(c->id, sizeof c->id, "%s.%zu", name, 100 + i);
	c->spec->created_ns = n->pod.spec->created_ns;
	c->status = (struct container_status){
		.state = C_RUNNING, .pid = 4242 + (pid_t)i, .exit_code = -1, .root_fd = -1, .last.exit_code = -1,
		.started_ns = n->pod.spec->created_ns,
	};
	n->containers[i] = c;
}

static void spec_begin(struct node *n)
{
	struct pod_spec *s = pod_spec_new();
	assert(s);
	strcpy(s->name, "web");
	strcpy(s->hostname, "web");
	strcpy(s->uid, "01234567-89ab-4def-8123-456789abcdef");
	s->created_ns = now_real_ns() - 300000000000; /* five minutes ago */
	s->mode = 0755;
	s->grace = 30;
	assert(!strs_add(&s->ip, "10.213.0.5/20", 13) && !strs_add(&s->ip, "fd00::5/64", 10));
	n->pod.spec = s;
}

void node_begin(struct node *n)
{
	memset(n, 0, sizeof *n);
	fake = (struct fake){ .phase = POD_RUNNING };
	n->en.pods = n->pods;
	n->en.npods = 1;
	n->pods[0] = &n->pod;
	n->en.cfg = &n->cfg;
	n->en.started_ns = 1000000000;
	n->en.state_fd = open("/proc", O_PATH | O_CLOEXEC); /* a file system of no size */
	assert(!config_defaults(&n->cfg));
	n->pod.engine = &n->en;
	n->pod.entity.serial = 99;
	n->pod.pid = 4000;
	n->pod.containers = n->containers;
	n->pod.ncontainers = 2;
	ring_init(&n->pod.events, 4096);
	spec_begin(n);
	container_begin(n, 0, "nginx");
	container_begin(n, 1, "probe");
	node_set(n, &n->c[0], "image", "nginx:alpine");
	node_set(n, &n->c[1], "image", "busybox");
}

void node_end(struct node *n)
{
	close_fd(&n->en.state_fd);
	ring_free(&n->pod.events);
	pod_spec_free(n->pod.spec);
	config_free(&n->cfg);
}

void node_set(struct node *n, struct container *c, const char *file, const char *text)
{
	struct err e = { 0 };
	struct spec_ref r = { .pod = n->pod.spec, .container = c ? c->spec : NULL };
	const struct spec_field *f = spec_field_find(file, c ? SPEC_CONTAINER : SPEC_POD);
	if (!f || spec_set(f, r, text, strlen(text), &e)) {
		fprintf(stderr, "%s: %s\n", file, e.text);
		abort();
	}
}

char *shown(struct node *n, struct container *c, show_fn *fn)
{
	struct buf out = { 0 };
	struct ref r = { .en = &n->en, .pod = &n->pod, .c = c };
	if (fn(&r, &out))
		abort();
	return out.data ? out.data : strdup("");
}
