/* Requests that wait: see park.h. */
#include "fs/park.h"

#include "runtime/base/util.h"

#include <errno.h>

struct fuse_req *park_take(struct park *p)
{
	struct fuse_req *req = p->req;
	p->req = NULL;
	timer_stop(p->fs->loop, &p->timer);
	if (p->pprev) {
		*p->pprev = p->next;
		if (p->next)
			p->next->pprev = p->pprev;
		p->pprev = NULL;
	}
	req_on_interrupt(req, NULL, NULL);
	p->fs->nparked--;
	return req;
}

/* Within the interrupt of libfuse the request may be answered, but its function not be registered anew. */
static void lapse(struct park *p, int why)
{
	p->lapse(p, park_take(p), why);
}

static void on_time(struct timer *t)
{
	struct park *p = container_of(t, struct park, timer);
	lapse(p, -ETIMEDOUT);
}

static void on_interrupt_time(struct timer *t)
{
	struct park *p = container_of(t, struct park, timer);
	lapse(p, -EINTR);
}

/* libfuse holds the request's lock here, so the answer comes from the loop, after this request of the kernel's. */
static void on_interrupt(struct fuse_req *req UNUSED, void *arg)
{
	struct park *p = arg;
	p->timer.fn = on_interrupt_time;
	timer_arm(p->fs->loop, &p->timer, p->grace_ms);
}

static void append(struct park *p, struct park **list)
{
	while (*list)
		list = &(*list)->next;
	p->next = NULL;
	p->pprev = list;
	*list = p;
}

void park(struct fs *fs, struct park *p, struct park **list, struct fuse_req *req, unsigned deadline_ms, unsigned grace_ms)
{
	p->fs = fs;
	p->req = req;
	p->next = NULL;
	p->pprev = NULL;
	p->timer = (struct timer){ .fn = on_time };
	p->grace_ms = grace_ms;
	if (req_interrupted(req) || fs->nparked >= PARKED_MAX) {
		p->req = NULL;
		p->lapse(p, req, req_interrupted(req) ? -EINTR : -ENFILE);
		return;
	}
	fs->nparked++;
	if (list)
		append(p, list);
	req_on_interrupt(req, on_interrupt, p);
	if (deadline_ms)
		timer_arm(fs->loop, &p->timer, deadline_ms);
}
