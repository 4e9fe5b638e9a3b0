/* How a container's last run went, for a podfs-pod that comes after this one: after a kill or a reboot.
 *
 * One line in logs/ID/last: STATE RESTARTS CODE SIGNAL STARTED FINISHED REASON; STATE as in W_CONTAINER, or RAN_STOPPING. Replaced by rename, without fsync(2): it is written at
 * each start and end of a run, and a power cut may cost the last seconds.
 */
#include "runtime/pod/pod.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ran_write(const struct container *c, int state, const char *reason)
{
	char tmp[sizeof c->name + 16], path[sizeof c->name + 16], line[160];
	struct pod *p = c->pod;
	if (!c->started_ns && !c->finished_ns)
		return;
	snprintf(path, sizeof path, "logs/%s/last", c->name);
	snprintf(tmp, sizeof tmp, "logs/%s/.last", c->name);
	int n = snprintf(line, sizeof line, "%d %u %d %d %" PRIu64 " %" PRIu64 " %s\n", state, c->restarts, c->exit_code,
			 c->exit_signal, c->started_ns, c->finished_ns, reason ? reason : "-");
	_cleanup_close_ int fd = openat(p->dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && !write_all(fd, line, (size_t)n))
		renameat(p->dir_fd, tmp, p->dir_fd, path);
}

void ran_inherit(struct container *c, const struct wire_in *in)
{
	if (!wire_get_u64(in, K_FINISHED, 0))
		return;
	c->inherited = true;
	c->state = ENDED;
	c->exit_code = (int)wire_get_u64(in, K_CODE, 0);
	c->exit_signal = (int)wire_get_u64(in, K_SIGNAL, 0);
	c->restarts = (unsigned)wire_get_u64(in, K_RESTARTS, 0);
	c->started_ns = wire_get_u64(in, K_STARTED, 0);
	c->finished_ns = wire_get_u64(in, K_FINISHED, 0);
}
