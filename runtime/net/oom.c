/* The OOM killer's choice: see oom.h. */
#include "runtime/net/oom.h"

#include "runtime/base/util.h"

#include <fcntl.h>
#include <string.h>

#define FILE_NAME "/proc/self/oom_score_adj"
#define LOW "-999"

static char before[16]; /* empty: it was not lowered */

void oom_lower(void)
{
	_cleanup_close_ int fd = open(FILE_NAME, O_RDWR | O_CLOEXEC);
	char text[sizeof before] = "";
	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 || atoi(text) <= atoi(LOW))
		return;
	if (pwrite(fd, LOW, strlen(LOW), 0) > 0)
		strcpy(before, text);
}

void oom_restore(void)
{
	if (*before)
		write_file(FILE_NAME, before, strlen(before));
}
