/* The record: a pod's spec as INI text, and back.
 *
 * [pod] with what identifies it and its settings, then a [container] each, which begins with
 * its name. A key that is not known is an error, never dropped: what a newer podfs wrote is not lost by
 * an older one. Knows no files: podfs-pod writes the text, the server reads it.
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"
#include "runtime/spec/spec.h"

#include <errno.h>
#include <string.h>

#define PENDING "pending"

static void put_text(struct buf *out, const char *key, const char *value)
{
	ini_write(out, key, value, strlen(value));
}

static void put_number(struct buf *out, const char *key, uint64_t v)
{
	buf_printf(out, "%s = %llu\n", key, (unsigned long long)v);
}

/* Nothing where there is none: a pod that is not on the bridge. */
static void put_lease(struct buf *out, const struct pod_spec *p)
{
	if (p->host)
		put_number(out, "host", p->host);
	for (size_t i = 0; i < p->ip.n; i++)
		buf_printf(out, "%s%s", i ? " " : "ip = ", p->ip.v[i]);
	if (p->ip.n)
		buf_putc(out, '\n');
}

static void put_fields(struct buf *out, enum spec_scope scope, struct spec_ref r)
{
	_cleanup_buf_ struct buf value = { 0 };
	for (const struct spec_field *f = spec_fields; f->name; f++) {
		if (!(f->scope & scope) || !f->is_set(r))
			continue;
		buf_reset(&value);
		f->get(r, &value);
		out->failed |= value.failed;
		size_t len = value.len;
		if (len && value.data[len - 1] == '\n')
			len--;
		ini_write(out, f->name, buf_str(&value), len);
	}
}

static void put_pod(struct buf *out, struct pod_spec *p)
{
	buf_puts(out, "[pod]\n");
	put_text(out, "uid", p->uid);
	put_text(out, "name", p->name);
	put_number(out, "serial", p->serial);
	put_number(out, "created", p->created_ns);
	put_number(out, "owner", p->owner);
	put_number(out, "group", p->group);
	buf_printf(out, "mode = %04o\n", (unsigned)p->mode);
	put_lease(out, p); /* before the fields: `hosts` is read with them in mind */
	put_fields(out, SPEC_POD, (struct spec_ref){ .pod = p });
}

static void put_container(struct buf *out, struct pod_spec *p, struct container_spec *c)
{
	buf_puts(out, "\n[container]\n");
	put_text(out, "name", c->name);
	put_number(out, "serial", c->serial);
	put_number(out, "created", c->created_ns);
	if (c->start_pending)
		put_text(out, "start", PENDING);
	put_fields(out, SPEC_CONTAINER, (struct spec_ref){ .pod = p, .container = c });
}

/* podfs-pod is sent the record and, whole, the two texts that it has lines of. */
static int check_size(const struct pod_spec *p, const struct buf *record, struct err *e)
{
	_cleanup_buf_ struct buf etc = { 0 };
	hosts_text(p, &etc);
	resolv_text(p, &etc);
	if (record->len > SPEC_RECORD_MAX)
		return err_set(e, E2BIG, "the settings of pod %s are together more than %d KiB", p->name, SPEC_RECORD_MAX / 1024);
	if (record->len + etc.len > SPEC_SENT_MAX)
		return err_set(e, E2BIG, "the settings of pod %s, hosts and resolv.conf counted twice, are together more than %d KiB",
			       p->name, SPEC_SENT_MAX / 1024);
	return buf_status(&etc) ? err_set(e, ENOMEM, "no memory for the record of pod %s", p->name) : 0;
}

int record_write(const struct pod_spec *p, struct buf *out, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	/* spec_ref is for set too; get changes nothing. */
	struct pod_spec *spec = (struct pod_spec *)(uintptr_t)p;
	put_pod(&b, spec);
	for (size_t i = 0; i < p->ncontainers; i++)
		put_container(&b, spec, p->containers[i]);
	if (buf_status(&b))
		return err_set(e, ENOMEM, "no memory for the record of pod %s", p->name);
	int r = check_size(p, &b, e);
	if (r)
		return r;
	buf_put(out, b.data, b.len);
	return buf_status(out) ? err_set(e, ENOMEM, "no memory for the record of pod %s", p->name) : 0;
}

struct loader {
	struct pod_spec *pod;
	struct container_spec *container; /* the one being read */
	struct buf value;
};

static int read_number(const struct buf *v, unsigned base, uint64_t max, uint64_t *out, struct err *e)
{
	uint64_t n = 0;
	bool bad = !v->len;
	for (size_t i = 0; i < v->len && !bad; i++) {
		unsigned d = (unsigned)(v->data[i] - '0');
		bad = !is_digit(v->data[i]) || d >= base || n > (max - d) / base;
		n = n * base + d;
	}
	if (bad)
		return err_set(e, EINVAL, "%s is not a number that fits", clip((struct span){ buf_str(v), v->len }).s);
	*out = n;
	return 0;
}

/* 8-4-4-4-12 lower-case hexadecimal digits (RFC 4122, section 3). */
static bool is_uid(const char *s, size_t n)
{
	if (n != 36)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? s[i] != '-' : !is_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	}
	return true;
}

static int read_name(const char *what, char to[SPEC_NAME_MAX + 1], const struct buf *v, struct err *e)
{
	const char *name = buf_str(v);
	int r = name_check(what, name, e);
	if (!r && strlen(name) != v->len)
		r = err_set(e, EINVAL, "the name of a %s holds a NUL byte", what);
	if (!r)
		strcpy(to, name);
	return r;
}

static int read_field(struct loader *l, const char *key, struct err *e)
{
	enum spec_scope scope = l->container ? SPEC_CONTAINER : SPEC_POD;
	const struct spec_field *f = spec_field_find(key, scope);
	if (!f)
		return err_set(e, EINVAL, "unknown key %s", key);
	return spec_set(f, (struct spec_ref){ l->pod, l->container }, buf_str(&l->value), l->value.len, e);
}

static int read_uid(struct loader *l, struct err *e)
{
	if (!is_uid(buf_str(&l->value), l->value.len))
		return err_set(e, EINVAL, "uid is not a UUID");
	memcpy(l->pod->uid, l->value.data, l->value.len);
	return 0;
}

bool is_ip(const char *text, size_t len)
{
	struct span s = { text, len };
	uint8_t addr[16];
	uint64_t prefix;
	const char *slash = memchr(s.p, '/', s.n);
	struct span a = { s.p, slash ? (size_t)(slash - s.p) : 0 };
	return slash && (span_address(a, AF_INET, addr) || span_address(a, AF_INET6, addr)) &&
	       !span_number((struct span){ slash + 1, s.n - a.n - 1 }, &prefix) && prefix <= 128;
}

static int read_ip(struct loader *l, struct err *e)
{
	struct span rest = { buf_str(&l->value), l->value.len }, word;
	strs_free(&l->pod->ip);
	while ((word = span_word(&rest)).n) {
		if (!is_ip(word.p, word.n))
			return err_set(e, EINVAL, "ip: %s is not ADDRESS/PREFIX", clip(word).s);
		if (strs_add(&l->pod->ip, word.p, word.n))
			return err_set(e, ENOMEM, "no memory");
	}
	return 0;
}

static int pod_key(struct loader *l, const char *key, struct err *e)
{
	struct pod_spec *p = l->pod;
	const struct buf *v = &l->value;
	uint64_t n;
	int r;
	if (!strcmp(key, "uid"))
		return read_uid(l, e);
	if (!strcmp(key, "name"))
		return read_name("pod", p->name, v, e);
	if (!strcmp(key, "serial"))
		return read_number(v, 10, UINT64_MAX, &p->serial, e);
	if (!strcmp(key, "created"))
		return read_number(v, 10, UINT64_MAX, &p->created_ns, e);
	if (!strcmp(key, "owner")) {
		if (!(r = read_number(v, 10, UINT32_MAX, &n, e)))
			p->owner = (uid_t)n;
		return r;
	}
	if (!strcmp(key, "group")) {
		if (!(r = read_number(v, 10, UINT32_MAX, &n, e)))
			p->group = (gid_t)n;
		return r;
	}
	if (!strcmp(key, "mode")) {
		if (!(r = read_number(v, 8, 07777, &n, e)))
			p->mode = (mode_t)n;
		return r;
	}
	if (!strcmp(key, "host"))
		return read_number(v, 10, UINT64_MAX, &p->host, e);
	if (!strcmp(key, "ip"))
		return read_ip(l, e);
	return read_field(l, key, e);
}

static int new_container(struct loader *l, struct err *e)
{
	char name[SPEC_NAME_MAX + 1];
	int r = read_name("container", name, &l->value, e);
	if (r)
		return r;
	if (pod_spec_find(l->pod, name))
		return err_set(e, EINVAL, "container %s is there twice", name);
	l->container = pod_spec_add(l->pod, name);
	return l->container ? 0 : err_set(e, ENOMEM, "no memory");
}

static int read_start(struct loader *l, struct err *e)
{
	struct span s = { buf_str(&l->value), l->value.len };
	if (!span_is(s, PENDING))
		return err_set(e, EINVAL, "start: %s is not " PENDING, clip(s).s);
	l->container->start_pending = true;
	return 0;
}

static int container_key(struct loader *l, const char *key, struct err *e)
{
	if (!strcmp(key, "name"))
		return new_container(l, e);
	if (!l->container)
		return err_set(e, EINVAL, "a container begins with its name");
	if (!strcmp(key, "serial"))
		return read_number(&l->value, 10, UINT64_MAX, &l->container->serial, e);
	if (!strcmp(key, "created"))
		return read_number(&l->value, 10, UINT64_MAX, &l->container->created_ns, e);
	if (!strcmp(key, "start"))
		return read_start(l, e);
	return read_field(l, key, e);
}

static int on_key(void *arg, const char *section, const char *key, const char *value, size_t len, int line,
		  struct err *e)
{
	struct loader *l = arg;
	buf_reset(&l->value);
	int r = ini_unescape(value, len, &l->value, e);
	if (r)
		return r;
	if (!strcmp(section, "container"))
		return container_key(l, key, e);
	if (strcmp(section, "pod") || l->container)
		return err_set(e, EINVAL, "first [pod], then [container]s are expected, not [%s]", section);
	return pod_key(l, key, e);
}

static int check_complete(const struct pod_spec *p, struct err *e)
{
	if (!*p->name || !*p->uid || !p->serial)
		return err_set(e, EINVAL, "the record has no %s", !*p->name ? "name" : !*p->uid ? "uid" : "serial");
	for (size_t i = 0; i < p->ncontainers; i++)
		if (!p->containers[i]->serial)
			return err_set(e, EINVAL, "container %s has no serial", p->containers[i]->name);
	return 0;
}

int record_read(const char *text, size_t len, struct pod_spec **out, struct err *e)
{
	struct loader l = { .pod = pod_spec_new() };
	if (!l.pod)
		return err_set(e, ENOMEM, "no memory");
	l.pod->net = (struct net_choice){ .mode = NET_NONE }; /* of a record from before there was a choice */
	int r = ini_read("pod.ini", text, len, on_key, &l, e);
	if (!r)
		r = check_complete(l.pod, e);
	buf_free(&l.value);
	if (r) {
		pod_spec_free(l.pod);
		return r;
	}
	if (!*l.pod->hostname)
		strcpy(l.pod->hostname, l.pod->name);
	*out = l.pod;
	return 0;
}
