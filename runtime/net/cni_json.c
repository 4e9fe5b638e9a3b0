/* The JSON of CNI, through jansson: see cni_json.h. */
#include "runtime/net/cni_json.h"

#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#define DEPTH_MAX 64
#define VALUES_MAX 20000
#define PLUGINS_MAX 32
#define ADDRS_MAX 16
#define BURST 2147483647 /* bits; "as much as there is", as kubelet says it */

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ __attribute__((cleanup(cleanup_json)))

void cni_json_free(struct json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

static int load(const char *text, size_t len, json_t **out, struct err *e)
{
	if (len > CNI_JSON_MAX)
		return err_set(e, EFBIG, "JSON of more than %d bytes", CNI_JSON_MAX);
	int r = json_bounds(text, len, DEPTH_MAX, VALUES_MAX, e);
	if (r)
		return r;
	json_error_t je;
	json_t *j = json_loadb(text, len, 0, &je);
	if (!j)
		return err_set(e, EINVAL, "bad JSON: line %d: %s", je.line, je.text);
	if (!json_is_object(j)) {
		json_decref(j);
		return err_set(e, EINVAL, "it is no JSON object");
	}
	*out = j;
	return 0;
}

static const char *string_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int dump(const json_t *j, struct buf *out)
{
	char *text = json_dumps(j, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	buf_puts(out, text);
	free(text);
	return buf_status(out);
}

/* --- networks --- */

static const struct version {
	const char *name;
	bool is_new;
} versions[] = { { "0.3.0", false }, { "0.3.1", false }, { "0.4.0", true }, { "1.0.0", true } };

static const struct version *find_version(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(versions); i++)
		if (!strcmp(versions[i].name, name))
			return &versions[i];
	return NULL;
}

static int check_version(const char *name, struct err *e)
{
	if (find_version(name))
		return 0;
	return err_set(e, EPROTONOSUPPORT, "cniVersion %.40s is not known here (0.3.0, 0.3.1, 0.4.0 and 1.0.0 are)",
		       name ? name : "(none)");
}

/* SPEC.md: an alphanumeric character, then any number of those, `_`, `.` and `-`. A type is a file's name. */
static bool is_name(const char *s)
{
	static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	if (!s || !*s || !strchr(alnum, *s) || strlen(s) > 128)
		return false;
	for (; *s; s++)
		if (!strchr(alnum, *s) && !strchr("_.-", *s))
			return false;
	return true;
}

static int check_plugins(const json_t *list, struct err *e)
{
	const json_t *plugins = json_object_get(list, "plugins");
	size_t n = json_array_size(plugins);
	if (!n || n > PLUGINS_MAX)
		return err_set(e, EINVAL, n ? "more than %d plugins" : "a network without plugins (at most %d)", PLUGINS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!is_name(string_of(json_array_get(plugins, i), "type")))
			return err_set(e, EINVAL, "plugin %zu has no `type` that could be a program's name", i + 1);
	return 0;
}

/* A plugin's own file is a chain of one. Takes conf. */
static json_t *wrap(json_t *conf)
{
	return json_pack("{s:O?, s:O?, s:[o]}", "cniVersion", json_object_get(conf, "cniVersion"), "name",
			 json_object_get(conf, "name"), "plugins", conf);
}

/* Takes list. */
static int take_list(json_t *list, struct cni_net *out, struct err *e)
{
	struct cni_net n = {
		.list = list,
		.name = string_of(list, "name"),
		.version = string_of(list, "cniVersion"),
		.n = json_array_size(json_object_get(list, "plugins")),
	};
	int r = is_name(n.name) ? 0 : err_set(e, EINVAL, "a network without a valid `name`");
	if (!r)
		r = check_version(n.version, e);
	if (!r)
		r = check_plugins(list, e);
	if (r)
		json_decref(list);
	else
		*out = n;
	return r;
}

int cni_net_parse(const char *text, size_t len, bool list, struct cni_net *out, struct err *e)
{
	json_t *j;
	int r = load(text, len, &j, e);
	if (r)
		return r;
	if (!list)
		j = wrap(j);
	return j ? take_list(j, out, e) : err_set(e, ENOMEM, "not enough memory");
}

void cni_net_free(struct cni_net *n)
{
	json_decref(n->list);
	*n = (struct cni_net){ 0 };
}

static json_t *plugin(const struct cni_net *n, size_t i)
{
	return json_array_get(json_object_get(n->list, "plugins"), i);
}

const char *cni_net_type(const struct cni_net *n, size_t i)
{
	return string_of(plugin(n, i), "type");
}

static bool can(const json_t *conf, const char *capability)
{
	return json_is_true(json_object_get(json_object_get(conf, "capabilities"), capability));
}

bool cni_net_can(const struct cni_net *n, const char *capability)
{
	for (size_t i = 0; i < n->n; i++)
		if (can(plugin(n, i), capability))
			return true;
	return false;
}

bool cni_net_is_new(const struct cni_net *n)
{
	return find_version(n->version)->is_new;
}

bool cni_net_unchecked(const struct cni_net *n)
{
	return json_is_true(json_object_get(n->list, "disableCheck"));
}

/* --- what plugins are given (CONVENTIONS.md, "runtimeConfig") --- */

static json_t *mapping(const struct port *p, unsigned i)
{
	char at[INET6_ADDRSTRLEN];
	json_t *m = json_pack("{s:i, s:i, s:s}", "hostPort", p->host + (int)i, "containerPort", p->pod + (int)i, "protocol",
			      p->proto == IPPROTO_UDP ? "udp" : "tcp");
	if (m && p->family != AF_UNSPEC && inet_ntop(p->family, p->addr, at, sizeof at))
		json_object_set_new(m, "hostIP", json_string(at));
	return m;
}

static json_t *mappings(const struct port *ports, size_t n)
{
	json_t *a = json_array();
	for (size_t k = 0; k < n; k++)
		for (unsigned i = 0; i < ports[k].count; i++)
			json_array_append_new(a, mapping(&ports[k], i));
	return a;
}

static void put_rate(json_t *o, const char *rate, const char *burst, uint64_t bits)
{
	if (!bits)
		return;
	json_object_set_new(o, rate, json_integer((json_int_t)bits));
	json_object_set_new(o, burst, json_integer(BURST));
}

struct json_t *cni_runtime(const struct port *ports, size_t n, uint64_t rate_in, uint64_t rate_out)
{
	json_t *o = json_object(), *b = json_object();
	if (n)
		json_object_set_new(o, "portMappings", mappings(ports, n));
	put_rate(b, "ingressRate", "ingressBurst", rate_in);
	put_rate(b, "egressRate", "egressBurst", rate_out);
	if (rate_in || rate_out)
		json_object_set(o, "bandwidth", b);
	json_decref(b);
	return o;
}

/* Of what is wanted, that which this plugin has said it can. */
static json_t *runtime_config(const json_t *conf, const json_t *runtime)
{
	const char *capability;
	json_t *value, *out = json_object();
	json_object_foreach((json_t *)(uintptr_t)runtime, capability, value)
		if (can(conf, capability))
			json_object_set(out, capability, value);
	return out;
}

/* bridge's CHECK wants to find CNI_NETNS in there, and that has another name for each process that holds the namespace. */
static json_t *moved(const json_t *prev, const char *from, const char *to)
{
	json_t *copy = json_deep_copy(prev), *item;
	size_t i;
	json_array_foreach(json_object_get(copy, "interfaces"), i, item) {
		const char *sandbox = string_of(item, "sandbox");
		if (sandbox && *sandbox && !strcmp(sandbox, from))
			json_object_set_new(item, "sandbox", json_string(to));
	}
	return copy;
}

int cni_stdin(const struct cni_record *r, size_t i, const struct json_t *prev, const char *sandbox, struct buf *out)
{
	const json_t *conf = plugin(&r->net, i);
	_cleanup_json_ json_t *o = json_copy((json_t *)(uintptr_t)conf), *runtime = runtime_config(conf, r->runtime);
	json_object_del(o, "capabilities");
	json_object_set_new(o, "name", json_string(r->net.name));
	json_object_set_new(o, "cniVersion", json_string(r->net.version));
	if (json_object_size(runtime))
		json_object_set(o, "runtimeConfig", runtime);
	if (prev && json_object_set_new(o, "prevResult", moved(prev, r->sandbox, sandbox)))
		return -ENOMEM;
	return dump(o, out);
}

/* --- what they answer --- */

/* Not those of bridges and veth ends of the host. */
static bool is_in_pod(const json_t *result, const json_t *ip)
{
	const json_t *index = json_object_get(ip, "interface");
	if (!json_is_integer(index) || json_integer_value(index) < 0)
		return true;
	const char *sandbox = string_of(json_array_get(json_object_get(result, "interfaces"), (size_t)json_integer_value(index)), "sandbox");
	return sandbox && *sandbox;
}

static bool is_address(const char *text, int family)
{
	char a[INET6_ADDRSTRLEN], bytes[16];
	const char *slash = text ? strchr(text, '/') : NULL;
	if (!slash || slash - text >= (ptrdiff_t)sizeof a || strlen(slash) < 2 || strlen(slash) > 4 ||
	    strspn(slash + 1, "0123456789") != strlen(slash + 1))
		return false;
	memcpy(a, text, (size_t)(slash - text));
	a[slash - text] = 0;
	return inet_pton(family, a, bytes) == 1;
}

static int check_addrs(const json_t *result, struct err *e)
{
	const json_t *ips = json_object_get(result, "ips");
	for (size_t i = 0; i < json_array_size(ips); i++) {
		const char *a = string_of(json_array_get(ips, i), "address");
		if (!is_address(a, AF_INET) && !is_address(a, AF_INET6))
			return err_set(e, EINVAL, "%.64s is no address with its prefix", a ? a : "what stands in ips");
	}
	return 0;
}

int cni_result_parse(const char *text, size_t len, struct json_t **out, struct err *e)
{
	json_t *j;
	int r = load(text, len, &j, e);
	if (r)
		return r;
	r = check_version(string_of(j, "cniVersion"), e);
	if (!r)
		r = check_addrs(j, e);
	if (r)
		json_decref(j);
	else
		*out = j;
	return r;
}

int cni_result_addrs(const struct json_t *result, struct strs *out)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const json_t *ips = json_object_get(result, "ips");
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (size_t i = 0; i < json_array_size(ips) && out->n < ADDRS_MAX; i++) {
			const json_t *ip = json_array_get(ips, i);
			const char *a = string_of(ip, "address");
			if (is_address(a, families[f]) && is_in_pod(result, ip) && strs_add(out, a, strlen(a)))
				return -ENOMEM;
		}
	return 0;
}

int cni_result_dns(const struct json_t *result, struct strs *out)
{
	const json_t *servers = json_object_get(json_object_get(result, "dns"), "nameservers");
	for (size_t i = 0; i < json_array_size(servers) && out->n < ADDRS_MAX; i++) {
		char bytes[16];
		const char *a = json_string_value(json_array_get(servers, i));
		if (a && (inet_pton(AF_INET, a, bytes) == 1 || inet_pton(AF_INET6, a, bytes) == 1) && strs_add(out, a, strlen(a)))
			return -ENOMEM;
	}
	return 0;
}

bool cni_failure_parse(const char *text, size_t len, unsigned *code, struct buf *words)
{
	_cleanup_json_ json_t *j = NULL;
	if (load(text, len, &j, NULL))
		return false;
	const char *msg = string_of(j, "msg"), *details = string_of(j, "details");
	json_int_t n = json_integer_value(json_object_get(j, "code"));
	if (!msg && !n)
		return false;
	*code = n < 0 || n > 1000000 ? 0 : (unsigned)n;
	buf_puts(words, msg && *msg ? msg : "no words");
	if (details && *details)
		buf_printf(words, "; %s", details);
	return true;
}

/* --- the cached result --- */

int cni_record_text(const struct cni_record *r, struct buf *out)
{
	_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O, s:O*}", "uid", r->uid, "pod", r->pod, "sandbox",
					     r->sandbox, "netns", r->netns, "network", r->net.list, "runtime", r->runtime,
					     "result", r->result);
	return j ? dump(j, out) : -ENOMEM;
}

static bool take_text(const json_t *j, const char *key, char *out, size_t cap)
{
	const char *s = string_of(j, key);
	return s && snprintf(out, cap, "%s", s) < (int)cap;
}

int cni_record_parse(const char *text, size_t len, struct cni_record *out, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	struct cni_record r = { 0 };
	int ret = load(text, len, &j, e);
	if (ret)
		return ret;
	json_t *runtime = json_object_get(j, "runtime"), *result = json_object_get(j, "result");
	if (!take_text(j, "uid", r.uid, sizeof r.uid) || !take_text(j, "pod", r.pod, sizeof r.pod) ||
	    !take_text(j, "sandbox", r.sandbox, sizeof r.sandbox) || !take_text(j, "netns", r.netns, sizeof r.netns) ||
	    !json_is_object(runtime) || (result && !json_is_object(result)) || !json_is_object(json_object_get(j, "network")))
		return err_set(e, EINVAL, "it is no cached result of podfs");
	ret = take_list(json_incref(json_object_get(j, "network")), &r.net, e);
	if (ret)
		return ret;
	r.runtime = json_incref(runtime);
	r.result = json_incref(result);
	*out = r;
	return 0;
}

void cni_record_free(struct cni_record *r)
{
	cni_net_free(&r->net);
	cni_json_free(&r->runtime);
	cni_json_free(&r->result);
}
