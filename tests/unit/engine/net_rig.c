/* The rig of net_rig.h, and stubs for those parts of the engine that are not under test. */
#include "tests/unit/engine/net_rig.h"

#include <fcntl.h>
#include <poll.h>

#define PODS 64

struct rig rig;
static struct engine_private priv;
static struct far { struct pod *pod; int sock; } fars[PODS];
static char memory[PEER_MEM];
static struct wire_in message;
static char folder[] = "/tmp/podfs-net-rig-XXXXXX";

/* --- stubs --- */

pid_t engine_spawn(struct engine *en, const struct spawn *how, int *pidfd)
{
	assert_string_equal(how->program, "podfs-net");
	assert_int_equal(how->nfds, 4);
	rig.spawned++;
	if (rig.spawn_error)
		return rig.spawn_error;
	close_fd(&rig.listener);
	rig.listener = dup(how->fds[3]);
	return 1;
}

void instance_name(const struct config *cfg, const char *name, char separator, char *out, size_t size)
{
	snprintf(out, size, "%s", name);
}

void engine_event(struct engine *en, struct pod *p, struct container *c, const char *fmt, ...)
{
	size_t n = strlen(rig.events);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(rig.events + n, sizeof rig.events - n, fmt, ap);
	va_end(ap);
	strncat(rig.events, "\n", sizeof rig.events - strlen(rig.events) - 1);
}

int run_folder(struct engine *en, struct err *e)
{
	return 0;
}

void strays_put(struct engine *en, struct wire_out *o)
{
}

size_t strays_count(const struct engine *en)
{
	return 0;
}

size_t strays_hosts(const struct engine *en, uint64_t *taken, size_t n)
{
	return n;
}

int reach_none(const struct pod *p, struct err *e)
{
	return 0;
}

void engine_changed(struct engine *en, struct pod *p, enum change what)
{
}

struct entity *engine_entity(struct engine *en, uint64_t serial)
{
	for (size_t i = 0; i < en->npods; i++) {
		struct pod *p = en->pods[i];
		if (p->entity.serial == serial)
			return &p->entity;
		for (size_t k = 0; k < p->ncontainers; k++)
			if (p->containers[k]->entity.serial == serial)
				return &p->containers[k]->entity;
	}
	return NULL;
}

static struct far *far_of(const struct pod *p)
{
	for (size_t i = 0; i < PODS; i++)
		if (fars[i].pod == p)
			return &fars[i];
	return NULL;
}

int pod_spawn(struct pod *p, const char *mode, struct err *e)
{
	int sv[2];
	assert_int_equal(wire_socketpair(sv), 0);
	struct far *f = far_of(p);
	close_fd(&f->sock);
	f->sock = sv[1];
	p->pid = getpid();
	p->lost[0] = 0;
	return link_attach(p, sv[0]);
}

void pod_on_message(struct pod *p, struct wire_in *in)
{
}

void pod_on_disconnect(struct pod *p)
{
	link_drop(p);
	net_forget(p);
}

void pod_put_groups(struct pod *p, struct wire_out *o)
{
}

void plan_policy(const struct pod *p, struct wire_out *o)
{
}

int plan_check(const struct container *c, bool by_root, enum start_how *how, struct err *e)
{
	*how = START_NOW;
	return 0;
}

int plan_message(struct container *c, struct wire_out *o, struct err *e)
{
	wire_begin(o, W_START, 0);
	wire_str(o, K_NAME, c->id);
	return 0;
}

int container_message_add(struct container *c, struct wire_out *o, struct err *e)
{
	wire_begin(o, W_ADD, 0);
	return 0;
}

void container_show(struct container *c)
{
}

int cg_create(struct cg_host *h, const char *pod, const char *name, struct err *e)
{
	return 0;
}

int cg_destroy(struct cg_host *h, const char *pod)
{
	return 0;
}

int cg_limit(const struct cg_host *h, struct spec_ref ref, const char *file, struct cg_writes *w, struct err *e)
{
	return 0;
}

void cg_writes_free(struct cg_writes *w)
{
}

void reap_cancel(struct engine *en, const char *uid)
{
}

void lost_put(const struct container *c, struct wire_out *o)
{
}

void lost_no_more(struct pod *p)
{
}

void astray_mend(struct pod *p, struct container *c)
{
}

void mend_groups(struct container *c)
{
}

void gc_run_ended(struct engine *en)
{
}

const struct image *images_find(const struct images *s, const char *reference)
{
	return NULL;
}

void images_use(struct images *s, const struct image *im)
{
}

int pull_join(struct container *c, struct err *e)
{
	return -ENOSYS;
}

void pull_leave(struct container *c)
{
}

bool pull_possible(void)
{
	return false;
}

/* --- the rig --- */

void rig_open(void)
{
	static struct pod *pods[PODS];
	strcpy(strrchr(folder, '-'), "-XXXXXX");
	assert_non_null(mkdtemp(folder));
	priv = (struct engine_private){ .wire_mem = memory };
	rig = (struct rig){ .listener = -1, .net = -1 };
	rig.cfg = (struct config){
		.state = folder, .run = folder, .bridge = (char *)"podfs0", .subnet4 = (char *)"auto", .subnet6 = (char *)"auto",
		.cni_conf = (char *)"/etc/cni/net.d", .cni_bin = (char *)"/usr/lib/cni", .backoff_base = 10, .backoff_cap = 20,
	};
	assert_int_equal(loop_init(&rig.loop), 0);
	rig.en = (struct engine){ .loop = &rig.loop, .cfg = &rig.cfg, .pods = pods, .priv = &priv, .state_fd = -1 };
	rig.en.run_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ring_init(&rig.en.leaks, 4096);
	for (size_t i = 0; i < PODS; i++)
		fars[i] = (struct far){ .sock = -1 };
	assert_int_equal(net_open(&rig.en), 0);
}

void rig_close(void)
{
	priv.closing = true;
	while (rig.en.npods)
		rig_free(rig.en.pods[0]);
	net_close(&rig.en);
	wire_in_close(&message);
	close_fd(&rig.net);
	close_fd(&rig.listener);
	unlinkat(rig.en.run_fd, "net.sock", 0);
	close_fd(&rig.en.run_fd);
	rmdir(folder);
	ring_free(&rig.en.leaks);
	free(rig.en.net_info);
	loop_free(&rig.loop);
}

struct pod *rig_pod(const char *name, enum net_mode mode)
{
	static uint64_t serial = 100;
	struct pod *p = calloc(1, sizeof *p);
	struct pod_spec *s = pod_spec_new();
	assert_non_null(s);
	snprintf(s->name, sizeof s->name, "%s", name);
	snprintf(s->hostname, sizeof s->hostname, "%s", name);
	snprintf(s->uid, sizeof s->uid, "00000000-0000-4000-8000-%012llx", (unsigned long long)++serial);
	s->serial = serial;
	s->net.mode = mode;
	*p = (struct pod){ .entity = { .kind = ENTITY_POD, .serial = serial }, .engine = &rig.en, .spec = s, .net.netns = -1 };
	p->containers = calloc(2, sizeof *p->containers);
	assert_int_equal(link_new(p), 0);
	rig.en.pods[rig.en.npods++] = p;
	far_of(NULL)->pod = p;
	return p;
}

void rig_free(struct pod *p)
{
	size_t i = 0;
	while (rig.en.pods[i] != p)
		i++;
	rig.en.pods[i] = rig.en.pods[--rig.en.npods];
	net_cancel(p);
	op_cancel(p);
	close_fd(&p->net.netns);
	link_free(p);
	struct far *f = far_of(p);
	close_fd(&f->sock);
	f->pod = NULL;
	for (i = 0; i < p->ncontainers; i++) {
		free(p->containers[i]->refusal);
		free(p->containers[i]);
	}
	free(p->containers);
	pod_spec_free(p->spec);
	free(p);
}

int rig_podfs_pod(const struct pod *p)
{
	return far_of(p)->sock;
}

void rig_connect(struct pod *p)
{
	assert_int_equal(pod_spawn(p, NULL, NULL), 0);
}

void rig_rounds(void)
{
	for (int i = 0; i < 20; i++)
		loop_once(&rig.loop, 0);
}

static bool is_there(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	return poll(&p, 1, 0) > 0;
}

struct wire_in *rig_take(int *sock, int op)
{
	static char mem[PEER_MEM];
	for (int i = 0; i < 1000 && !is_there(*sock); i++)
		loop_once(&rig.loop, 5);
	wire_in_close(&message);
	assert_int_equal(wire_recv(*sock, mem, sizeof mem, &message), 1);
	assert_int_equal(message.head.op, op);
	return &message;
}

void rig_nothing(int sock)
{
	rig_rounds();
	assert_false(is_there(sock));
}

struct wire_in *rig_net(enum net_op op)
{
	for (int i = 0; i < 200 && rig.net < 0; i++) {
		loop_once(&rig.loop, 5);
		if (rig.listener >= 0 && is_there(rig.listener))
			rig.net = wire_accept(rig.listener);
	}
	assert_true(rig.net >= 0);
	return rig_take(&rig.net, op);
}

void rig_net_ends(void)
{
	close_fd(&rig.net);
	close_fd(&rig.listener);
	unlinkat(rig.en.run_fd, "net.sock", 0);
}

void rig_answer(int sock, const struct wire_in *in, struct answer a)
{
	struct wire_out o = { 0 };
	_cleanup_close_ int fd = a.netns ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
	wire_begin(&o, W_REPLY, in->head.seq);
	wire_result(&o, a.result);
	wire_str(&o, K_ERROR, a.words);
	net_str(&o, K_ADDR, a.addr);
	net_str(&o, K_ADDR, a.addr6);
	net_str(&o, K_DNS, a.dns);
	if (fd >= 0)
		wire_fd(&o, fd);
	assert_int_equal(wire_send(sock, &o), 0);
	wire_free(&o);
	rig_rounds();
}

void rig_done(void *arg, int result, const struct err *e)
{
	rig.done++;
	rig.result = result;
	rig.err = *e;
}

/* 0: it is under way, or over. */
static int set(struct pod *p, const char *field, const char *text, bool adds, bool by_root)
{
	struct setting s = { .field = spec_field_find(field, SPEC_POD), .text = text, .len = strlen(text), .adds = adds, .by_root = by_root };
	assert_non_null(s.field);
	return engine_set(p, NULL, &s, rig_done, NULL, &rig.err);
}

int rig_set(struct pod *p, const char *field, const char *text, bool by_root)
{
	return set(p, field, text, false, by_root);
}

int rig_add(struct pod *p, const char *field, const char *text)
{
	return set(p, field, text, true, true);
}

const char *rig_text(const struct wire_in *in, int key)
{
	const char *s = wire_get_str(in, (enum wire_key)key);
	return s ? s : "";
}

unsigned rig_count(const struct wire_in *in, int key)
{
	unsigned n = 0;
	const char *data;
	size_t pos = 0, len;
	uint16_t k;
	while (wire_next(in, &pos, &k, &data, &len))
		n += k == key;
	return n;
}

/* --- pods as the engine makes them --- */

struct pod *rig_made(const char *name, uint64_t *host)
{
	struct pod *p = rig_pod(name, NET_BRIDGE);
	assert_int_equal(sandbox_make(p, rig_done, NULL, &rig.err), 0);
	if (rig.net < 0)
		rig_net(N_SYNC);
	struct wire_in *in = rig_net(N_ATTACH);
	if (host)
		*host = wire_get_u64(in, (enum wire_key)K_HOST, 0);
	rig_net_answer(in, .addr = A4, .addr6 = A6, .dns = "10.9.0.1", .netns = true);
	int sock = rig_podfs_pod(p);
	rig_pod_answer(p, rig_take(&sock, W_SANDBOX), 0);
	assert_true(p->net.up);
	return p;
}

struct wire_in *rig_pod_asked(struct pod *p, int op)
{
	int sock = rig_podfs_pod(p);
	return rig_take(&sock, op);
}

bool rig_record_has(const struct wire_in *in, const char *line)
{
	return strstr(rig_text(in, K_RECORD), line);
}

struct container *rig_container(struct pod *p)
{
	struct container *c = calloc(1, sizeof *c);
	assert_non_null(c);
	*c = (struct container){ .entity = { .kind = ENTITY_CONTAINER, .serial = 1 }, .pod = p, .spec = pod_spec_add(p->spec, "c") };
	p->containers[p->ncontainers++] = c;
	return c;
}

int rig_test_open(void **state)
{
	rig_open();
	return 0;
}

int rig_test_close(void **state)
{
	rig_close();
	return 0;
}
