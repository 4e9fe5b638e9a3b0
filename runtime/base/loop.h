/* An event loop: epoll and deadlines.
 *
 * Owns the epoll descriptor and the list of armed timers; not the descriptors
 * watched. One loop a process, one thread, so no locks. A watch or a timer may
 * be removed at any time, also by another's callback in the same round.
 */
#ifndef PODFS_BASE_LOOP_H
#define PODFS_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

struct watch {
	int fd; /* -1 while not watched; the owner closes it after loop_del */
	void (*fn)(struct watch *w, uint32_t events); /* events: EPOLLIN … as they came */
};

struct timer {
	void (*fn)(struct timer *t); /* called once, disarmed */
	uint64_t at_ns;              /* CLOCK_MONOTONIC; 0: not armed */
	struct timer *next;
};

struct loop {
	int epfd;
	bool stop;
	unsigned spin_us;            /* how long to look again before sleeping; 0: sleep at once */
	struct timer *timers;      /* by time */
	struct epoll_event *round; /* the events being handed out */
	int nround;
};

int loop_init(struct loop *l); /* 0 or -errno */
void loop_free(struct loop *l);

/* w->fd and w->fn are set by the caller. 0 or -errno. */
int loop_add(struct loop *l, struct watch *w, uint32_t events);
int loop_mod(struct loop *l, struct watch *w, uint32_t events);
/* Forgets w->fd; does not close it. Harmless when it is not watched. */
void loop_del(struct loop *l, struct watch *w);

/* Arms (or moves) t to fire after ms milliseconds. */
void timer_arm(struct loop *l, struct timer *t, uint64_t ms);
void timer_stop(struct loop *l, struct timer *t);

/* One round: waits at most timeout_ms (-1: until something happens), hands out what
 * came. 0 or -errno. */
int loop_once(struct loop *l, int timeout_ms);
/* Rounds until l->stop. */
int loop_run(struct loop *l);

#endif
