/* How far podfs-image is: see progress.h. */
#include "runtime/image/progress.h"

#include "runtime/base/util.h"

#include <string.h>

void progress_say(const struct progress *p)
{
	static struct progress said;
	static uint64_t said_ns;
	uint64_t now = now_mono_ns();
	if (!said_ns)
		said_ns = now;
	if (now - said_ns < PROGRESS_MS * 1000000u || !memcmp(p, &said, sizeof said))
		return;
	char line[100];
	int n = snprintf(line, sizeof line, "P %u %u %llu %llu\n", p->done, p->layers, (unsigned long long)p->bytes,
			 (unsigned long long)p->total);
	write_all(PROGRESS_FD, line, (size_t)n);
	said = *p;
	said_ns = now;
}
