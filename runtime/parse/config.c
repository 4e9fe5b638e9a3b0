/* The node's settings: see config.h. One row of keys[] a key; how a value is read and shown
 * belongs to its kind.
 *
 * Reads the config file and nothing else; makes no folder. Runs in keeper and server.
 */
#include "runtime/parse/config.h"

#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

#define CONFIG_SIZE_MAX (1 << 20)
#define SEGMENT_MIN 4096       /* LOG_MIN_SEGMENT and LOG_MAX_SEGMENT of runtime/log/log.h */
#define SEGMENT_MAX (1u << 30)
#define TIME_MIN 1 /* ms */

#define STATE "/var/lib/podfs"
#define BRIDGE "podfs0"

/* The values of the first ones, up to SUBNET6, are texts. */
enum kind { ANY_PATH, PATH, PATHS, GROUP, USERS, RANGE, LINK, SUBNET4, SUBNET6, NUMBER, POLICY, PULL, NETWORK, SECONDS, BYTES, MILLIS };

struct key {
	const char *name;
	enum kind kind;
	size_t at; /* in struct config */
	const char *dflt;
	uint64_t min, max; /* of a number or a time */
};

static const struct key keys[] = {
	{ "config", ANY_PATH, offsetof(struct config, config), "/etc/podfs/podfs.conf" },
	{ "state", PATH, offsetof(struct config, state), STATE },
	{ "run", PATH, offsetof(struct config, run), "/run/podfs" },
	{ "cgroup", GROUP, offsetof(struct config, cgroup), "podfs" },
	{ "users", USERS, offsetof(struct config, users), "" },
	{ "subuid", RANGE, offsetof(struct config, subuid), "" },
	{ "max_pods", NUMBER, offsetof(struct config, max_pods), "1000", 1, 1000000 },
	{ "restart", POLICY, offsetof(struct config, restart), "Never" },
	{ "grace", SECONDS, offsetof(struct config, grace), "30", 0, UINT32_MAX },
	{ "log_max", BYTES, offsetof(struct config, log_max), "16M", SEGMENT_MIN, SEGMENT_MAX },
	{ "log_files", NUMBER, offsetof(struct config, log_files), "4", 1, 1000 },
	{ "backoff_base", MILLIS, offsetof(struct config, backoff_base), "10", TIME_MIN, UINT32_MAX },
	{ "backoff_cap", MILLIS, offsetof(struct config, backoff_cap), "300", TIME_MIN, UINT32_MAX },
	{ "backoff_reset", MILLIS, offsetof(struct config, backoff_reset), "600", TIME_MIN, UINT32_MAX },
	{ "pull", PULL, offsetof(struct config, pull), "IfNotPresent" },
	{ "pull_backoff_base", MILLIS, offsetof(struct config, pull_backoff_base), "10", TIME_MIN, UINT32_MAX },
	{ "pull_backoff_cap", MILLIS, offsetof(struct config, pull_backoff_cap), "300", TIME_MIN, UINT32_MAX },
	{ "pull_stall", SECONDS, offsetof(struct config, pull_stall), "60", 1, 86400 },
	{ "image_max", BYTES, offsetof(struct config, image_max), "64G", 1, INT64_MAX },
	{ "image_gc_high", NUMBER, offsetof(struct config, image_gc_high), "85", 1, 100 },
	{ "image_gc_low", NUMBER, offsetof(struct config, image_gc_low), "80", 0, 99 },
	{ "network", NETWORK, offsetof(struct config, network), "bridge" },
	{ "bridge", LINK, offsetof(struct config, bridge), "" },
	{ "subnet4", SUBNET4, offsetof(struct config, subnet4), "auto" },
	{ "subnet6", SUBNET6, offsetof(struct config, subnet6), "auto" },
	{ "cni_conf", PATH, offsetof(struct config, cni_conf), "/etc/cni/net.d" },
	{ "cni_bin", PATHS, offsetof(struct config, cni_bin), "/usr/lib/cni:/opt/cni/bin" },
};

static void *field(const struct config *c, const struct key *k)
{
	return (char *)(uintptr_t)c + k->at;
}

static bool is_text(const struct key *k)
{
	return k->kind <= SUBNET6;
}

static int check_path(struct span s, bool absolute, struct err *e)
{
	if (!s.n || (absolute && s.p[0] != '/'))
		return err_set(e, EINVAL, "%s is not %s path", clip(s).s, absolute ? "an absolute" : "a");
	if (s.n >= PATH_MAX)
		return err_set(e, EINVAL, "%s: the path is too long", clip(s).s);
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20)
			return err_set(e, EINVAL, "%s: control character in the path", clip(s).s);
	return 0;
}

/* Folders as in PATH. */
static int check_paths(struct span s, struct err *e)
{
	for (;;) {
		const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
		size_t n = colon ? (size_t)(colon - s.p) : s.n;
		int r = check_path((struct span){ s.p, n }, true, e);
		if (r || !colon)
			return r;
		s = (struct span){ colon + 1, s.n - n - 1 };
	}
}

static bool is_name(struct span s)
{
	if (!s.n || s.n > NAME_MAX || s.p[0] == '.' || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "_.-"))
			return false;
	return true;
}

static int check_users(const struct config *c, struct span s, struct err *e)
{
	for (;;) {
		struct span name = span_word(&s);
		if (!name.n)
			return 0;
		if (!is_name(name))
			return err_set(e, EINVAL, "%s is not a user name", clip(name).s);
		char text[NAME_MAX + 1] = "";
		memcpy(text, name.p, name.n);
		if (c->has_user && !c->has_user(text))
			return err_set(e, EINVAL, "there is no user %s", clip(name).s);
	}
}

/* START:COUNT as in subuid(5). */
static int check_range(struct span s, struct err *e)
{
	const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
	uint64_t start, count;
	if (!s.n)
		return 0;
	if (!colon || span_number((struct span){ s.p, (size_t)(colon - s.p) }, &start) ||
	    span_number((struct span){ colon + 1, (size_t)(s.p + s.n - colon - 1) }, &count) || !count ||
	    start > UINT32_MAX || count > UINT32_MAX || start + count > UINT32_MAX)
		return err_set(e, EINVAL, "%s is not an id range (try 100000:65536)", clip(s).s);
	return 0;
}

static int check_link(struct span s, struct err *e)
{
	if (!s.n || (is_name(s) && s.n < IFNAMSIZ))
		return 0;
	return err_set(e, EINVAL, "%s is not the name of a link (letters, digits, _ . -, at most %d)", clip(s).s, IFNAMSIZ - 1);
}

static int check_pods_subnet(struct span s, sa_family_t family, struct err *e)
{
	return span_is(s, "auto") || span_is(s, "none") ? 0 : check_subnet(s.p, s.n, family, e);
}

static int check_text(const struct config *c, const struct key *k, struct span s, struct err *e)
{
	switch (k->kind) {
	case ANY_PATH:
		return check_path(s, false, e);
	case PATH:
		return check_path(s, true, e);
	case PATHS:
		return check_paths(s, e);
	case USERS:
		return check_users(c, s, e);
	case RANGE:
		return check_range(s, e);
	case LINK:
		return check_link(s, e);
	case SUBNET4:
	case SUBNET6:
		return check_pods_subnet(s, k->kind == SUBNET4 ? AF_INET : AF_INET6, e);
	default:
		return is_name(s) ? 0 : err_set(e, EINVAL, "%s is not the name of a folder", clip(s).s);
	}
}

static int set_text(struct config *c, const struct key *k, struct span s, struct err *e)
{
	int r = check_text(c, k, s, e);
	if (r)
		return r;
	char *copy = strndup(s.p, s.n), **to = field(c, k);
	if (!copy)
		return err_set(e, ENOMEM, "no memory");
	for (char *p = copy; *p; p++) /* names of users may go on in a second line */
		if (*p == '\n')
			*p = ' ';
	free(*to);
	*to = copy;
	return 0;
}

static int set_policy(struct config *c, const struct key *k, struct span s, struct err *e)
{
	for (enum restart_policy p = RESTART_NEVER; p <= RESTART_ALWAYS; p++)
		if (span_is(s, restart_policy_name(p))) {
			*(enum restart_policy *)field(c, k) = p;
			return 0;
		}
	return err_set(e, EINVAL, "%s is not a restart policy (Never, OnFailure, Always)", clip(s).s);
}

static int set_pull(struct config *c, const struct key *k, struct span s, struct err *e)
{
	if (!pull_policy_read(s.p, s.n, field(c, k)))
		return 0;
	return err_set(e, EINVAL, "%s is not a pull policy (IfNotPresent, Always, Never)", clip(s).s);
}

/* LIMIT_MAX (`max`) is beyond every key's bound: a cap cannot be none. */
static int in_bounds(const struct key *k, struct span s, uint64_t v, struct err *e)
{
	if (v < k->min)
		return err_set(e, EINVAL, "%s is too little", clip(s).s);
	if (v > k->max)
		return err_set(e, EINVAL, "%s is too much", clip(s).s);
	return 0;
}

static int set_u64(struct config *c, const struct key *k, struct span s, struct err *e)
{
	uint64_t v;
	int r = parse_bytes(s.p, s.n, &v, e);
	if (!r)
		r = in_bounds(k, s, v, e);
	if (!r)
		*(uint64_t *)field(c, k) = v;
	return r;
}

static int set_u32(struct config *c, const struct key *k, struct span s, struct err *e)
{
	uint64_t v = 0;
	uint32_t time = 0;
	int r;
	if (k->kind == SECONDS)
		r = parse_seconds(s.p, s.n, &time, e);
	else if (k->kind == MILLIS)
		r = parse_millis(s.p, s.n, &time, e);
	else
		r = parse_count(s.p, s.n, &v, e);
	if (!r)
		r = in_bounds(k, s, k->kind == NUMBER ? v : time, e);
	if (!r)
		*(uint32_t *)field(c, k) = k->kind == NUMBER ? (uint32_t)v : time;
	return r;
}

static int set_key(struct config *c, const struct key *k, struct span s, struct err *e)
{
	int r;
	if (is_text(k))
		r = set_text(c, k, s, e);
	else if (k->kind == POLICY)
		r = set_policy(c, k, s, e);
	else if (k->kind == PULL)
		r = set_pull(c, k, s, e);
	else if (k->kind == NETWORK)
		r = net_choice_read(s.p, s.n, field(c, k), e);
	else if (k->kind == BYTES)
		r = set_u64(c, k, s, e);
	else
		r = set_u32(c, k, s, e);
	if (r == -ERANGE && e)
		e->code = EINVAL;
	if (r)
		err_prefix(e, "%s", k->name);
	return r == -ERANGE ? -EINVAL : r;
}

int config_set(struct config *c, const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i].name, key))
			return set_key(c, &keys[i], span_trim(value, strlen(value)), e);
	return err_set(e, ENOENT, "%s is not a key", clip((struct span){ key, strlen(key) }).s);
}

int config_defaults(struct config *c)
{
	struct config fresh = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int r = config_set(&fresh, keys[i].name, keys[i].dflt, NULL);
		if (r) {
			config_free(&fresh);
			return r;
		}
	}
	*c = fresh;
	return 0;
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (is_text(&keys[i]))
			free(*(char **)field(c, &keys[i]));
	*c = (struct config){ 0 };
}

static int from_file(void *arg, const char *section, const char *key, const char *value, size_t len, int line,
		     struct err *e)
{
	if (strcmp(section, "node"))
		return err_set(e, EINVAL, "%s: keys stand in the section [node], this is [%s]", key, section);
	if (!strcmp(key, "config"))
		return err_set(e, EINVAL, "config names this file: it can only be an option");
	int r = config_set(arg, key, value, e);
	if (r == -ENOENT && e) /* which says that there is no file */
		e->code = EINVAL;
	return r == -ENOENT ? -EINVAL : r;
}

/* Two instances must not meet: FNV-1a of what tells them apart. */
static int name_bridge(struct config *c, struct err *e)
{
	char name[IFNAMSIZ] = BRIDGE;
	uint32_t hash = 2166136261u;
	for (const char *p = c->state; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	if (strcmp(c->state, STATE))
		snprintf(name, sizeof name, "podfs-%08x", hash);
	return config_set(c, "bridge", name, e);
}

int config_finish(struct config *c, struct err *e)
{
	if (c->image_gc_low >= c->image_gc_high)
		return err_set(e, EINVAL, "image_gc_low: %u is not below image_gc_high, which is %u", c->image_gc_low,
			       c->image_gc_high);
	if (!strcmp(c->subnet4, "none") && !strcmp(c->subnet6, "none"))
		return err_set(e, EINVAL, "subnet4 and subnet6 are both none: for pods without a network there is `network = none`");
	return *c->bridge ? 0 : name_bridge(c, e);
}

static int read_all(const char *path, struct buf *out, struct err *e)
{
	_cleanup_file_ FILE *f = fopen(path, "re");
	if (!f)
		return err_sys(e, errno, "%s", path);
	char chunk[4096];
	size_t n;
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
		buf_put(out, chunk, n);
		if (out->len > CONFIG_SIZE_MAX)
			return err_sys(e, EFBIG, "%s", path);
	}
	if (ferror(f))
		return err_sys(e, errno, "%s", path);
	return buf_status(out) ? err_sys(e, ENOMEM, "%s", path) : 0;
}

int config_read_file(struct config *c, const char *path, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = read_all(path, &text, e);
	if (r)
		return r;
	return ini_read(path, text.data, text.len, from_file, c, e);
}

static void put_ms(struct buf *out, uint32_t ms)
{
	buf_printf(out, "%u", ms / 1000);
	if (ms % 1000)
		buf_printf(out, ".%03u", ms % 1000);
}

static void show_key(const struct config *c, const struct key *k, struct buf *out)
{
	const void *p = field(c, k);
	buf_printf(out, "%s = ", k->name);
	if (is_text(k))
		buf_puts(out, *(char *const *)p);
	else if (k->kind == POLICY)
		buf_puts(out, restart_policy_name(*(const enum restart_policy *)p));
	else if (k->kind == PULL)
		buf_puts(out, pull_policy_name(*(const enum pull_policy *)p));
	else if (k->kind == NETWORK)
		net_choice_show(p, out);
	else if (k->kind == BYTES)
		buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)p);
	else if (k->kind == MILLIS)
		put_ms(out, *(const uint32_t *)p);
	else
		buf_printf(out, "%u", *(const uint32_t *)p);
	buf_putc(out, '\n');
}

void config_show(const struct config *c, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		show_key(c, &keys[i], out);
}
