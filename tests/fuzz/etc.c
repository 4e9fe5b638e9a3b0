/* hosts, resolv.conf and ports of a pod: what is taken reads back the same, also when the pod's name and addresses have changed. */
#include "runtime/spec/spec.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static struct pod_spec *new_pod(void)
{
	struct pod_spec *p = pod_spec_new();
	PROMISE(p && !strs_add(&p->ip, "10.0.0.5/20", 11) && !strs_add(&p->ip, "fd00::5/64", 10));
	strcpy(p->name, "web");
	strcpy(p->hostname, "web");
	return p;
}

/* Set and get once more: the same. */
static void is_stable(const struct spec_field *f, struct spec_ref r)
{
	struct buf first = { 0 }, again = { 0 };
	struct err e = { 0 };
	f->get(r, &first);
	PROMISE(first.len <= SPEC_VALUE_MAX && (!first.len || first.data[first.len - 1] == '\n'));
	PROMISE(!spec_set(f, r, buf_str(&first), first.len, &e));
	f->get(r, &again);
	PROMISE(!strcmp(buf_str(&first), buf_str(&again)));
	buf_free(&first);
	buf_free(&again);
}

static void try(const char *name, const char *text, size_t size)
{
	struct pod_spec *p = new_pod();
	struct spec_ref r = { .pod = p };
	struct err e = { 0 };
	const struct spec_field *f = spec_field_find(name, SPEC_POD);
	int result = spec_set(f, r, text, size, &e);
	PROMISE(!result || (result < 0 && e.code == -result && !strncmp(e.text, name, strlen(name)) && !f->is_set(r)));
	is_stable(f, r);
	strcpy(p->hostname, "a-longer-name.example.org");
	PROMISE(!strs_add(&p->ip, "2001:db8::1/128", 15));
	is_stable(f, r);
	PROMISE(!spec_set(f, r, "", 0, &e) && !f->is_set(r));
	pod_spec_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try("hosts", (const char *)data, size);
	try("resolv.conf", (const char *)data, size);
	try("ports", (const char *)data, size);
	return 0;
}
