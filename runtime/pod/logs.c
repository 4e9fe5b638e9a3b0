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
	if (c->log_open)
		log_writer_close(&c->log);
	c->log_open = false;
	life_event(c, ON_EXIT, NULL);
}

static void tell_of_log(struct container *c, int broken_before)
{
	struct wire_out o = { 0 };
	if (c->log.broken && !broken_before)
		link_event(c->pod, W_EVENT, c->name, "its log can't be written, output is dropped: %s", strerror(c->log.broken));
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
	int broken_before = c->log.broken;
	ssize_t n = log_pump(&c->log, o->watch.fd, o->stream, BUDGET);
	if (n >= SMALL_PIPE && !o->large) {
		/* It was full: the writer waited for us. Refused over the user's limit (pipe(7)): then it stays small. */
		fcntl(o->watch.fd, F_SETPIPE_SZ, LARGE_PIPE);
		o->large = true;
	}
	if (n == 0 || (n < 0 && (n != -EAGAIN || c->draining)))
		close_output(o);
	tell_of_log(c, broken_before);
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
