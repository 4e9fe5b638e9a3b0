/* Blobs as skopeo writes them: see arrive.h. */
#include "runtime/image/arrive.h"

#include "runtime/base/util.h"
#include "runtime/image/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define BLOBS FETCH_LAYOUT "/blobs/sha256"
#define GROWING "oci-put-blob" /* what skopeo calls a blob that it has not yet got whole */
#define REST_NS 4000000u       /* between two looks: each write of skopeo's would be a wake otherwise */

int arrive_watch(struct arrivals *a, int work, struct err *e)
{
	a->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (a->inotify < 0 || fchdir(work))
		return err_sys(e, errno, "cannot watch what is fetched");
	a->growing_wd = inotify_add_watch(a->inotify, FETCH_LAYOUT, IN_CREATE | IN_MODIFY | IN_MOVED_FROM | IN_DELETE);
	a->whole_wd = inotify_add_watch(a->inotify, BLOBS, IN_MOVED_TO);
	return a->growing_wd < 0 || a->whole_wd < 0 ? err_sys(e, errno, "cannot watch what is fetched") : 0;
}

static struct blob *find_blob(struct arrivals *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->v[i].whole && !strcmp(a->v[i].name, name))
			return &a->v[i];
	return NULL;
}

static void begin_blob(struct arrivals *a, const char *name)
{
	if (strncmp(name, GROWING, strlen(GROWING)) || strlen(name) >= sizeof a->v->name)
		return;
	a->too_many = a->n == BLOBS_MAX;
	if (a->too_many)
		return;
	struct blob *b = &a->v[a->n++];
	*b = (struct blob){ .fd = -1 };
	strcpy(b->name, name);
}

/* It has its own name now, that of its digest. */
static void name_blob(struct arrivals *a, const struct inotify_event *ev)
{
	if (!digest_is_hex(ev->name, strlen(ev->name)))
		return;
	for (size_t i = 0; i < a->n; i++) {
		struct blob *b = &a->v[i];
		if (b->whole || !b->cookie || b->cookie != ev->cookie)
			continue;
		strcpy(b->hex, ev->name);
		b->whole = b->fresh = true;
	}
}

static void pass(struct blob *b, struct workers *ws)
{
	if (b->worker)
		workers_kill(ws, b->worker);
	b->passed = true;
}

void arrive_pass(struct arrivals *a, struct workers *ws, bool whole_too)
{
	for (size_t i = 0; i < a->n; i++)
		if (whole_too || !a->v[i].whole)
			pass(&a->v[i], ws);
}

static void take_event(struct arrivals *a, struct workers *ws, const struct inotify_event *ev)
{
	if (ev->mask & IN_Q_OVERFLOW) /* what was lost is not known: they are unpacked in the end */
		arrive_pass(a, ws, true);
	if (!ev->len)
		return;
	if (ev->wd == a->whole_wd) {
		name_blob(a, ev);
		return;
	}
	if (ev->mask & IN_CREATE)
		begin_blob(a, ev->name);
	struct blob *b = find_blob(a, ev->name);
	if (!b)
		return;
	b->fresh = a->grown = true;
	if (ev->mask & IN_MOVED_FROM)
		b->cookie = ev->cookie;
	if (ev->mask & IN_DELETE) {
		pass(b, ws);
		close_fd(&b->fd);
	}
}

void arrive_look(struct arrivals *a, struct workers *ws)
{
	_Alignas(struct inotify_event) char chunk[16384];
	ssize_t n;
	while ((n = read(a->inotify, chunk, sizeof chunk)) > 0) {
		for (char *p = chunk; p < chunk + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len)
			take_event(a, ws, (struct inotify_event *)p);
		a->rest_until = now_mono_ns() + REST_NS;
	}
}

/* False: not yet, it is just being renamed. */
static bool open_blob(struct blob *b, int layout)
{
	char name[16 + DIGEST_HEX];
	struct stat st;
	snprintf(name, sizeof name, "%s%s", b->whole ? "blobs/sha256/" : "", b->whole ? b->hex : b->name);
	if (b->fd < 0)
		b->fd = openat(layout, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (b->fd < 0)
		b->passed = b->passed || b->whole || errno != ENOENT;
	else if (!fstat(b->fd, &st))
		b->size = (uint64_t)st.st_size;
	return b->fd >= 0;
}

static int start_worker(struct blob *b, struct workers *ws, struct err *e)
{
	char first;
	ssize_t n = pread(b->fd, &first, 1, 0);
	if (n < 0 || (n && first == '{') || (!n && b->whole))
		b->passed = true;
	if (!n || b->passed || workers_busy(ws))
		return 0;
	int id = workers_start(ws, b->fd, true, e);
	if (id < 0)
		return id;
	b->worker = (unsigned)id;
	return 0;
}

static int feed(struct blob *b, int layout, struct workers *ws, struct err *e)
{
	int r = 0;
	if ((b->worker || b->passed) && !b->fresh)
		return 0;
	if (!open_blob(b, layout))
		return 0;
	if (!b->worker && !b->passed)
		r = start_worker(b, ws, e);
	b->fresh = !r && !b->worker && !b->passed;
	if (b->worker && b->whole)
		workers_complete(ws, b->worker);
	else if (b->worker)
		workers_more(ws, b->worker);
	if (b->whole) /* it has its own name, and can be opened again */
		close_fd(&b->fd);
	return r;
}

/* What a registry sends is bounded before anybody knows what it is. */
int arrive_feed(struct arrivals *a, int layout, struct workers *ws, uint64_t max, struct err *e)
{
	uint64_t size = 0;
	for (size_t i = 0; i < a->n; i++) {
		int r = feed(&a->v[i], layout, ws, e);
		if (r)
			return r;
		size += a->v[i].size;
	}
	if (a->too_many)
		return err_set(e, E2BIG, "the image has more than %d parts", BLOBS_MAX);
	return size <= max ? 0 :
		err_set(e, EFBIG, "the image has more than %llu bytes (image_max)", (unsigned long long)max);
}

bool arrive_waiting(const struct arrivals *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->v[i].passed)
			return true;
	return false;
}

struct blob *arrive_worker(struct arrivals *a, unsigned id)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].worker == id)
			return &a->v[i];
	return NULL;
}
