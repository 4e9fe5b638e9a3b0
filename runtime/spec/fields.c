/* The table of settings: names, forms, effects. What tree, record and manual read.
 *
 * A new setting is a row here and its three functions in the file of its subject.
 */
#include "runtime/base/util.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <string.h>

#define ROW(name, scope, form, effect, fn) { name, scope, form, effect, fn##_set, fn##_get, fn##_is_set }
#define BOTH (SPEC_POD | SPEC_CONTAINER)

const struct spec_field spec_fields[] = {
	ROW("hostname", SPEC_POD, SPEC_VALUE, SPEC_HOSTNAME, hostname),
	ROW("grace", SPEC_POD, SPEC_VALUE, SPEC_POLICY, grace),
	ROW("restart", SPEC_POD, SPEC_VALUE, SPEC_POLICY, restart),
	ROW("share", SPEC_POD, SPEC_VALUE, SPEC_SHARE, share),
	ROW("labels", SPEC_POD, SPEC_LINES, SPEC_INERT, labels),
	ROW("annotations", SPEC_POD, SPEC_LINES, SPEC_INERT, annotations),
	ROW("network", SPEC_POD, SPEC_VALUE, SPEC_NETWORK, network),
	ROW("ports", SPEC_POD, SPEC_LINES, SPEC_PORTS, ports),
	ROW("net.ingress", SPEC_POD, SPEC_VALUE, SPEC_RATE, net_ingress),
	ROW("net.egress", SPEC_POD, SPEC_VALUE, SPEC_RATE, net_egress),
	ROW("hosts", SPEC_POD, SPEC_LINES, SPEC_ETC, hosts),
	ROW("resolv.conf", SPEC_POD, SPEC_LINES, SPEC_ETC, resolv_conf),
	ROW("image", SPEC_CONTAINER, SPEC_VALUE, SPEC_IMAGE, image),
	ROW("pull", SPEC_CONTAINER, SPEC_VALUE, SPEC_AT_START, pull),
	ROW("command", SPEC_CONTAINER, SPEC_VALUE, SPEC_AT_START, command),
	ROW("args", SPEC_CONTAINER, SPEC_VALUE, SPEC_AT_START, args),
	ROW("env", SPEC_CONTAINER, SPEC_LINES, SPEC_AT_START, env),
	ROW("workdir", SPEC_CONTAINER, SPEC_VALUE, SPEC_AT_START, workdir),
	ROW("user", SPEC_CONTAINER, SPEC_VALUE, SPEC_AT_START, user),
	ROW("memory.max", BOTH, SPEC_VALUE, SPEC_LIMIT, memory_max),
	ROW("memory.high", BOTH, SPEC_VALUE, SPEC_LIMIT, memory_high),
	ROW("cpu.max", BOTH, SPEC_VALUE, SPEC_LIMIT, cpu_max),
	ROW("cpu.weight", BOTH, SPEC_VALUE, SPEC_LIMIT, cpu_weight),
	ROW("pids.max", BOTH, SPEC_VALUE, SPEC_LIMIT, pids_max),
	{ 0 },
};

const struct spec_field *spec_field_find(const char *name, enum spec_scope scope)
{
	for (const struct spec_field *f = spec_fields; f->name; f++)
		if ((f->scope & scope) && !strcmp(f->name, name))
			return f;
	return NULL;
}

static int checked_set(const struct spec_field *f, struct spec_ref r, const char *text, size_t len, struct err *e)
{
	if (len > SPEC_VALUE_MAX)
		return err_set(e, E2BIG, "more than %d bytes", SPEC_VALUE_MAX);
	if (len && memchr(text, 0, len))
		return err_set(e, EINVAL, "a NUL byte cannot be part of a value");
	if (f->form == SPEC_VALUE && len && text[len - 1] == '\n')
		len--;
	return f->set(r, text, len, e);
}

int spec_set(const struct spec_field *f, struct spec_ref r, const char *text, size_t len, struct err *e)
{
	int result = checked_set(f, r, text, len, e);
	if (result)
		err_prefix(e, "%s", f->name);
	return result;
}
