/* The names in a log's folder: see log_dir.h. */
#include "runtime/log/log_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_name(char out[LOG_NAME_LEN + 1], uint64_t start, bool index)
{
	snprintf(out, LOG_NAME_LEN + 1, "%016llx%s", (unsigned long long)start, index ? ".i" : "");
}

static bool parse_name(const char *s, uint64_t *start, bool *index)
{
	uint64_t v = 0;
	int i = 0;
	for (; i < 16; i++) {
		const char *digits = "0123456789abcdef", *d = s[i] ? strchr(digits, s[i]) : NULL;
		if (!d)
			return false;
		v = v << 4 | (uint64_t)(d - digits);
	}
	*start = v;
	*index = s[i] != 0;
	return !s[i] || !strcmp(s + i, ".i");
}

int log_dir_each(int dirfd, int (*fn)(void *arg, uint64_t start, bool index), void *arg)
{
	_Alignas(struct dirent64) char mem[2048];
	if (lseek(dirfd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		ssize_t n = getdents64(dirfd, (void *)mem, sizeof mem);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *de = (const void *)(mem + at);
			at += de->d_reclen;
			uint64_t start;
			bool index;
			if (!parse_name(de->d_name, &start, &index))
				continue;
			int r = fn(arg, start, index);
			if (r)
				return r;
		}
	}
}
