/* Lists of strings: see spec.h. */
#include "runtime/spec/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void strs_free(struct strs *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strs){ 0 };
}

int strs_add(struct strs *s, const char *text, size_t len)
{
	/* The room doubles: n is a power of two whenever it is used up (the NULL behind it counted). */
	if (!(s->n & (s->n + 1))) {
		char **v = realloc(s->v, 2 * (s->n + 1) * sizeof *v);
		if (!v)
			return -ENOMEM;
		s->v = v;
	}
	char *copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, text, len);
	copy[len] = 0;
	s->v[s->n++] = copy;
	s->v[s->n] = NULL;
	return 0;
}

int strs_copy(struct strs *to, const struct strs *from)
{
	struct strs copy = { 0 };
	for (size_t i = 0; i < from->n; i++)
		if (strs_add(&copy, from->v[i], strlen(from->v[i]))) {
			strs_free(&copy);
			return -ENOMEM;
		}
	strs_free(to);
	*to = copy;
	return 0;
}

const char *strs_lookup(const struct strs *s, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = s->n; i--;)
		if (!strncmp(s->v[i], key, n) && s->v[i][n] == '=')
			return s->v[i] + n + 1;
	return NULL;
}
