/* Helpers of the parsers: see text.h. */
#include "runtime/parse/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct span span_trim(const char *text, size_t len)
{
	while (len && is_space(*text)) {
		text++;
		len--;
	}
	while (len && is_space(text[len - 1]))
		len--;
	return (struct span){ text, len };
}

bool span_is(struct span s, const char *word)
{
	return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

struct span span_word(struct span *s)
{
	*s = span_trim(s->p, s->n);
	struct span w = { s->p, 0 };
	while (w.n < s->n && !is_space(s->p[w.n]))
		w.n++;
	s->p += w.n;
	s->n -= w.n;
	return w;
}

bool span_line(struct span *s, struct span *line)
{
	if (!s->n)
		return false;
	const char *nl = memchr(s->p, '\n', s->n);
	*line = (struct span){ s->p, nl ? (size_t)(nl - s->p) : s->n };
	size_t taken = line->n + (nl ? 1 : 0);
	s->p += taken;
	s->n -= taken;
	return true;
}

int span_number(struct span s, uint64_t *out)
{
	uint64_t v = 0;
	bool big = false;
	if (!s.n)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return -EINVAL;
		uint64_t d = (uint64_t)(s.p[i] - '0');
		if (v > (INT64_MAX - d) / 10)
			big = true;
		else
			v = v * 10 + d;
	}
	if (big)
		return -ERANGE;
	*out = v;
	return 0;
}

bool span_address(struct span s, sa_family_t family, uint8_t out[16])
{
	char text[INET6_ADDRSTRLEN];
	if (!s.n || s.n >= sizeof text || memchr(s.p, 0, s.n))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	return inet_pton(family, text, out) == 1;
}

/* Length of the UTF-8 sequence at p, 0 when it is none: RFC 3629, section 4. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool surrogate = p[0] == 0xed && p[1] > 0x9f;
	bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
	return overlong || surrogate || beyond ? 0 : len;
}

bool span_utf8(struct span s)
{
	while (s.n) {
		size_t len = utf8_sequence((const unsigned char *)s.p, s.n);
		if (!len)
			return false;
		s.p += len;
		s.n -= len;
	}
	return true;
}

struct clip clip(struct span s)
{
	struct clip c;
	const size_t max = sizeof c.s - 4;
	if (!s.n) {
		strcpy(c.s, "\"\"");
		return c;
	}
	size_t n = s.n < max ? s.n : max;
	for (size_t i = 0; i < n; i++)
		c.s[i] = s.p[i] ? s.p[i] : '?';
	strcpy(c.s + n, s.n > max ? "..." : "");
	return c;
}
