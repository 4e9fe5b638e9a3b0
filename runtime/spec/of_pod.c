/* The settings of a pod, but for its limits (limits.c). */
#include "runtime/base/util.h"
#include "runtime/parse/text.h"
#include "runtime/spec/rows.h"

#include <errno.h>
#include <string.h>

#define HOSTNAME_MAX 64 /* __NEW_UTS_LEN */
#define HOST_LABEL_MAX 63

static bool is_host_label(struct span s)
{
	if (!s.n || s.n > HOST_LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* RFC 1123, section 2.1, as far as sethostname(2) takes it. */
static bool is_hostname(struct span s)
{
	if (s.n > HOSTNAME_MAX)
		return false;
	for (;;) {
		const char *dot = memchr(s.p, '.', s.n);
		size_t n = dot ? (size_t)(dot - s.p) : s.n;
		if (!is_host_label((struct span){ s.p, n }))
			return false;
		if (!dot)
			return true;
		s = (struct span){ dot + 1, s.n - n - 1 };
	}
}

int hostname_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	if (!s.n)
		s = (struct span){ r.pod->name, strlen(r.pod->name) };
	else if (!is_hostname(s))
		return err_set(e, EINVAL, "%s is not a host name (letters, digits, - and ., at most %d bytes)", clip(s).s,
			       HOSTNAME_MAX);
	memcpy(r.pod->hostname, s.p, s.n);
	r.pod->hostname[s.n] = 0;
	return 0;
}

static const char *hostname(const struct pod_spec *p)
{
	return *p->hostname ? p->hostname : p->name;
}

void hostname_get(struct spec_ref r, struct buf *out)
{
	buf_printf(out, "%s\n", hostname(r.pod));
}

bool hostname_is_set(struct spec_ref r)
{
	return strcmp(hostname(r.pod), r.pod->name);
}

int grace_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	if (!span_trim(text, len).n) {
		r.pod->grace = spec_defaults.grace;
		return 0;
	}
	return parse_seconds(text, len, &r.pod->grace, e);
}

void grace_get(struct spec_ref r, struct buf *out)
{
	buf_printf(out, "%u\n", r.pod->grace);
}

/* Always written, so that another default in the config changes no pod that is there. */
bool grace_is_set(struct spec_ref r)
{
	return true;
}

int restart_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	struct span s = span_trim(text, len);
	if (!s.n) {
		r.pod->restart = spec_defaults.restart;
		return 0;
	}
	for (enum restart_policy p = RESTART_NEVER; p <= RESTART_ALWAYS; p++)
		if (span_is(s, restart_policy_name(p))) {
			r.pod->restart = p;
			return 0;
		}
	return err_set(e, EINVAL, "%s is not a restart policy (Never, OnFailure, Always)", clip(s).s);
}

void restart_get(struct spec_ref r, struct buf *out)
{
	buf_printf(out, "%s\n", restart_policy_name(r.pod->restart));
}

bool restart_is_set(struct spec_ref r)
{
	return true;
}

int share_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	static const char *const names[] = { "ipc", "net", "uts", "pid" };
	struct span all = span_trim(text, len), rest = all;
	unsigned seen = all.n ? 0 : 7;
	for (;;) {
		struct span word = span_word(&rest);
		size_t i = 0;
		if (!word.n)
			break;
		while (i < ARRAY_LEN(names) && !span_is(word, names[i]))
			i++;
		seen |= 1u << i;
	}
	if (seen != 7 && seen != 15)
		return err_set(e, EINVAL, "%s is not what containers can share: `ipc net uts` or `ipc net uts pid`",
			       clip(all).s);
	r.pod->share_pid = seen == 15;
	return 0;
}

void share_get(struct spec_ref r, struct buf *out)
{
	buf_puts(out, r.pod->share_pid ? "ipc net uts pid\n" : "ipc net uts\n");
}

bool share_is_set(struct spec_ref r)
{
	return r.pod->share_pid;
}

int labels_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return lines_set(KV_LABEL, &r.pod->labels, text, len, e);
}

void labels_get(struct spec_ref r, struct buf *out)
{
	lines_get(&r.pod->labels, out);
}

bool labels_is_set(struct spec_ref r)
{
	return r.pod->labels.n;
}

int annotations_set(struct spec_ref r, const char *text, size_t len, struct err *e)
{
	return lines_set(KV_ANNOTATION, &r.pod->annotations, text, len, e);
}

void annotations_get(struct spec_ref r, struct buf *out)
{
	lines_get(&r.pod->annotations, out);
}

bool annotations_is_set(struct spec_ref r)
{
	return r.pod->annotations.n;
}
