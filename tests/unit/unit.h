/* What the unit tests share: cmocka with the headers it wants, and text without a NUL behind it. */
#ifndef PODFS_TESTS_UNIT_H
#define PODFS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A copy of exactly len bytes, so that a sanitizer sees who reads behind them. */
static inline char *exact(const char *text, size_t len)
{
	char *p = malloc(len ? len : 1);
	assert_non_null(p);
	if (len)
		memcpy(p, text, len);
	return p;
}

/* n bytes c. */
static inline char *filled(size_t n, char c)
{
	char *p = malloc(n + 1);
	assert_non_null(p);
	memset(p, c, n);
	p[n] = 0;
	return p;
}

#define EACH(table, i) for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)

#endif
