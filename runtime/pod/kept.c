/* What podfs-pod keeps for the next server: notes of sessions, and which changes have been carried out.
 *
 * A note is kept as its fields came and told again as it is. Of changes the number of the request that asked for each is kept, and
 * how it ended: the kernel sends a server's unanswered requests to the next one, which must not do them twice.
 */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <string.h>

#define ASKED_MAX 32 /* the kernel sends again what was under way: a handful */

/* --- notes --- */

struct note {
	struct note *next;
	uint64_t serial;
	struct plan *fields;
};

static struct note **note_at(struct pod *p, uint64_t serial)
{
	struct note **at = &p->notes;
	while (*at && (*at)->serial != serial)
		at = &(*at)->next;
	return at;
}

int note_keep(struct pod *p, const struct wire_in *in)
{
	uint64_t serial = wire_get_u64(in, K_SESSION, 0);
	struct note **at = note_at(p, serial);
	struct plan *fields = plan_new(in);
	if (fields && !*at && (*at = calloc(1, sizeof **at)))
		(*at)->serial = serial;
	if (!fields || !*at) {
		plan_free(fields);
		return -ENOMEM;
	}
	plan_free((*at)->fields);
	(*at)->fields = fields;
	return 0;
}

bool note_drop(struct pod *p, uint64_t serial)
{
	struct note **at = note_at(p, serial), *n = *at;
	if (!n)
		return false;
	*at = n->next;
	plan_free(n->fields);
	free(n);
	return true;
}

static void put_note(const struct note *n, struct wire_out *o)
{
	if (n)
		buf_put(&o->b, n->fields->fields, n->fields->len);
}

static bool runs(struct pod *p, uint64_t serial)
{
	return session_find(p, serial);
}

void sessions_tell(struct pod *p)
{
	for (struct session *s = p->sessions; s; s = s->next) {
		struct wire_out o = { 0 };
		if (s->forgotten)
			continue;
		session_put(s, &o, true);
		put_note(*note_at(p, s->serial), &o);
		link_send(p, &o);
	}
	for (struct note *n = p->notes; n; n = n->next) {
		struct wire_out o = { 0 };
		if (runs(p, n->serial))
			continue;
		wire_begin(&o, W_SESSION, 0);
		wire_u64(&o, K_SESSION, n->serial);
		wire_u64(&o, K_STATE, WIRE_SESSION_NEW);
		put_note(n, &o);
		link_send(p, &o);
	}
}

/* --- changes --- */

static struct asked {
	uint64_t number; /* 0: none */
	bool done;
	int result;
	char *words;     /* of a failure; NULL */
} asked[ASKED_MAX];
static unsigned newest;

static void tell(struct pod *p, const struct asked *a)
{
	struct wire_out o = { 0 };
	wire_begin(&o, W_DONE, 0);
	wire_u64(&o, K_ASKED, a->number);
	wire_u64(&o, K_STATE, a->done);
	if (a->done && a->result)
		wire_u64(&o, K_CODE, (uint64_t)-a->result);
	wire_str(&o, K_ERROR, a->words);
	link_send(p, &o);
}

static struct asked *find(uint64_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		if (number && asked[i].number == number)
			return &asked[i];
	return NULL;
}

void asked_begin(uint64_t number)
{
	if (!number || find(number))
		return;
	struct asked *a = &asked[++newest % ARRAY_LEN(asked)];
	free(a->words);
	*a = (struct asked){ .number = number };
}

void asked_end(struct pod *p, uint64_t number, int result, const struct err *e, bool answered)
{
	struct asked *a = find(number);
	if (!a)
		return;
	a->done = true;
	a->result = result < 0 ? result : 0;
	free(a->words);
	a->words = result < 0 && e && *e->text ? strdup(e->text) : NULL;
	if (!answered)
		tell(p, a);
}

void asked_tell(struct pod *p)
{
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		if (asked[i].number)
			tell(p, &asked[i]);
}
