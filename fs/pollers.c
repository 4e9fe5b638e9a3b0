/* Pollers: see pollers.h. */
#include "fs/pollers.h"

#include "runtime/base/util.h"

struct poller {
	struct poller *next;
	struct handle *h;
	struct fuse_pollhandle *ph;
	unsigned had;
};

static struct poller **find(struct handle *h)
{
	struct poller **p = &h->fs->pollers;
	while (*p && (*p)->h != h)
		p = &(*p)->next;
	return p;
}

static void drop(struct poller **at)
{
	struct poller *p = *at;
	*at = p->next;
	poll_destroy(p->ph);
	free(p);
}

/* The kernel needs one notification for all that poll an opening, so the newest handle takes the older one's place. */
void poll_watch(struct handle *h, struct fuse_pollhandle *ph, unsigned events)
{
	struct poller **at = h ? find(h) : NULL;
	if (at && *at)
		drop(at);
	struct poller *p = h ? malloc(sizeof *p) : NULL;
	if (!p) {
		poll_destroy(ph);
		return;
	}
	*p = (struct poller){ .next = h->fs->pollers, .h = h, .ph = ph, .had = events };
	h->fs->pollers = p;
}

void poll_forget(struct handle *h)
{
	struct poller **at = find(h);
	if (*at)
		drop(at);
}

void poll_tell(struct fs *fs)
{
	for (struct poller **at = &fs->pollers; *at;) {
		struct poller *p = *at;
		if (!(file_ready(p->h) & ~p->had)) {
			at = &p->next;
			continue;
		}
		poll_notify(p->ph);
		drop(at);
	}
}
