/* What the parsers share: a piece of text without a NUL behind it, and how it is shown in an error.
 *
 * Owns no memory. Internal to runtime/parse and runtime/spec.
 */
#ifndef PODFS_PARSE_TEXT_H
#define PODFS_PARSE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct span {
	const char *p;
	size_t n;
};

/* isspace(3) of the C locale, which is also what inih strips. */
static inline bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool is_alnum(char c)
{
	return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* Not strchr alone: that finds the NUL too. */
static inline bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

struct span span_trim(const char *text, size_t len);   /* without white space at both ends */
bool span_is(struct span s, const char *word);
/* Takes the next word (up to white space) off the front of *s; an empty one at the end. */
struct span span_word(struct span *s);
/* Takes the next line off the front of *s, without its newline; false at the end. */
bool span_line(struct span *s, struct span *line);
bool span_utf8(struct span s); /* RFC 3629 */

/* 0, -EINVAL (not digits only, empty), -ERANGE (over 63 bits). */
int span_number(struct span s, uint64_t *out);

/* An address of that family, AF_INET or AF_INET6, as inet_pton(3) reads it: into out, which is else left alone. */
bool span_address(struct span s, sa_family_t family, uint8_t out[16]);

/* The text as an error shows it: short, `""` when empty. For use within one expression. */
struct clip {
	char s[64];
};
struct clip clip(struct span s);

#endif
