/* How much a JSON text would take to read: see parse.h. */
#include "runtime/parse/parse.h"

#include <errno.h>

int json_bounds(const char *text, size_t len, unsigned depth, unsigned values, struct err *e)
{
	size_t level = 0, n = 0;
	bool quoted = false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			level++, n++;
		else if (!quoted && (c == '}' || c == ']'))
			level -= level > 0;
		else if (!quoted && c == ',')
			n++;
		if (level > depth)
			return err_set(e, EINVAL, "JSON nested deeper than %u levels", depth);
		if (n > values)
			return err_set(e, E2BIG, "JSON of more than %u values", values);
	}
	return 0;
}
