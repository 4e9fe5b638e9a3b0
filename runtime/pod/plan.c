/* Plans and policies: what a request carried, kept. */
#include "runtime/pod/pod.h"

#include <string.h>

struct plan *plan_new(const struct wire_in *in)
{
	struct plan *pl = malloc(sizeof *pl + in->len);
	if (!pl)
		return NULL;
	pl->len = in->len;
	memcpy(pl->fields, in->fields, in->len);
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
