/* /etc/hosts and /etc/resolv.conf of a pod's containers: the settings hosts and resolv.conf.
 *
 * Each is made by podfs until somebody writes it; then it is what was written, checked line by line. The lines of
 * the pod's own name are the exception: where hosts has them as podfs makes them, one behind the other, they are
 * kept as what they stand for, because hostname and addresses change while the other lines stay.
 */
#include "runtime/base/util.h"
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <string.h>

#define OWN '@'      /* a line of pod_spec.hosts that stands for those of the pod's own name; no line of a user's is just that */
#define OWN_LINES 8  /* at most */
#define OWN_MAX 1024 /* bytes of them: an address, a tab, a host name and a newline each */
#define NAME_MAX_DNS 253

/* --- the lines that podfs makes --- */

static void put_own(const struct pod_spec *p, struct buf *out)
{
	const char *name = *p->hostname ? p->hostname : p->name;
	if (!p->ip.n)
		buf_printf(out, "127.0.0.1\t%s\n", name);
	for (size_t i = 0; i < p->ip.n && i < OWN_LINES; i++)
		buf_printf(out, "%.*s\t%s\n", (int)strcspn(p->ip.v[i], "/"), p->ip.v[i], name);
}

static const char *const local[] = { "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback" };

static void put_made(const struct pod_spec *p, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		buf_printf(out, "%s\n", local[i]);
	put_own(p, out);
}

static bool is_own(struct span line)
{
	for (size_t i = 0; i < ARRAY_LEN(local); i++)
		if (span_is(line, local[i]))
			return true;
	return line.n == 1 && line.p[0] == OWN;
}

void hosts_text(const struct pod_spec *p, struct buf *out)
{
	if (!p->hosts) {
		put_made(p, out);
		return;
	}
	struct span rest = { p->hosts, strlen(p->hosts) }, line;
	while (span_line(&rest, &line)) {
		if (line.n == 1 && line.p[0] == OWN)
			put_own(p, out);
		else
			buf_put(out, line.p, line.n + 1);
	}
}

void resolv_text(const struct pod_spec *p, struct buf *out)
{
	buf_puts(out, p->resolv ? p->resolv : p->resolv_made ? p->resolv_made : "");
}

static struct span without_comment(struct span line)
{
	const char *hash = line.n ? memchr(line.p, '#', line.n) : NULL;
	return span_trim(line.p, hash ? (size_t)(hash - line.p) : line.n);
}

int hosts_others(const struct pod_spec *p, struct strs *out)
{
	struct span rest = { p->hosts, p->hosts ? strlen(p->hosts) : 0 }, line;
	while (span_line(&rest, &line)) {
		struct span words = without_comment(line);
		if (words.n && !is_own(line) && strs_add(out, words.p, words.n))
			return -ENOMEM;
	}
	return 0;
}

/* --- what is written --- */

typedef int check_line_fn(struct span line, struct err *e);

static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool is_address(struct span s)
{
	uint8_t addr[16];
	return span_address(s, AF_INET, addr) || span_address(s, AF_INET6, addr);
}

/* Names of hosts files are freer than DNS's: with underscores, too. */
static bool is_name(struct span s)
{
	if (s.n > NAME_MAX_DNS || !is_alnum(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "-_."))
			return false;
	return true;
}

static int check_hosts_line(struct span line, struct err *e)
{
	struct span rest = without_comment(line);
	if (!rest.n)
		return 0;
	struct span word = span_word(&rest);
	if (!is_address(word))
		return err_set(e, EINVAL, "%s is not an IP address (a line is ADDRESS NAME...)", clip(word).s);
	if (!span_trim(rest.p, rest.n).n)
		return err_set(e, EINVAL, "behind %s stands no name", clip(word).s);
	while ((word = span_word(&rest)).n)
		if (!is_name(word))
			return err_set(e, EINVAL, "%s is not a host name", clip(word).s);
	return 0;
}

/* resolv.conf(5); a link-local address may have its link behind it. */
static int check_nameserver(struct span *rest, struct err *e)
{
	struct span word = span_word(rest), addr = word;
	const char *scope = word.n ? memchr(word.p, '%', word.n) : NULL;
	if (scope)
		addr.n = (size_t)(scope - word.p);
	if (!is_address(addr))
		return err_set(e, EINVAL, "%s is not an IP address (a line is nameserver ADDRESS)", clip(word).s);
	struct span more = span_trim(rest->p, rest->n);
	if (more.n && !is_one_of(more.p[0], "#;"))
		return err_set(e, EINVAL, "each name server has a line of its own: %s", clip(more).s);
	return 0;
}

static int check_resolv_line(struct span line, struct err *e)
{
	static const char *const others[] = { "search", "domain", "options", "sortlist" };
	struct span rest = span_trim(line.p, line.n);
	if (!rest.n || is_one_of(rest.p[0], "#;"))
		return 0;
	struct span word = span_word(&rest);
	if (span_is(word, "nameserver"))
		return check_nameserver(&rest, e);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (span_is(word, others[i]))
			return span_trim(rest.p, rest.n).n ? 0 : err_set(e, EINVAL, "behind %s stands nothing", others[i]);
	return err_set(e, EINVAL, "%s is none of nameserver, search, domain, options, sortlist", clip(word).s);
}

static int check_line(check_line_fn *check, struct span line, struct err *e)
{
	if (!is_plain(line))
		return err_set(e, EINVAL, "%s: a control character", clip(line).s);
	return check(line, e);
}

static bool starts_with(struct span s, const struct buf *b)
{
	return b->len && s.n >= b->len && !memcmp(s.p, b->data, b->len);
}

/* Checks each line of text, which ends in a newline, and appends it to out. own (it may be empty) is found once. */
static int take_lines(struct span rest, check_line_fn *check, const struct buf *own, struct buf *out, struct err *e)
{
	struct span line;
	bool found = false;
	int r = 0;
	while (!r && rest.n) {
		if (!found && starts_with(rest, own)) {
			rest = (struct span){ rest.p + own->len, rest.n - own->len };
			buf_printf(out, "%c\n", OWN);
			found = true;
			continue;
		}
		span_line(&rest, &line);
		r = check_line(check, line, e);
		buf_put(out, line.p, line.n + 1);
	}
	return r;
}

/* With a newline behind the last line and no empty ones there. */
static void put_lines(struct span text, struct buf *out)
{
	while (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	buf_put(out, text.p, text.n);
	if (text.n)
		buf_putc(out, '\n');
}

static bool is_same(const struct buf *a, const struct buf *b)
{
	return !strcmp(buf_str(a), buf_str(b));
}

/* What was written becomes *to; NULL where it is empty or what podfs makes anyhow. */
static int set_text(char **to, struct span text, check_line_fn *check, const struct buf *made, const struct buf *own,
		    struct err *e)
{
	_cleanup_buf_ struct buf all = { 0 }, kept = { 0 };
	put_lines(text, &all);
	int r = take_lines((struct span){ buf_str(&all), all.len }, check, own, &kept, e);
	if (r)
		return r;
	if (kept.len > SPEC_VALUE_MAX - OWN_MAX) /* the pod's own lines may become longer: it must be readable then */
		return err_set(e, E2BIG, "more than %d bytes", SPEC_VALUE_MAX - OWN_MAX);
	bool written = span_trim(text.p, text.n).n && !is_same(&all, made);
	char *copy = written ? strdup(buf_str(&kept)) : NULL;
	if (buf_status(&all) || buf_status(&kept) || buf_status(made) || (written && !copy)) {
		free(copy);
		return err_set(e, ENOMEM, "no memory");
	}
	free(*to);
	*to = copy;
	return 0;
}

int hosts_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	_cleanup_buf_ struct buf made = { 0 }, own = { 0 };
	put_made(r.pod, &made);
	put_own(r.pod, &own);
	return set_text(&r.pod->hosts, (struct span){ text, len }, check_hosts_line, &made, &own, e);
}

void hosts_get(struct spec_ref r, struct buf *out)
{
	hosts_text(r.pod, out);
}

bool hosts_is_set(struct spec_ref r)
{
	return r.pod->hosts;
}

int resolv_conf_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	_cleanup_buf_ struct buf made = { 0 };
	const struct buf none = { 0 };
	buf_puts(&made, r.pod->resolv_made ? r.pod->resolv_made : "");
	return set_text(&r.pod->resolv, (struct span){ text, len }, check_resolv_line, &made, &none, e);
}

void resolv_conf_get(struct spec_ref r, struct buf *out)
{
	resolv_text(r.pod, out);
}

bool resolv_conf_is_set(struct spec_ref r)
{
	return r.pod->resolv;
}
