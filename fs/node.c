/* Nodes: see node.h. */
#include "fs/node.h"

#include "fs/images.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sysmacros.h>

#define SERIAL_SHIFT 24
#define NONCE_SHIFT 8
#define NONCE_MASK 0xffffull

static uint64_t make_id(uint64_t serial, unsigned nonce, unsigned row)
{
	return serial << SERIAL_SHIFT | (uint64_t)nonce << NONCE_SHIFT | row;
}

uint64_t node_serial(const struct node *n)
{
	return n->id >> SERIAL_SHIFT;
}

uint64_t node_pod_serial(const struct node *n)
{
	return n->ref.pod ? n->ref.pod->entity.serial : 0;
}

/* --- id to node --- */

static int ref_entity(struct fs *fs, enum scope scope, uint64_t serial, struct ref *ref)
{
	static const enum entity_kind kinds[] = {
		[SCOPE_POD] = ENTITY_POD, [SCOPE_CONTAINER] = ENTITY_CONTAINER, [SCOPE_SESSION] = ENTITY_SESSION,
	};
	struct entity *e = engine_entity(fs->en, serial);
	if (!e || e->kind != kinds[scope])
		return -ENODEV;
	if (scope == SCOPE_POD) {
		ref->pod = container_of(e, struct pod, entity);
	} else if (scope == SCOPE_CONTAINER) {
		ref->c = container_of(e, struct container, entity);
		ref->pod = ref->c->pod;
	} else {
		ref->s = container_of(e, struct session, entity);
		ref->pod = ref->s->pod;
	}
	return ref->pod->leaving || (ref->c && ref->c->leaving) ? -ENODEV : 0;
}

int node_get(struct fs *fs, uint64_t id, struct node *out)
{
	const struct row *row = &rows[id & 0xff];
	uint64_t serial = id >> SERIAL_SHIFT;
	*out = (struct node){ .fs = fs, .id = id, .row = row, .ref = { .en = fs->en } };
	switch (row->scope) {
	case SCOPE_NODE:
		return serial ? -ESTALE : 0;
	case SCOPE_POD:
	case SCOPE_CONTAINER:
	case SCOPE_SESSION:
		return ref_entity(fs, row->scope, serial, &out->ref);
	case SCOPE_IMAGE:
		out->ref.path = image_path(fs, serial);
		return out->ref.path ? 0 : -ESTALE;
	}
	return -ESTALE;
}

void node_make(struct fs *fs, const struct row *row, uint64_t serial, const struct ref *ref, struct node *out)
{
	unsigned nonce = row->fresh ? ++fs->nonce & NONCE_MASK : 0;
	*out = (struct node){ .fs = fs, .id = make_id(serial, nonce, row_number(row)), .row = row, .ref = *ref };
	out->ref.en = fs->en;
}

/* --- objects in folders --- */

static void pod_node(struct fs *fs, struct pod *p, unsigned row, struct node *out)
{
	node_make(fs, &rows[row], p->entity.serial, &(struct ref){ .pod = p }, out);
}

static void container_node(struct fs *fs, struct container *c, unsigned row, struct node *out)
{
	node_make(fs, &rows[row], c->entity.serial, &(struct ref){ .pod = c->pod, .c = c }, out);
}

static void session_node(struct fs *fs, struct session *s, struct node *out)
{
	node_make(fs, &rows[R_SESSION], s->entity.serial, &(struct ref){ .pod = s->pod, .s = s }, out);
}

static const char *const log_suffix[] = {
	[LOG_ALL] = "", [LOG_VIEW_STDOUT] = ".stdout", [LOG_VIEW_STDERR] = ".stderr", [LOG_TIMESTAMPS] = ".timestamps",
	[LOG_PREVIOUS] = ".previous",
};

/* Names of containers hold no dot. */
static int log_child(const struct node *dir, const char *name, struct node *out)
{
	char base[SPEC_NAME_MAX + 1];
	size_t n = strcspn(name, ".");
	if (n >= sizeof base)
		return -ENOENT;
	memcpy(base, name, n);
	base[n] = 0;
	struct container *c = engine_container(dir->ref.pod, base);
	for (unsigned v = 0; c && v < ARRAY_LEN(log_suffix); v++)
		if (!strcmp(name + n, log_suffix[v])) {
			container_node(dir->fs, c, R_LOG + v, out);
			return 0;
		}
	return -ENOENT;
}

static int exec_child(const struct node *dir, const char *name, struct node *out)
{
	struct session *s = engine_session(dir->ref.pod, name);
	struct container *c = s ? NULL : engine_container(dir->ref.pod, name);
	if (s)
		session_node(dir->fs, s, out);
	else if (c)
		container_node(dir->fs, c, R_SHELL, out);
	return s || c ? 0 : -ENOENT;
}

static bool row_hidden(const struct node *dir, const struct row *row)
{
	return row == &rows[R_NS_PID] && !dir->ref.pod->spec->share_pid;
}

static int row_child(const struct node *dir, const char *name, struct node *out)
{
	const struct row *row = row_find(row_number(dir->row), name);
	if (!row || row_hidden(dir, row))
		return -ENOENT;
	node_make(dir->fs, row, node_serial(dir), &dir->ref, out);
	return 0;
}

int node_child(const struct node *dir, const char *name, struct node *out)
{
	struct pod *p = NULL;
	struct container *c = NULL;
	if (!S_ISDIR(dir->row->mode))
		return -ENOTDIR;
	switch (row_number(dir->row)) {
	case R_ROOT:
		p = engine_pod(dir->fs->en, name);
		if (p)
			pod_node(dir->fs, p, R_POD, out);
		return p ? 0 : row_child(dir, name, out);
	case R_CONTAINERS:
		c = engine_container(dir->ref.pod, name);
		if (c)
			container_node(dir->fs, c, R_CONTAINER, out);
		return c ? 0 : -ENOENT;
	case R_LOGS:
		return log_child(dir, name, out);
	case R_EXEC:
		return exec_child(dir, name, out);
	case R_IMAGES:
	case R_IMAGE_DIR:
		return image_child(dir, name, out);
	}
	return row_child(dir, name, out);
}

/* --- listing --- */

static void list_rows(const struct node *dir, entry_fn *fn, void *arg)
{
	unsigned folder = row_number(dir->row);
	for (const struct row *r = row_next(folder, 0); r; r = row_next(folder, row_number(r))) {
		struct node n;
		if (row_hidden(dir, r))
			continue;
		node_make(dir->fs, r, node_serial(dir), &dir->ref, &n);
		fn(arg, r->name, &n);
	}
}

static void list_pods(const struct node *dir, entry_fn *fn, void *arg)
{
	for (size_t i = 0; i < dir->fs->en->npods; i++) {
		struct node n;
		pod_node(dir->fs, dir->fs->en->pods[i], R_POD, &n);
		fn(arg, n.ref.pod->spec->name, &n);
	}
}

static void list_containers(const struct node *dir, unsigned row, const char *suffix, entry_fn *fn, void *arg)
{
	for (size_t i = 0; i < dir->ref.pod->ncontainers; i++) {
		struct node n;
		char name[SPEC_NAME_MAX + 16];
		container_node(dir->fs, dir->ref.pod->containers[i], row, &n);
		snprintf(name, sizeof name, "%s%s", n.ref.c->spec->name, suffix);
		fn(arg, name, &n);
	}
}

static void list_sessions(const struct node *dir, entry_fn *fn, void *arg)
{
	for (struct session *s = dir->ref.pod->sessions; s; s = s->next) {
		struct node n;
		if (!*s->name)
			continue;
		session_node(dir->fs, s, &n);
		fn(arg, s->name, &n);
	}
}

void node_list(const struct node *dir, entry_fn *fn, void *arg)
{
	list_rows(dir, fn, arg);
	switch (row_number(dir->row)) {
	case R_ROOT:
		list_pods(dir, fn, arg);
		break;
	case R_CONTAINERS:
		list_containers(dir, R_CONTAINER, "", fn, arg);
		break;
	case R_LOGS:
		for (unsigned v = 0; v < ARRAY_LEN(log_suffix); v++)
			list_containers(dir, R_LOG + v, log_suffix[v], fn, arg);
		break;
	case R_EXEC:
		list_containers(dir, R_SHELL, "", fn, arg);
		list_sessions(dir, fn, arg);
		break;
	case R_IMAGES:
	case R_IMAGE_DIR:
		image_list(dir, fn, arg);
		break;
	}
}
