/* Pulls: one a reference, whoever asks.
 *
 * Owns struct pull. Runs in podfs-server.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <string.h>

const struct pull *engine_pulls(const struct engine *en)
{
	return en->priv->pulls;
}

const struct pull *engine_pull_find(const struct engine *en, const char *reference)
{
	struct image_ref ref;
	const struct pull *p = en->priv->pulls;
	if (parse_reference(reference, strlen(reference), &ref, NULL))
		return NULL;
	while (p && strcmp(p->canonical, ref.canonical))
		p = p->next;
	image_ref_free(&ref);
	return p;
}

unsigned engine_pull_waiters(const struct engine *en, const struct pull *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++)
			n += en->pods[i]->containers[k]->pull == p;
	return n;
}

int engine_pull(struct engine *en, const char *reference, bool by_root, struct err *e)
{
	return err_set(e, ENOSYS, "%s: pulls are not there yet", reference);
}

int engine_pull_cancel(struct engine *en, const char *reference, struct err *e)
{
	return err_set(e, ENOENT, "%s: is not being pulled", reference);
}

void pull_show(const struct pull *p, struct buf *out)
{
	buf_puts(out, p->state == PULL_BACKOFF ? p->error : "beginning");
}
