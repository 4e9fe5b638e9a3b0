/* Image references: which image a written name means.
 *
 * The grammar and the completion of short names are those of the OCI distribution
 * project's reference package (github.com/distribution/reference: reference.go, normalize.go), which Docker,
 * containerd and containers-registries(5) follow; transports are those of containers-transports(5). Whether
 * there is such an image is not known here.
 */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define REPOSITORY_MAX 255 /* RepositoryNameTotalLengthMax */
#define OFFICIAL "library/" /* where Docker Hub's images without a user stand */
#define TAG_MAX 128
#define NO_MEMORY "no memory for the image reference"
#define DOCKER "docker://" /* containers-transports(5) */

/* The parts of a reference as it was written; an absent one has p NULL. */
struct parts {
	struct span domain, path, tag, digest;
};

static int refuse(struct span ref, const char *why, struct err *e)
{
	return err_set(e, EINVAL, "%s is not an image reference: %s", clip(ref).s, why);
}

static struct span until(struct span s, const char *end)
{
	return (struct span){ s.p, (size_t)(end - s.p) };
}

static struct span after(struct span s, const char *at)
{
	return (struct span){ at + 1, (size_t)(s.p + s.n - (at + 1)) };
}

static const char *first(struct span s, char c)
{
	return s.n ? memchr(s.p, c, s.n) : NULL;
}

/* One part of a path: [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'. */
static bool path_component(struct span s)
{
	if (!s.n || !(is_lower(s.p[0]) || is_digit(s.p[0])))
		return false;
	for (size_t i = 0; i < s.n;) {
		size_t sep = i;
		while (i < s.n && !is_lower(s.p[i]) && !is_digit(s.p[i]))
			i++;
		size_t n = i - sep;
		bool dashes = true;
		for (size_t k = sep; k < i; k++)
			dashes = dashes && s.p[k] == '-';
		bool short_one = (n == 1 && (s.p[sep] == '.' || s.p[sep] == '_')) ||
				 (n == 2 && s.p[sep] == '_' && s.p[sep + 1] == '_');
		if (i == s.n || (!dashes && !short_one))
			return false;
		while (i < s.n && (is_lower(s.p[i]) || is_digit(s.p[i])))
			i++;
	}
	return true;
}

static bool valid_path(struct span s)
{
	for (;;) {
		const char *slash = first(s, '/');
		if (!path_component(slash ? until(s, slash) : s))
			return false;
		if (!slash)
			return true;
		s = after(s, slash);
	}
}

static bool host_label(struct span s)
{
	if (!s.n || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

static bool host_name(struct span s)
{
	const char *dot;
	while ((dot = first(s, '.'))) {
		if (!host_label(until(s, dot)))
			return false;
		s = after(s, dot);
	}
	return host_label(s);
}

static bool ipv6_literal(struct span s)
{
	if (s.n < 4 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	for (size_t i = 1; i < s.n - 1; i++)
		if (s.p[i] != ':' && !is_digit(s.p[i]) && !is_one_of(s.p[i], "abcdefABCDEF"))
			return false;
	return true;
}

/* HOST[:PORT] */
static bool valid_domain(struct span s)
{
	const char *bracket = first(s, ']');
	const char *colon = first(bracket ? after(s, bracket) : s, ':');
	struct span host = colon ? until(s, colon) : s;
	uint64_t port;
	if (colon && (span_number(after(s, colon), &port) || port > 65535))
		return false;
	return ipv6_literal(host) || host_name(host);
}

static bool valid_tag(struct span s)
{
	if (!s.n || s.n > TAG_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!is_alnum(c) && c != '_' && (!i || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

static bool hex_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

/* The registered algorithms of the OCI image specification, descriptor.md. */
static bool valid_digest(struct span s)
{
	const char *colon = first(s, ':');
	if (!colon)
		return false;
	struct span algorithm = until(s, colon), hex = after(s, colon);
	size_t want = span_is(algorithm, "sha256") ? 64 : span_is(algorithm, "sha384") ? 96 :
		      span_is(algorithm, "sha512") ? 128 : 0;
	return want && hex.n == want && hex_digits(hex);
}

/* The part before the first slash is a registry only if it looks like one. */
static bool is_registry(struct span s)
{
	if (span_is(s, "localhost") || first(s, '.') || first(s, ':'))
		return true;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 'A' && s.p[i] <= 'Z')
			return true;
	return false;
}

static struct parts take_apart(struct span s)
{
	struct parts p = { 0 };
	const char *at = first(s, '@');
	if (at) {
		p.digest = after(s, at);
		s = until(s, at);
	}
	const char *slash = s.n ? memrchr(s.p, '/', s.n) : NULL;
	const char *colon = first(slash ? after(s, slash) : s, ':');
	if (colon) {
		p.tag = after(s, colon);
		s = until(s, colon);
	}
	slash = first(s, '/');
	if (slash && is_registry(until(s, slash))) {
		p.domain = until(s, slash);
		s = after(s, slash);
	}
	p.path = s;
	return p;
}

static bool is_hub(const struct parts *p)
{
	return !p->domain.p || span_is(p->domain, "docker.io") || span_is(p->domain, "index.docker.io");
}

static bool is_official(const struct parts *p)
{
	return is_hub(p) && !first(p->path, '/');
}

static int check_parts(struct span ref, const struct parts *p, struct err *e)
{
	if (!ref.n)
		return refuse(ref, "it is empty", e);
	if (p->domain.p && !valid_domain(p->domain))
		return refuse(ref, "before the first slash stands no registry", e);
	if (p->path.n + (is_official(p) ? strlen(OFFICIAL) : 0) > REPOSITORY_MAX)
		return refuse(ref, "the name is longer than 255 bytes", e);
	if (!valid_path(p->path))
		return refuse(ref, "a name has a-z, 0-9, and between them . _ __ or - (try nginx:alpine)", e);
	if (p->path.n == 64 && !p->domain.p && hex_digits(p->path))
		return refuse(ref, "64 hexadecimal digits are an image ID, not a name", e);
	if (p->tag.p && !valid_tag(p->tag))
		return refuse(ref, "a tag has at most 128 of letters, digits, _ . -", e);
	if (p->digest.p && !valid_digest(p->digest))
		return refuse(ref, "a digest is sha256: and 64 hexadecimal digits", e);
	return 0;
}

/* With tag and digest the digest alone says which image: Docker drops the tag too. */
static void put_canonical(const struct parts *p, struct buf *out)
{
	if (is_hub(p))
		buf_puts(out, "docker.io");
	else
		buf_put(out, p->domain.p, p->domain.n);
	buf_puts(out, is_official(p) ? "/" OFFICIAL : "/");
	buf_put(out, p->path.p, p->path.n);
	buf_putc(out, p->digest.p ? '@' : ':');
	if (p->digest.p)
		buf_put(out, p->digest.p, p->digest.n);
	else if (p->tag.p)
		buf_put(out, p->tag.p, p->tag.n);
	else
		buf_puts(out, "latest");
}

/* Those that lead to a place on this host. docker:// is none of them: a name means the same with it and without. */
static const struct transport {
	const char *prefix;
	size_t keep; /* bytes at its end that belong to the place */
} transports[] = {
	{ "dir:/", 1 },
	{ "oci:/", 1 },
	{ "oci-archive:/", 1 },
	{ "docker-archive:/", 1 },
	{ "containers-storage:", 0 },
};

static bool has_prefix(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.n >= n && !memcmp(s.p, prefix, n);
}

static const struct transport *transport_of(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (has_prefix(s, transports[i].prefix))
			return &transports[i];
	return NULL;
}

/* The path is a path in podfs' own tree too (.node/images/oci:/srv/x): doubled slashes and one at the end go. */
static int put_place(struct span s, struct span place, struct buf *out, struct err *e)
{
	const char *separator = "";
	if (place.p[0] == '/')
		buf_putc(out, '/');
	for (const char *slash = place.p; slash; place = slash ? after(place, slash) : place) {
		slash = first(place, '/');
		struct span part = slash ? until(place, slash) : place;
		if (span_is(part, ".") || span_is(part, ".."))
			return refuse(s, "its path may not hold . or ..", e);
		if (!part.n)
			continue;
		buf_puts(out, separator);
		buf_put(out, part.p, part.n);
		separator = "/";
	}
	return 0;
}

static int check_place(struct span s, struct span place, struct err *e)
{
	if (!place.n)
		return refuse(s, "nothing follows the transport", e);
	if (place.n >= PATH_MAX)
		return err_set(e, ENAMETOOLONG, "%s: the path is too long", clip(s).s);
	for (size_t i = 0; i < place.n; i++)
		if ((unsigned char)place.p[i] < 0x20)
			return refuse(s, "control character in the path", e);
	return 0;
}

static int local_reference(struct span s, const struct transport *t, struct image_ref *out, struct err *e)
{
	size_t scheme = strlen(t->prefix) - t->keep;
	struct span place = { s.p + scheme, s.n - scheme };
	_cleanup_buf_ struct buf b = { 0 };
	int r = check_place(s, place, e);
	if (r)
		return r;
	buf_put(&b, s.p, scheme);
	r = put_place(s, place, &b, e);
	if (r)
		return r;
	if (buf_status(&b))
		return err_set(e, ENOMEM, NO_MEMORY);
	bool is_dir = has_prefix(s, "dir:");
	struct image_ref n = {
		.canonical = strdup(b.data), .dir = is_dir ? strdup(b.data + scheme) : NULL, .local = true,
	};
	n.source = take_ptr(b.data);
	if (!n.canonical || !n.dir != !is_dir) {
		image_ref_free(&n);
		return err_set(e, ENOMEM, NO_MEMORY);
	}
	*out = n;
	return 0;
}

static int registry_reference(struct span s, struct image_ref *out, struct err *e)
{
	struct parts p = take_apart(s);
	int r = check_parts(s, &p, e);
	if (r)
		return r;
	_cleanup_buf_ struct buf name = { 0 }, source = { 0 };
	put_canonical(&p, &name);
	buf_puts(&source, DOCKER);
	buf_puts(&source, buf_str(&name));
	if (buf_status(&name) || buf_status(&source))
		return err_set(e, ENOMEM, NO_MEMORY);
	*out = (struct image_ref){ .canonical = take_ptr(name.data), .source = take_ptr(source.data) };
	return 0;
}

int parse_reference(const char *text, size_t len, struct image_ref *out, struct err *e)
{
	struct span s = span_trim(text, len);
	if (has_prefix(s, DOCKER))
		return registry_reference(after(s, s.p + strlen(DOCKER) - 1), out, e);
	const struct transport *t = transport_of(s);
	return t ? local_reference(s, t, out, e) : registry_reference(s, out, e);
}

const char *reference_name(const char *reference)
{
	return strncmp(reference, DOCKER, strlen(DOCKER)) ? reference : reference + strlen(DOCKER);
}

void image_ref_free(struct image_ref *r)
{
	free(r->canonical);
	free(r->source);
	free(r->dir);
	*r = (struct image_ref){ 0 };
}
