/* What pod.yaml says of a pod's network: see show_yaml.h.
 *
 * Kubernetes takes a manifest as a whole or not at all, and is stricter than hosts(5) and resolv.conf(5): a line that it
 * would refuse is left out (pkg/apis/core/validation: ValidateHostAliases, validatePodDNSConfig, validatePodIPs).
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_yaml.h"

#include "runtime/base/util.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define NAMESERVERS_MAX 3
#define SEARCHES_MAX 32
#define SEARCHES_LEN_MAX 2048
#define DNS_NAME_MAX 253
#define BLANKS " \t\n"

/* The next word of *at, up to blanks, into word; false at the end. Too long a one is cut and is then no DNS name. */
static bool next_word(const char **at, char word[DNS_NAME_MAX + 2])
{
	*at += strspn(*at, BLANKS);
	size_t n = strcspn(*at, BLANKS);
	snprintf(word, DNS_NAME_MAX + 2, "%.*s", (int)n, *at);
	*at += n;
	return n;
}

/* RFC 1123 subdomain: in lower case, as Kubernetes wants it. */
static bool is_subdomain(const char *name)
{
	size_t n = 0;
	if (strlen(name) > DNS_NAME_MAX)
		return false;
	for (;; name += n + 1) {
		char label[SPEC_NAME_MAX + 2];
		n = strcspn(name, ".");
		snprintf(label, sizeof label, "%.*s", (int)n, name);
		if (name_check("host", label, NULL))
			return false;
		if (!name[n])
			return true;
	}
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* --- hostAliases --- */

struct aliases {
	struct yaml *y;
	bool begun;
};

/* One line of hosts_others: an address and its names. */
static void alias(struct aliases *a, const char *line)
{
	char addr[DNS_NAME_MAX + 2], name[DNS_NAME_MAX + 2];
	bool any = false;
	next_word(&line, addr);
	while (next_word(&line, name)) {
		lower(name);
		if (!is_subdomain(name))
			continue;
		if (!a->begun)
			yaml_list(a->y, "hostAliases");
		a->begun = true;
		if (!any) {
			yaml_item(a->y);
			yaml_str(a->y, "ip", addr);
			yaml_list(a->y, "hostnames");
		}
		any = true;
		yaml_scalar(a->y, name);
	}
	if (any) {
		yaml_end(a->y);
		yaml_end(a->y);
	}
}

static void host_aliases(struct yaml *y, const struct pod_spec *s)
{
	struct aliases a = { .y = y };
	struct strs others = { 0 };
	if (hosts_others(s, &others))
		y->out->failed = true;
	for (size_t i = 0; i < others.n; i++)
		alias(&a, others.v[i]);
	if (a.begun)
		yaml_end(y);
	strs_free(&others);
}

/* --- dnsConfig --- */

struct dns {
	struct strs servers, searches, options;
	bool failed;
};

static void add(struct dns *d, struct strs *to, const char *word)
{
	d->failed |= strs_add(to, word, strlen(word)) != 0;
}

/* Of search and domain the last one counts. */
static void searches(struct dns *d, const char *rest)
{
	char word[DNS_NAME_MAX + 2];
	size_t len = 0;
	strs_free(&d->searches);
	while (d->searches.n < SEARCHES_MAX && next_word(&rest, word)) {
		size_t n = strlen(word);
		if (n > 1 && word[n - 1] == '.')
			word[n - 1] = 0;
		lower(word);
		len += n + 1;
		if (is_subdomain(word) && len <= SEARCHES_LEN_MAX)
			add(d, &d->searches, word);
	}
}

static void dns_line(struct dns *d, const char *line)
{
	char word[DNS_NAME_MAX + 2];
	if (!next_word(&line, word))
		return;
	if (!strcmp(word, "nameserver") && next_word(&line, word)) {
		if (d->servers.n < NAMESERVERS_MAX && !strchr(word, '%'))
			add(d, &d->servers, word);
	} else if (!strcmp(word, "search") || !strcmp(word, "domain")) {
		searches(d, line);
	} else if (!strcmp(word, "options")) {
		while (next_word(&line, word))
			add(d, &d->options, word);
	}
}

static void read_dns(struct dns *d, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, n);
		if (line)
			dns_line(d, line);
		d->failed |= !line;
		text += n + (text[n] == '\n');
	}
}

static void scalars(struct yaml *y, const char *key, const struct strs *s)
{
	if (!s->n)
		return;
	yaml_list(y, key);
	for (size_t i = 0; i < s->n; i++)
		yaml_scalar(y, s->v[i]);
	yaml_end(y);
}

/* `ndots:2`, `rotate`. */
static void options(struct yaml *y, const struct strs *s)
{
	if (!s->n)
		return;
	yaml_list(y, "options");
	for (size_t i = 0; i < s->n; i++) {
		size_t n = strcspn(s->v[i], ":");
		yaml_item(y);
		yaml_strn(y, "name", s->v[i], n);
		if (s->v[i][n])
			yaml_str(y, "value", s->v[i] + n + 1);
		yaml_end(y);
	}
	yaml_end(y);
}

/* Policy None needs a name server. */
static void dns_config(struct yaml *y, const struct pod_spec *s)
{
	struct dns d = { 0 };
	if (!s->resolv)
		return;
	read_dns(&d, s->resolv);
	y->out->failed |= d.failed;
	yaml_word(y, "dnsPolicy", d.servers.n ? "None" : "Default");
	if (d.servers.n || d.searches.n || d.options.n) {
		yaml_map(y, "dnsConfig");
		scalars(y, "nameservers", &d.servers);
		scalars(y, "searches", &d.searches);
		options(y, &d.options);
		yaml_end(y);
	}
	strs_free(&d.servers);
	strs_free(&d.searches);
	strs_free(&d.options);
}

void yaml_network(struct yaml *y, const struct pod_spec *s)
{
	if (s->net.mode == NET_HOST)
		yaml_bool(y, "hostNetwork", true);
	host_aliases(y, s);
	dns_config(y, s);
}

/* --- ports --- */

static void one_port(struct yaml *y, const struct port *p, unsigned i)
{
	char addr[INET6_ADDRSTRLEN];
	yaml_item(y);
	yaml_int(y, "containerPort", p->pod + i);
	yaml_int(y, "hostPort", p->host + i);
	if (p->family != AF_UNSPEC && inet_ntop(p->family, p->addr, addr, sizeof addr))
		yaml_str(y, "hostIP", addr);
	yaml_word(y, "protocol", p->proto == IPPROTO_UDP ? "UDP" : "TCP");
	yaml_end(y);
}

void yaml_ports(struct yaml *y, const struct pod_spec *s)
{
	if (!s->ports.n)
		return;
	yaml_list(y, "ports");
	for (size_t i = 0; i < s->ports.n; i++) {
		struct port p = { 0 };
		parse_port(s->ports.v[i], strlen(s->ports.v[i]), &p, NULL);
		for (unsigned k = 0; k < p.count; k++)
			one_port(y, &p, k);
	}
	yaml_end(y);
}

/* --- status --- */

/* Of each family one: Kubernetes takes no second. */
void yaml_addresses(struct yaml *y, const struct pod *p)
{
	char ip[POD_IPS][46];
	size_t n = pod_ips(p, ip);
	bool seen[2] = { false, false };
	if (!n)
		return;
	if (p->spec->net.mode == NET_HOST)
		yaml_str(y, "hostIP", ip[0]);
	yaml_str(y, "podIP", ip[0]);
	yaml_list(y, "podIPs");
	for (size_t i = 0; i < n; i++) {
		bool v6 = strchr(ip[i], ':');
		if (seen[v6])
			continue;
		seen[v6] = true;
		yaml_item(y);
		yaml_str(y, "ip", ip[i]);
		yaml_end(y);
	}
	yaml_end(y);
}
