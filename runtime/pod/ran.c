/* How a container's last run went, and the one before: for people, and for a podfs-pod that comes after this one, after a kill or a
 * reboot.
 *
 * logs/ID/last: a line STATE RESTARTS CODE SIGNAL STARTED FINISHED REASON; STATE as in W_CONTAINER, or RAN_STOPPING; and, if there was
 * a run before, a line CODE SIGNAL STARTED FINISHED REASON. Replaced by rename, without fsync(2): it is written at each start and
 * end of a run, and a power cut may cost the last seconds.
 */
#include "runtime/pod/pod.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *ran_reason(const struct container *c)
{
	struct wire_in plan = plan_view(c->plan);
	if (c->inherited)
		return wire_get_str(&plan, K_REASON);
	if (c->oom_killed)
		return "OOMKilled";
	if (c->failed)
		return c->failure_code == EXIT_START_FAILED ? "StartError" : "ContainerCannotRun";
	return c->exit_code ? "Error" : "Completed";
}

static void set_last(struct container *c, int code, int sig, uint64_t started_ns, uint64_t finished_ns, const char *reason)
{
	c->last = (struct run_end){ .code = code, .signal = sig, .started_ns = started_ns, .finished_ns = finished_ns };
	snprintf(c->last.reason, sizeof c->last.reason, "%s", reason && *reason ? reason : "-");
}

void ran_keep(struct container *c)
{
	if (c->exit_code >= 0)
		set_last(c, c->exit_code, c->exit_signal, c->started_ns, c->finished_ns, ran_reason(c));
}

void ran_put(const struct container *c, struct wire_out *o)
{
	const struct run_end *l = &c->last;
	if (l->code < 0)
		return;
	wire_u64(o, K_LAST_CODE, (uint64_t)l->code);
	wire_u64(o, K_LAST_SIGNAL, (uint64_t)l->signal);
	wire_u64(o, K_LAST_STARTED, l->started_ns);
	wire_u64(o, K_LAST_FINISHED, l->finished_ns);
	wire_str(o, K_LAST_REASON, l->reason);
}

static int print_last(const struct run_end *l, char *out, size_t size)
{
	if (l->code < 0)
		return 0;
	return snprintf(out, size, "%d %d %" PRIu64 " %" PRIu64 " %s\n", l->code, l->signal, l->started_ns, l->finished_ns, l->reason);
}

void ran_write(const struct container *c, int state, const char *reason)
{
	char tmp[sizeof c->name + 16], path[sizeof c->name + 16], text[320];
	struct pod *p = c->pod;
	if (!c->started_ns && !c->finished_ns)
		return;
	snprintf(path, sizeof path, "logs/%s/last", c->name);
	snprintf(tmp, sizeof tmp, "logs/%s/.last", c->name);
	int n = snprintf(text, sizeof text, "%d %u %d %d %" PRIu64 " %" PRIu64 " %s\n", state, c->restarts, c->exit_code,
			 c->exit_signal, c->started_ns, c->finished_ns, reason ? reason : "-");
	n += print_last(&c->last, text + n, sizeof text - (size_t)n);
	_cleanup_close_ int fd = openat(p->dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && !write_all(fd, text, (size_t)n))
		renameat(p->dir_fd, tmp, p->dir_fd, path);
}

void ran_inherit(struct container *c, const struct wire_in *in)
{
	uint64_t code = wire_get_u64(in, K_LAST_CODE, UINT64_MAX);
	if (code <= 255)
		set_last(c, (int)code, (int)wire_get_u64(in, K_LAST_SIGNAL, 0), wire_get_u64(in, K_LAST_STARTED, 0),
			 wire_get_u64(in, K_LAST_FINISHED, 0), wire_get_str(in, K_LAST_REASON));
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
