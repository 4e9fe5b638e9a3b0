/* The ledger and the hand: see ledger.h. */
#include "fs/ledger.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define LAYOUT 2      /* grows with any change of struct shared: what another layout says is not read */
#define ROWS 512      /* writes that are partly done */
#define PROBES 16
#define POLLERS 256   /* of whom the newest are told; a notice too much does no harm */
#define DOCUMENTS 64
#define WAITS 1024
#define HAND_MAX 65536

enum step { NONE, TAKING, GIVING };

struct row {
	uint64_t request;
	uint64_t done;
};

/* Written by one server, read by the next. Each word is written after those that it speaks of. */
struct shared {
	uint32_t layout;
	uint32_t step;
	uint64_t request; /* of the step */
	uint64_t base;    /* GIVING: done before it */
	uint64_t n;       /* TAKING: bytes that came into the hand; GIVING: that were put there to be moved */
	struct row rows[ROWS];
	uint64_t newest;
	uint64_t pollers[POLLERS];
	uint64_t documents[DOCUMENTS];
	struct waiting waits[WAITS];
	char data[HAND_MAX];
};

struct ledger {
	volatile struct shared *s;
	int hand;
	unsigned poller;
	/* of the server before */
	uint64_t held_request;
	size_t held;
	char *held_data;
	uint64_t newest;
	struct row rows[ROWS];
	uint64_t pollers[POLLERS];
	uint64_t documents[DOCUMENTS];
	struct waiting *waits;
	size_t nwaits;
};

/* --- the hand --- */

static size_t in_hand(const struct ledger *l)
{
	int n = 0;
	return ioctl(l->hand, FIONREAD, &n) ? 0 : (size_t)n;
}

static void empty_hand(struct ledger *l)
{
	char waste[4096];
	while (read(l->hand, waste, sizeof waste) > 0)
		;
}

/* --- rows --- */

static volatile struct row *row_of(struct ledger *l, uint64_t request)
{
	volatile struct row *free_one = NULL;
	for (size_t i = 0; i < PROBES; i++) {
		volatile struct row *r = &l->s->rows[(request / 2 + i) % ROWS];
		if (r->request == request)
			return r;
		if (!r->request && !free_one)
			free_one = r;
	}
	return free_one;
}

/* --- what the server before had under way --- */

static void hold(struct ledger *l)
{
	size_t n = in_hand(l);
	ssize_t got = n ? read(l->hand, (void *)l->s->data, HAND_MAX) : 0;
	if (got > 0)
		l->s->n = (uint64_t)got;
	if (!l->s->n || l->s->n > HAND_MAX)
		return;
	l->held_data = malloc(l->s->n);
	if (!l->held_data)
		return;
	l->held = l->s->n;
	l->held_request = l->s->request;
	memcpy(l->held_data, (const void *)l->s->data, l->held);
}

static void note_given(struct ledger *l)
{
	size_t left = in_hand(l);
	volatile struct row *r = row_of(l, l->s->request);
	if (r && l->s->n >= left) {
		r->done = l->s->base + l->s->n - left;
		r->request = l->s->request;
	}
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x = ((const struct waiting *)a)->request, y = ((const struct waiting *)b)->request;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Without memory they are forgotten, and answered as all others. */
static void take_waits(struct ledger *l)
{
	size_t n = 0;
	for (size_t i = 0; i < WAITS; i++)
		n += l->s->waits[i].request != 0;
	l->waits = n ? calloc(n, sizeof *l->waits) : NULL;
	for (size_t i = 0; i < WAITS; i++) {
		volatile struct waiting *w = &l->s->waits[i];
		if (w->request && l->waits)
			memcpy(&l->waits[l->nwaits++], (const void *)w, sizeof *l->waits);
		w->request = 0;
	}
	if (l->nwaits)
		qsort(l->waits, l->nwaits, sizeof *l->waits, newest_first);
}

static void take_up(struct ledger *l)
{
	if (l->s->step == TAKING)
		hold(l);
	else if (l->s->step == GIVING)
		note_given(l);
	l->s->step = NONE;
	empty_hand(l);
	take_waits(l);
	l->newest = l->s->newest;
	memcpy(l->rows, (const void *)l->s->rows, sizeof l->rows);
	memcpy(l->pollers, (const void *)l->s->pollers, sizeof l->pollers);
	memcpy(l->documents, (const void *)l->s->documents, sizeof l->documents);
	memset((void *)l->s->rows, 0, sizeof l->rows);
	memset((void *)l->s->pollers, 0, sizeof l->pollers);
	memset((void *)l->s->documents, 0, sizeof l->documents);
}

struct ledger *ledger_open(int memfd, int hand)
{
	struct ledger *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->hand = hand;
	void *mem = ftruncate(memfd, sizeof *l->s) ? MAP_FAILED :
		mmap(NULL, sizeof *l->s, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (mem == MAP_FAILED) {
		free(l);
		return NULL;
	}
	l->s = mem;
	if (l->s->layout == LAYOUT)
		take_up(l);
	else
		memset(mem, 0, sizeof *l->s);
	l->s->layout = LAYOUT;
	return l;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	munmap((void *)l->s, sizeof *l->s);
	free(l->held_data);
	free(l->waits);
	free(l);
}

/* --- taking --- */

ssize_t ledger_take(struct ledger *l, uint64_t request, int fd, size_t size, const void **mem)
{
	l->s->n = 0;
	l->s->request = request;
	l->s->step = TAKING;
	ssize_t n = splice(fd, NULL, l->hand, NULL, size < HAND_MAX ? size : HAND_MAX, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n <= 0) {
		l->s->step = NONE;
		return n < 0 ? -errno : 0;
	}
	l->s->n = (uint64_t)n;
	*mem = (const void *)l->s->data;
	return read(l->hand, (void *)l->s->data, (size_t)n);
}

void ledger_taken(struct ledger *l)
{
	l->s->step = NONE;
}

size_t ledger_held(const struct ledger *l, uint64_t request, const void **mem)
{
	if (!l->held || l->held_request != request)
		return 0;
	*mem = l->held_data;
	return l->held;
}

/* --- giving --- */

static ssize_t move(struct ledger *l, volatile struct row *r, size_t done, int fd, const char *data, size_t size)
{
	l->s->base = done;
	l->s->n = 0;
	l->s->request = r->request;
	l->s->step = GIVING;
	ssize_t n = write(l->hand, data, size < HAND_MAX ? size : HAND_MAX);
	if (n < 0)
		return -errno;
	l->s->n = (uint64_t)n;
	ssize_t moved = splice(l->hand, NULL, fd, NULL, (size_t)n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	int why = errno;
	if (moved > 0)
		r->done = done + (size_t)moved;
	l->s->step = NONE;
	if (moved < n)
		empty_hand(l);
	return moved < 0 ? -why : moved;
}

ssize_t ledger_give(struct ledger *l, uint64_t request, size_t done, int fd, const char *data, size_t size)
{
	volatile struct row *r = row_of(l, request);
	if (!r)
		return -EINVAL;
	r->done = done;
	r->request = request;
	return move(l, r, done, fd, data, size);
}

size_t ledger_given(const struct ledger *l, uint64_t request)
{
	for (size_t i = 0; i < ROWS; i++)
		if (l->rows[i].request == request)
			return l->rows[i].done;
	return 0;
}

void ledger_gave(struct ledger *l, uint64_t request)
{
	volatile struct row *r = row_of(l, request);
	if (r && r->request == request)
		r->request = 0;
}

/* --- requests, pollers, documents --- */

void ledger_seen(struct ledger *l, uint64_t request)
{
	if (request > l->s->newest)
		l->s->newest = request;
}

uint64_t ledger_newest(const struct ledger *l)
{
	return l->newest;
}

void ledger_poller(struct ledger *l, uint64_t kh)
{
	for (size_t i = 0; i < POLLERS; i++)
		if (l->s->pollers[i] == kh)
			return;
	l->s->pollers[l->poller++ % POLLERS] = kh;
}

void ledger_pollers(struct ledger *l, void (*each)(void *arg, uint64_t kh), void *arg)
{
	for (size_t i = 0; i < POLLERS; i++)
		if (l->pollers[i])
			each(arg, l->pollers[i]);
}

static volatile struct waiting *wait_of(struct ledger *l, uint64_t request)
{
	for (size_t i = 0; i < PROBES; i++) {
		volatile struct waiting *w = &l->s->waits[(request / 2 + i) % WAITS];
		if (w->request == request)
			return w;
	}
	return NULL;
}

void ledger_waits(struct ledger *l, uint64_t request, const void *message, size_t len)
{
	volatile struct waiting *w = NULL;
	for (size_t i = 0; !w && i < PROBES; i++)
		if (!l->s->waits[(request / 2 + i) % WAITS].request)
			w = &l->s->waits[(request / 2 + i) % WAITS];
	if (!w || len > WAITING_MAX)
		return;
	memcpy((void *)w->message, message, len);
	w->request = request;
}

void ledger_waited(struct ledger *l, uint64_t request)
{
	volatile struct waiting *w = wait_of(l, request);
	if (w)
		w->request = 0;
}

size_t ledger_waiting(const struct ledger *l, const struct waiting **out)
{
	*out = l->waits;
	return l->nwaits;
}

void ledger_writing(struct ledger *l, uint64_t fh, bool on)
{
	for (size_t i = 0; i < DOCUMENTS; i++)
		if (l->s->documents[i] == (on ? 0 : fh)) {
			l->s->documents[i] = on ? fh : 0;
			return;
		}
}

bool ledger_was_writing(const struct ledger *l, uint64_t fh)
{
	for (size_t i = 0; i < DOCUMENTS; i++)
		if (l->documents[i] == fh)
			return true;
	return false;
}
