/* Errors that carry a sentence: see err.h. */
#include "runtime/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The sentence is one line in a line-oriented file: bytes that would break the line become '?'. */
static void one_line(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (!e)
		return -code;
	va_list ap;
	va_start(ap, fmt);
	e->code = code;
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	one_line(e->text);
	return -code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
	if (!e)
		return -code;
	va_list ap;
	va_start(ap, fmt);
	e->code = code;
	int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(code));
	one_line(e->text);
	return -code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return 0;
	char old[sizeof e->text];
	memcpy(old, e->text, sizeof old);
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", old);
	one_line(e->text);
	return -e->code;
}
