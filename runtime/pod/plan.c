/* Plans and policies: what a request carried, kept. */
#include "runtime/pod/pod.h"

#include <string.h>

/* Field by field as they lie there; the record, which may be large, stays behind. */
static size_t copy_fields(const struct wire_in *in, char *to)
{
	size_t pos = 0, before = 0, len, total = 0;
	uint16_t key;
	const char *data;
	for (; wire_next(in, &pos, &key, &data, &len); before = pos) {
		if (key == K_RECORD)
			continue;
		if (to)
			memcpy(to + total, in->fields + before, pos - before);
		total += pos - before;
	}
	return total;
}

struct plan *plan_new(const struct wire_in *in)
{
	size_t len = copy_fields(in, NULL);
	struct plan *pl = malloc(sizeof *pl + len);
	if (pl)
		pl->len = copy_fields(in, pl->fields);
	return pl;
}

struct wire_in plan_view(const struct plan *pl)
{
	return (struct wire_in){
		.fields = pl ? pl->fields : NULL, .len = pl ? pl->len : 0, .fds = { -1, -1, -1 },
	};
}

const char *plan_nth(const struct wire_in *in, enum wire_key key, unsigned n)
{
	size_t pos = 0, len;
	uint16_t k;
	const char *data;
	while (wire_next(in, &pos, &k, &data, &len))
		if (k == key && !n--)
			return data;
	return NULL;
}

void policy_take(struct policy *po, const struct wire_in *in)
{
	po->restart = (enum restart_policy)wire_get_u64(in, K_RESTART, po->restart);
	po->grace_s = (uint32_t)wire_get_u64(in, K_GRACE, po->grace_s);
	po->base_ms = wire_get_u64(in, K_BACKOFF_BASE, po->base_ms);
	po->cap_ms = wire_get_u64(in, K_BACKOFF_CAP, po->cap_ms);
	po->reset_ms = wire_get_u64(in, K_BACKOFF_RESET, po->reset_ms);
}
