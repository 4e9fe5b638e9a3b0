/* What skopeo said when it failed: see failure.h.
 *
 * The words are those of skopeo 1.9 (containers/image 5.22), Go's net and crypto/x509, and registries' error codes
 * (distribution specification, "Error Codes"); tests/unit/image/test_failure.c has whole texts. Newer versions put more in
 * front and keep the end.
 */
#include "runtime/image/failure.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

#define WORDS_MAX 65536
#define TAIL_MAX 320 /* of skopeo's words: the end names the cause */

/* The first row whose needle is found (in any case) says what it was. Needles hold a blank or a colon, so that no image can
 * be called so. %s in a cause is the word behind `before`. */
static const struct cause {
	const char *needle;
	int code;
	const char *cause, *before;
} causes[] = {
	{ "no space left on device", ENOSPC, "disk full" },
	{ "disk quota exceeded", EDQUOT, "disk quota exceeded" },
	{ "read-only file system", EROFS, "the disk is read-only" },
	{ "digest did not match", EBADMSG, "digest mismatch" },
	{ "does not match expected", EBADMSG, "digest mismatch" },
	{ "does not match provided manifest digest", EBADMSG, "digest mismatch" },
	{ "source image rejected: ", EPERM, "refused by policy.json" },
	{ "error loading trust policy", EPERM, "policy.json cannot be used" },
	{ " is blocked in ", EPERM, "the registry is blocked by registries.conf" },
	{ "loading registries configuration", EINVAL, "registries.conf cannot be used" },
	{ "getting username and password", EACCES, "the node's credentials cannot be read" },
	{ "unable to retrieve auth token", EACCES, "the registry wants other credentials" },
	{ ": unauthorized", EACCES, "the registry wants credentials (401)" },
	{ "from registry 401", EACCES, "the registry wants credentials (401)" },
	{ "authentication required", EACCES, "the registry wants credentials (401)" },
	{ ": denied", EACCES, "the registry denies access (403)" },
	{ "from registry 403", EACCES, "the registry denies access (403)" },
	{ "resource is denied", EACCES, "the registry denies access (403)" },
	{ "toomanyrequests: ", EREMOTEIO, "too many requests (429)" },
	{ "too many requests", EREMOTEIO, "too many requests (429)" },
	{ "manifest unknown", ENOENT, "no such tag or image" },
	{ "name unknown", ENOENT, "no such image" },
	{ "statuscode: 404", ENOENT, "no such image (404)" },
	{ "from registry 404", ENOENT, "the registry lacks a part of the image (404)" },
	{ "no image found in ", EINVAL, "the image is not there for this platform" },
	{ "server gave http response", EPROTO, "TLS: the registry speaks plain HTTP (registries.conf: insecure = true)" },
	{ "certificate signed by unknown authority", EPROTO, "TLS: certificate signed by unknown authority" },
	{ "certificate has expired", EPROTO, "TLS: certificate has expired or is not yet valid" },
	{ "x509: certificate is ", EPROTO, "TLS: certificate of another name" },
	{ "x509: cannot validate certificate", EPROTO, "TLS: certificate of another name" },
	{ "tls handshake timeout", ETIMEDOUT, "the registry does not answer" },
	{ " x509: ", EPROTO, "TLS: bad certificate" },
	{ " tls: ", EPROTO, "TLS: no handshake" },
	{ "proxyconnect tcp: ", EHOSTUNREACH, "the proxy cannot be reached" },
	{ "no such host", EHOSTUNREACH, "cannot resolve %s", ": lookup " },
	{ ": lookup ", EHOSTUNREACH, "cannot resolve %s", ": lookup " },
	{ ": connection refused", ECONNREFUSED, "connection refused" },
	{ ": no route to host", EHOSTUNREACH, "no route" },
	{ ": network is unreachable", EHOSTUNREACH, "no route" },
	{ ": i/o timeout", ETIMEDOUT, "the registry does not answer" },
	{ "deadline exceeded", ETIMEDOUT, "the registry does not answer" },
	{ " connect: ", EHOSTUNREACH, "the registry cannot be reached" },
	{ "unexpected http status: ", EREMOTEIO, "server error %s", "HTTP status: " },
	{ "status code from registry ", EREMOTEIO, "server error %s", "from registry " },
	{ "malformed http response", EREMOTEIO, "it is no registry" },
	{ "untarring file ", EINVAL, "it is no archive" },
	{ "loading tar component ", EINVAL, "it is no archive" },
	{ "connection reset by peer", EREMOTEIO, "the connection broke" },
	{ ": eof", EREMOTEIO, "the connection broke" },
	{ "unexpected eof", EREMOTEIO, "the connection broke" },
	{ "end of json input", EINVAL, "the manifest is no JSON" },
	{ "looking for beginning of value", EINVAL, "the manifest is no JSON" },
	{ "invalid source name ", EINVAL, "skopeo takes no such reference" },
	{ "no descriptor found for reference", ENOENT, "no such image" },
	{ "does not resolve to an image", ENOENT, "no such image" },
	{ ": no such file or directory", ENOENT, "no such image" },
	{ "unknown flag: ", ENOSYS, "skopeo is too old" },
	{ "", EREMOTEIO, "skopeo failed" },
};

/* msg="…" of logrus: Go's %q. */
static void unquote(char *s)
{
	char *to = s;
	for (; *s && *s != '"'; s++) {
		if (*s != '\\' || !s[1]) {
			*to++ = *s;
			continue;
		}
		s++;
		*to++ = *s == 'n' || *s == 't' ? ' ' : *s;
	}
	*to = 0;
}

/* What a terminal could take for more than text; Go's names and URLs are ASCII. */
static void make_plain(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

/* Points into text, and changes it: the message of the last line that is one. */
static char *last_message(char *text)
{
	static const char fatal[] = "level=fatal msg=";
	char *found = text;
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (*line)
			found = line;
	}
	char *msg = strstr(found, fatal);
	if (!msg)
		return found;
	msg += strlen(fatal);
	if (*msg == '"')
		unquote(++msg);
	return msg;
}

/* "(Mirrors also failed: […]): " stands before what the registry itself said. */
static char *behind_mirrors(char *msg)
{
	char *mirrors = strstr(msg, "(Mirrors also failed: "), *end = mirrors ? strstr(mirrors, "]): ") : NULL;
	return end ? end + strlen("]): ") : msg;
}

static char *behind_reference(char *msg, const char *reference)
{
	const char *name = strrchr(reference, '/');
	char *at = strstr(msg, name ? name + 1 : reference);
	char *colon = at ? strstr(at, ": ") : NULL;
	return colon ? colon + 2 : msg;
}

static const struct cause *find_cause(const char *msg)
{
	const struct cause *c = causes;
	while (!strcasestr(msg, c->needle))
		c++;
	return c;
}

/* The word behind c->before, as far as it is one. */
static struct buf word_of(const struct cause *c, const char *msg)
{
	struct buf word = { 0 };
	const char *at = c->before ? strcasestr(msg, c->before) : NULL;
	if (at) {
		at += strlen(c->before);
		size_t n = strcspn(at, " :,");
		buf_put(&word, at, n < 100 ? n : 100);
	}
	return word;
}

static void put_cause(struct buf *out, const struct cause *c, const char *msg)
{
	_cleanup_buf_ struct buf word = word_of(c, msg);
	const char *hole = strstr(c->cause, "%s");
	if (!hole) {
		buf_puts(out, c->cause);
		return;
	}
	buf_put(out, c->cause, (size_t)(hole - c->cause));
	buf_puts(out, buf_str(&word));
	buf_puts(out, hole + 2);
}

static char *copy_of(const char *text, size_t len)
{
	if (len > WORDS_MAX) {
		text += len - WORDS_MAX;
		len = WORDS_MAX;
	}
	char *s = malloc(len + 1);
	for (size_t i = 0; s && i < len; i++)
		s[i] = text[i] ? text[i] : '?';
	if (s)
		s[len] = 0;
	return s;
}

int failure_of(const char *text, size_t len, const char *reference, struct err *e)
{
	_cleanup_free_ char *words = copy_of(text, len);
	_cleanup_buf_ struct buf cause = { 0 };
	if (!words)
		return err_set(e, ENOMEM, "not enough memory");
	char *msg = behind_mirrors(last_message(words));
	make_plain(msg);
	const struct cause *c = find_cause(msg);
	put_cause(&cause, c, msg);
	const char *tail = behind_reference(msg, reference);
	size_t n = strlen(tail);
	if (!n)
		return err_set(e, c->code, "%s without a word", buf_str(&cause));
	bool cut = n > TAIL_MAX;
	return err_set(e, c->code, "%s: %s%s", buf_str(&cause), cut ? "..." : "", cut ? tail + n - TAIL_MAX : tail);
}

/* Some servers answer a TLS greeting with less than a line of HTTP. */
static const char *const no_tls[] = {
	"http: server gave HTTP response to HTTPS client",
	"tls: first record does not look like a TLS handshake",
};

bool failure_is_plain_http(const char *text, size_t len, const char *host)
{
	_cleanup_free_ char *words = copy_of(text, len);
	const char *msg = words ? last_message(words) : "";
	bool found = false;
	for (size_t i = 0; i < ARRAY_LEN(no_tls); i++) {
		_cleanup_buf_ struct buf needle = { 0 };
		buf_printf(&needle, "\"https://%s/v2/\": %s", host, no_tls[i]);
		found = found || (!buf_status(&needle) && strstr(msg, buf_str(&needle)));
	}
	return found && !strstr(msg, "(Mirrors also failed: ");
}
