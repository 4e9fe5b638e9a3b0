/* An event loop: see loop.h. */
#include "runtime/base/loop.h"

#include "runtime/base/util.h"

#include <errno.h>

int loop_init(struct loop *l)
{
	*l = (struct loop){ .epfd = epoll_create1(EPOLL_CLOEXEC) };
	return l->epfd < 0 ? -errno : 0;
}

void loop_free(struct loop *l)
{
	close_fd(&l->epfd);
}

int loop_add(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, w->fd, &ev) ? -errno : 0;
}

int loop_mod(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };
	return epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &ev) ? -errno : 0;
}

void loop_del(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < l->nround; i++)
		if (l->round[i].data.ptr == w)
			l->round[i].data.ptr = NULL;
}

void timer_stop(struct loop *l, struct timer *t)
{
	if (!t->at_ns)
		return;
	for (struct timer **p = &l->timers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	t->at_ns = 0;
}

void timer_arm(struct loop *l, struct timer *t, uint64_t ms)
{
	timer_stop(l, t);
	t->at_ns = now_mono_ns() + ms * 1000000u;
	struct timer **p = &l->timers;
	while (*p && (*p)->at_ns <= t->at_ns)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

static int until_next_timer(struct loop *l, int timeout_ms)
{
	if (!l->timers)
		return timeout_ms;
	uint64_t now = now_mono_ns();
	uint64_t ns = l->timers->at_ns > now ? l->timers->at_ns - now : 0;
	uint64_t ms = (ns + 999999) / 1000000;
	if (ms > 3600000)
		ms = 3600000;
	return timeout_ms < 0 || ms < (uint64_t)timeout_ms ? (int)ms : timeout_ms;
}

static void fire_timers(struct loop *l)
{
	uint64_t now = now_mono_ns();
	while (l->timers && l->timers->at_ns <= now) {
		struct timer *t = l->timers;
		l->timers = t->next;
		t->at_ns = 0;
		t->fn(t);
	}
}

/* Being woken on another processor costs more than a request does, and requests come in rows: so who asked for it looks
 * on for a moment after each round. */
static int wait_events(struct loop *l, struct epoll_event *ev, int max, int timeout_ms)
{
	if (l->spin_us && timeout_ms) {
		uint64_t until = now_mono_ns() + l->spin_us * 1000u;
		do {
			int n = epoll_wait(l->epfd, ev, max, 0);
			if (n)
				return n;
		} while (now_mono_ns() < until);
	}
	return epoll_wait(l->epfd, ev, max, timeout_ms);
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event ev[32];
	int n = wait_events(l, ev, ARRAY_LEN(ev), until_next_timer(l, timeout_ms));
	if (n < 0 && errno != EINTR)
		return -errno;
	l->round = ev;
	l->nround = n < 0 ? 0 : n;
	for (int i = 0; i < l->nround; i++) {
		struct watch *w = ev[i].data.ptr;
		if (w)
			w->fn(w, ev[i].events);
	}
	l->round = NULL;
	l->nround = 0;
	fire_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	while (!l->stop) {
		int r = loop_once(l, -1);
		if (r)
			return r;
	}
	return 0;
}
