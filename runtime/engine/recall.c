/* Changes that the last server asked for and did not answer: what podfs-pod knows of them.
 *
 * The kernel sends such a request again; whoever gets it asks here first, by its number, and only carries it out when no podfs-pod
 * has. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

struct recalled {
	struct recalled *next;
	uint64_t number;
	bool over;
	struct err e;  /* code 0: it went well */
	done_fn *done; /* who waits for the end; NULL */
	void *arg;
};

static struct recalled *find(const struct pod *p, uint64_t number)
{
	struct recalled *r = p->link->recalled;
	while (r && r->number != number)
		r = r->next;
	return r;
}

static void answer(struct recalled *r)
{
	done_fn *done = take_ptr(r->done);
	if (done)
		done(r->arg, -r->e.code, &r->e);
}

void recall_on_event(struct pod *p, struct wire_in *in)
{
	uint64_t number = wire_get_u64(in, K_ASKED, 0);
	struct recalled *r = find(p, number);
	if (!r && (r = calloc(1, sizeof *r))) {
		*r = (struct recalled){ .number = number, .next = p->link->recalled };
		p->link->recalled = r;
	}
	if (!r || !wire_get_u64(in, K_STATE, 0))
		return;
	const char *words = wire_get_str(in, K_ERROR);
	int code = (int)wire_get_u64(in, K_CODE, 0);
	if (code && words)
		err_set(&r->e, code, "%s", words);
	else if (code)
		err_sys(&r->e, code, "pod %s", p->spec->name);
	r->over = true;
	answer(r);
}

void recall_drop(struct pod *p)
{
	while (p->link->recalled) {
		struct recalled *r = p->link->recalled;
		p->link->recalled = r->next;
		if (!r->over)
			err_set(&r->e, ENODEV, "pod %s: its podfs-pod has ended", p->spec->name);
		answer(r);
		free(r);
	}
}

bool engine_knows(const struct pod *p, uint64_t number)
{
	return find(p, number);
}

void engine_recall(struct pod *p, uint64_t number, done_fn *done, void *arg)
{
	struct recalled *r = find(p, number);
	r->done = done;
	r->arg = arg;
	if (r->over)
		answer(r);
}
