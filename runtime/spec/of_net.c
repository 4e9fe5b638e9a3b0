/* The settings of a pod's network: network, ports, net.ingress, net.egress.
 *
 * Whether the host can do what they say is not known here; that they do not contradict each other is.
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <string.h>

#define PORTS_MAX 1024 /* of a pod, each of a range counted */
/* Bits a second. The least is runtime/net/rate.h's; more than a petabit Kubernetes refuses too. */
#define RATE_MIN 8000u
#define RATE_MAX 1000000000000000u

#define CNI "cni:"

static const char *const mode_names[] = { [NET_BRIDGE] = "bridge", [NET_NONE] = "none", [NET_HOST] = "host" };

/* CNI's SPEC.md: an alphanumeric character, then any number of those, `_`, `.` and `-`. */
static bool is_cni_name(struct span s)
{
	if (!s.n || s.n > SPEC_CNI_MAX || !is_alnum(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "_.-"))
			return false;
	return true;
}

int net_choice_read(const char *text, size_t len, struct net_choice *out, struct err *e)
{
	const size_t prefix = strlen(CNI);
	struct span s = span_trim(text, len);
	for (enum net_mode m = NET_BRIDGE; m < NET_CNI; m++)
		if (span_is(s, mode_names[m])) {
			*out = (struct net_choice){ .mode = m };
			return 0;
		}
	if (s.n < prefix || memcmp(s.p, CNI, prefix))
		return err_set(e, EINVAL, "%s is not a network (bridge, none, host, cni:NAME)", clip(s).s);
	struct span name = { s.p + prefix, s.n - prefix };
	if (!is_cni_name(name))
		return err_set(e, EINVAL, "%s is not the name of a CNI network (letters, digits, _ . -, at most %d)",
			       clip(name).s, SPEC_CNI_MAX);
	*out = (struct net_choice){ .mode = NET_CNI };
	memcpy(out->cni, name.p, name.n);
	return 0;
}

void net_choice_show(const struct net_choice *c, struct buf *out)
{
	if (c->mode == NET_CNI)
		buf_printf(out, CNI "%s", c->cni);
	else
		buf_puts(out, mode_names[c->mode]);
}

/* A network between the host and the pod, where ports are published and rates limited. */
static bool is_between(const struct net_choice *c)
{
	return c->mode == NET_BRIDGE || c->mode == NET_CNI;
}

/* What stands against a network where it is not so; NULL: nothing. */
static const char *in_the_way(const struct pod_spec *p)
{
	if (p->ports.n)
		return "ports are published: `> ports` first";
	if (p->rate_in != LIMIT_MAX)
		return "there is a limit: `> net.ingress` first";
	return p->rate_out != LIMIT_MAX ? "there is a limit: `> net.egress` first" : NULL;
}

int network_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct net_choice c = spec_defaults.net;
	int result = span_trim(text, len).n ? net_choice_read(text, len, &c, e) : 0;
	if (result)
		return result;
	const char *why = is_between(&c) ? NULL : in_the_way(r.pod);
	if (why)
		return err_set(e, EINVAL, "%s", why);
	r.pod->net = c;
	return 0;
}

void network_get(struct spec_ref r, struct buf *out)
{
	net_choice_show(&r.pod->net, out);
	buf_putc(out, '\n');
}

/* Always written, so that another default in the config changes no pod that is there. */
bool network_is_set(struct spec_ref r)
{
	return true;
}

/* --- ports --- */

struct ports {
	struct port v[PORTS_MAX];
	size_t n, count; /* lines; ports with those of ranges */
};

/* As for a port that somebody else holds. */
static int overlap(const struct port *a, const struct port *b, struct err *e)
{
	char x[PORT_TEXT], y[PORT_TEXT];
	format_port(a, x);
	format_port(b, y);
	if (!strcmp(x, y))
		return err_set(e, EADDRINUSE, "%s is there twice", x);
	return err_set(e, EADDRINUSE, "%s and %s overlap", x, y);
}

static int add_port(struct ports *all, struct span line, struct err *e)
{
	struct port p;
	int r = parse_port(line.p, line.n, &p, e);
	if (r)
		return r;
	for (size_t i = 0; i < all->n; i++)
		if (ports_overlap(&all->v[i], &p))
			return overlap(&all->v[i], &p, e);
	if (all->count + p.count > PORTS_MAX)
		return err_set(e, E2BIG, "more than %d ports", PORTS_MAX);
	all->count += p.count;
	all->v[all->n++] = p;
	return 0;
}

static int read_ports(struct ports *all, const char *text, size_t len, struct err *e)
{
	struct span rest = { text, len }, line;
	int r = 0;
	while (!r && span_line(&rest, &line)) {
		line = span_trim(line.p, line.n);
		if (line.n)
			r = add_port(all, line, e);
	}
	return r;
}

static int keep_ports(struct strs *to, const struct ports *all, struct err *e)
{
	struct strs s = { 0 };
	for (size_t i = 0; i < all->n; i++) {
		char line[PORT_TEXT];
		format_port(&all->v[i], line);
		if (strs_add(&s, line, strlen(line))) {
			strs_free(&s);
			return err_set(e, ENOMEM, "no memory");
		}
	}
	strs_free(to);
	*to = s;
	return 0;
}

/* `network is host: …`: why ports and rates have nothing to stand on. */
static int refuse_here(const struct pod_spec *p, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "network is %s: %s", mode_names[p->net.mode], why);
}

int ports_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	_cleanup_free_ struct ports *all = calloc(1, sizeof *all);
	if (!all)
		return err_set(e, ENOMEM, "no memory");
	int result = read_ports(all, text, len, e);
	if (!result && all->n && r.pod->net.mode == NET_HOST)
		result = refuse_here(r.pod, "its ports are the host's already, none can be published", e);
	else if (!result && all->n && !is_between(&r.pod->net))
		result = refuse_here(r.pod, "no port can be published", e);
	return result ? result : keep_ports(&r.pod->ports, all, e);
}

void ports_get(struct spec_ref r, struct buf *out)
{
	lines_get(&r.pod->ports, out);
}

bool ports_is_set(struct spec_ref r)
{
	return r.pod->ports.n;
}

/* --- rates --- */

static int set_rate(const struct pod_spec *p, uint64_t *to, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	uint64_t rate = LIMIT_MAX;
	int r = s.n ? parse_bytes(text, len, &rate, e) : 0;
	if (r)
		return r;
	if (rate < RATE_MIN)
		return err_set(e, EINVAL, "%s is too little: a rate is at least %u bits a second", clip(s).s, RATE_MIN);
	if (rate != LIMIT_MAX && rate > RATE_MAX)
		return err_set(e, EINVAL, "%s is too much (max: no limit)", clip(s).s);
	if (rate != LIMIT_MAX && !is_between(&p->net))
		return refuse_here(p, "no rate can be limited", e);
	*to = rate;
	return 0;
}

static void get_rate(uint64_t rate, struct buf *out)
{
	if (rate == LIMIT_MAX)
		buf_puts(out, "max\n");
	else
		buf_printf(out, "%llu\n", (unsigned long long)rate);
}

int net_ingress_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return set_rate(r.pod, &r.pod->rate_in, text, len, e);
}

void net_ingress_get(struct spec_ref r, struct buf *out)
{
	get_rate(r.pod->rate_in, out);
}

bool net_ingress_is_set(struct spec_ref r)
{
	return r.pod->rate_in != LIMIT_MAX;
}

int net_egress_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return set_rate(r.pod, &r.pod->rate_out, text, len, e);
}

void net_egress_get(struct spec_ref r, struct buf *out)
{
	get_rate(r.pod->rate_out, out);
}

bool net_egress_is_set(struct spec_ref r)
{
	return r.pod->rate_out != LIMIT_MAX;
}
