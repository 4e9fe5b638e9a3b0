/* A container's output: two pipes and the log writer.
 *
 * Moves what comes, a bounded part at a time, so that no container keeps the loop from the others. Knows nothing of
 * the log's format.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BUDGET (1024 * 1024)  /* bytes moved before the loop goes on: about half a millisecond */
#define SMALL_PIPE 65536      /* pipe(7) */
#define LARGE_PIPE (1 << 20)
#define DEFAULT_MAX (16u << 20)
#define DEFAULT_FILES 5
#define WELL_MS 1000 /* written again for so long, the trouble is over: a disk that is all but full has many of them */
#define DROPPED "its log can't be written, output is dropped: %s"

static int open_folder(struct container *c)
{
	struct pod *p = c->pod;
	char path[sizeof c->name + 8];
	snprintf(path, sizeof path, "logs/%s", c->name);
	if ((mkdirat(p->dir_fd, "logs", 0700) && errno != EEXIST) || (mkdirat(p->dir_fd, path, 0700) && errno != EEXIST))
		return -errno;
	int fd = openat(p->dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int logs_open(struct container *c, struct err *e)
{
	struct wire_in plan = plan_view(c->plan);
	if (c->log_open)
		log_writer_close(&c->log);
	c->log_open = false;
	int fd = open_folder(c);
	int r = fd < 0 ? fd : log_writer_open(&c->log, fd, wire_get_u64(&plan, K_LOG_MAX, DEFAULT_MAX),
					      (uint32_t)wire_get_u64(&plan, K_LOG_FILES, DEFAULT_FILES));
	if (r)
		return err_sys(e, -r, "logs/%s", c->name);
	c->log_open = true;
	c->log_told = 0;
	c->log_dropped = c->log.dropped;
	log_run_begin(&c->log);
	return 0;
}

static void close_output(struct output *o)
{
	loop_del(&o->container->pod->loop, &o->watch);
	close_fd(&o->watch.fd);
}

static void finish_if_drained(struct container *c)
{
	if (!c->draining || c->out[0].watch.fd >= 0 || c->out[1].watch.fd >= 0)
		return;
	c->draining = false;
	timer_stop(&c->pod->loop, &c->log_well);
	if (c->log_open)
		log_writer_close(&c->log);
	c->log_open = false;
	life_event(c, ON_EXIT, NULL);
}

/* --- what goes wrong with it --- */

void logs_put_trouble(const struct container *c, struct wire_out *o)
{
	char text[160];
	if (!c->log_told)
		return;
	snprintf(text, sizeof text, DROPPED, strerror(c->log_told));
	wire_str(o, K_TROUBLE, text);
}

static void on_well(struct timer *t)
{
	struct container *c = container_of(t, struct container, log_well);
	if (c->log.broken)
		return;
	c->log_told = 0;
	link_event(c->pod, W_EVENT, c->name, "its log is written again; %llu bytes were dropped",
		   (unsigned long long)(c->log.dropped - c->log_dropped));
	c->log_dropped = c->log.dropped;
	container_tell(c);
}

static void tell_trouble(struct container *c)
{
	if (c->log.broken && !c->log_told) {
		c->log_told = c->log.broken;
		link_event(c->pod, W_EVENT, c->name, DROPPED, strerror(c->log_told));
		container_tell(c);
	} else if (!c->log.broken && c->log_told && !c->log_well.at_ns) {
		c->log_well.fn = on_well;
		timer_arm(&c->pod->loop, &c->log_well, WELL_MS);
	}
}

/* What was in it is lost; what comes is kept. */
static void begin_anew(struct container *c)
{
	int fd = open_folder(c);
	log_writer_again(&c->log, fd);
	if (fd < 0)
		return;
	link_event(c->pod, W_EVENT, c->name, "its log was removed by others: it is begun anew");
	container_tell(c);
}

static void tell_of_log(struct container *c)
{
	struct wire_out o = { 0 };
	tell_trouble(c);
	if (!c->log.rotated)
		return;
	c->log.rotated = false;
	wire_begin(&o, W_LOG, 0);
	wire_str(&o, K_NAME, c->name);
	link_send(c->pod, &o);
}

/* When its processes are gone an empty pipe is at its end, whoever may still hold the other side. */
static void pump(struct output *o)
{
	struct container *c = o->container;
	if (log_writer_gone(&c->log))
		begin_anew(c);
	ssize_t n = log_pump(&c->log, o->watch.fd, o->stream, BUDGET);
	if (n >= SMALL_PIPE && !o->large) {
		/* It was full: the writer waited for us. Refused over the user's limit (pipe(7)): then it stays small. */
		fcntl(o->watch.fd, F_SETPIPE_SZ, LARGE_PIPE);
		o->large = true;
	}
	if (n == 0 || (n < 0 && (n != -EAGAIN || c->draining)))
		close_output(o);
	tell_of_log(c);
}

static void on_output(struct watch *w, uint32_t events UNUSED)
{
	struct output *o = container_of(w, struct output, watch);
	struct container *c = o->container;
	memory_trim_later(c->pod);
	pump(o);
	finish_if_drained(c);
}

int logs_pipes(struct container *c, int theirs[2], struct err *e)
{
	for (int i = 0; i < 2; i++) {
		int fds[2];
		/* Each end is an open file of its own: only ours does not block. */
		if (pipe2(fds, O_CLOEXEC) || fcntl(fds[0], F_SETFL, O_NONBLOCK)) {
			if (i)
				close(theirs[0]);
			return err_sys(e, errno, "pipe");
		}
		struct output *o = &c->out[i];
		o->watch = (struct watch){ .fd = fds[0], .fn = on_output };
		o->large = false;
		theirs[i] = fds[1];
	}
	return 0;
}

void logs_close_pipes(struct container *c)
{
	for (int i = 0; i < 2; i++)
		close_output(&c->out[i]);
}

void logs_watch(struct container *c)
{
	for (int i = 0; i < 2; i++)
		loop_add(&c->pod->loop, &c->out[i].watch, EPOLLIN);
}

void logs_drain(struct container *c)
{
	c->draining = true;
	for (int i = 0; i < 2; i++)
		if (c->out[i].watch.fd >= 0)
			pump(&c->out[i]);
	finish_if_drained(c);
}
