/* A container's mounts, watched while it runs: that somebody takes one of ours away is noticed.
 *
 * Owns a descriptor of /proc/PID/mountinfo, which polls EPOLLPRI when the mounts change (proc(5)): nothing is done while nothing
 * happens. It keeps the mount namespace, so it is closed with the container's first process. What a container with the rights
 * for it mounts beside ours is its own business. Runs in podfs-pod.
 */
#include "runtime/pod/pod.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MOUNTS_MAX 256 /* of which any is watched */
#define RELEASE_MS 20

/* What sentences name, the most important first; of others they say how many. */
static const char *const places[] = {
	"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
};

/* What mountinfo says: of each line a hash of its first five fields, which no remount changes. */
struct seen {
	uint32_t marks[MOUNTS_MAX];
	unsigned n, places; /* a bit each */
};

struct line {
	unsigned field, len;
	uint32_t hash;
	char point[20]; /* the fifth field, if it is not longer */
};

#define FRESH ((struct line){ .hash = 2166136261u }) /* FNV-1a */

static void end_line(struct seen *s, struct line *l)
{
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (strlen(places[i]) == l->len && !memcmp(places[i], l->point, l->len))
			s->places |= 1u << i;
	if (s->n < MOUNTS_MAX)
		s->marks[s->n++] = l->hash;
	*l = FRESH;
}

static void take_byte(struct seen *s, struct line *l, char c)
{
	if (c == '\n') {
		end_line(s, l);
		return;
	}
	if (l->field == 5)
		return;
	l->hash = (l->hash ^ (uint8_t)c) * 16777619u;
	if (c == ' ')
		l->field++;
	else if (l->field == 4 && l->len++ < sizeof l->point)
		l->point[l->len - 1] = c;
}

static int read_mounts(int fd, struct seen *s)
{
	char part[1024];
	struct line l = FRESH;
	ssize_t n;
	s->n = s->places = 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	while ((n = read(fd, part, sizeof part)) > 0)
		for (ssize_t i = 0; i < n; i++)
			take_byte(s, &l, part[i]);
	return (int)n;
}

static bool has(const struct seen *s, uint32_t mark)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->marks[i] == mark)
			return true;
	return false;
}

static void tell(struct container *c, unsigned gone, unsigned missing)
{
	const char *place = missing ? places[__builtin_ctz(missing)] : "one beneath /proc, /sys or /dev";
	char others[32] = "";
	if (gone > 1)
		snprintf(others, sizeof others, " and %u more", gone - 1);
	free(c->trouble);
	if (asprintf(&c->trouble, "mounts of it were taken away by others: %s%s; `echo restart > ctl` makes them anew", place, others) < 0)
		c->trouble = NULL;
	link_event(c->pod, W_EVENT, c->name, "%s", c->trouble ? c->trouble : "mounts of it were taken away by others");
	container_tell(c);
}

static void on_changed(struct watch *w, uint32_t events UNUSED)
{
	struct container *c = container_of(w, struct container, mounts.watch);
	struct seen now;
	unsigned gone = 0;
	if (read_mounts(w->fd, &now))
		return;
	for (unsigned i = 0; i < c->mounts.n; i++)
		gone += !has(&now, c->mounts.marks[i]);
	if (gone <= c->mounts.gone)
		return;
	c->mounts.gone = gone;
	tell(c, gone, c->mounts.places & ~now.places);
}

static void forget(struct container *c)
{
	timer_stop(&c->pod->loop, &c->mounts.timer);
	close_fd(&c->mounts.watch.fd);
	free(c->mounts.marks);
	c->mounts = (struct mounts){ .watch.fd = -1 };
}

void mounts_watch(struct container *c)
{
	char path[40];
	struct seen s;
	mounts_release(c);
	snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)c->init.pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	c->mounts.watch = (struct watch){ .fd = fd, .fn = on_changed };
	c->mounts.marks = read_mounts(fd, &s) ? NULL : malloc(s.n * sizeof *s.marks);
	if (!c->mounts.marks || loop_add(&c->pod->loop, &c->mounts.watch, EPOLLPRI)) {
		forget(c);
		return;
	}
	memcpy(c->mounts.marks, s.marks, s.n * sizeof *s.marks);
	c->mounts.n = s.n;
	c->mounts.places = s.places;
}

static int nothing(void *arg UNUSED, struct err *e UNUSED)
{
	return 0;
}

static void let_go(void *arg UNUSED, const struct err *e UNUSED)
{
}

/* The last descriptor of a mount namespace ends in a child: taking its mounts apart takes time, and for ever where the server of
 * one is dead. */
void mounts_release(struct container *c)
{
	if (c->mounts.watch.fd < 0)
		return;
	loop_del(&c->pod->loop, &c->mounts.watch);
	job_start(c->pod, nothing, let_go, NULL);
	forget(c);
}

static void on_time(struct timer *t)
{
	mounts_release(container_of(t, struct container, mounts.timer));
}

/* Not at once: whoever waits for the end is to hear of it first. */
void mounts_unwatch(struct container *c)
{
	if (c->mounts.watch.fd < 0)
		return;
	loop_del(&c->pod->loop, &c->mounts.watch);
	c->mounts.timer.fn = on_time;
	timer_arm(&c->pod->loop, &c->mounts.timer, RELEASE_MS);
}
