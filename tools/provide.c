/* What a server is provided with: see provide.h. */
#include "tools/provide.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int find_server(char path[PATH_MAX], struct err *e)
{
	const char *env = getenv("PODFS_LIBEXEC");
	if (env && *env) {
		snprintf(path, PATH_MAX, "%s/podfs-server", env);
		return access(path, X_OK) ? err_sys(e, errno, "%s", path) : 0;
	}
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = 0;
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	static const char *const places[] = { "/../fs/podfs-server", "/../libexec/podfs/podfs-server" };
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (snprintf(path, PATH_MAX, "%s%s", self, places[i]) < PATH_MAX && !access(path, X_OK))
			return 0;
	snprintf(path, PATH_MAX, "%s/podfs-server", PODFS_LIBEXECDIR);
	return access(path, X_OK) ? err_sys(e, errno, "%s", path) : 0;
}

int ledger_make(int *memfd, int *hand)
{
	int fds[2];
	char name[32];
	*memfd = memfd_create("podfs-ledger", MFD_CLOEXEC);
	if (*memfd < 0 || pipe2(fds, O_CLOEXEC))
		return -errno;
	/* Both ends as one descriptor, which never is at its end. */
	snprintf(name, sizeof name, "/proc/self/fd/%d", fds[0]);
	*hand = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r = *hand < 0 ? -errno : 0;
	close(fds[0]);
	close(fds[1]);
	return r;
}
