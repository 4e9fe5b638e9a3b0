/* Texts of a container: state pid exitcode restarts, and the cgroup files of container and pod.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

int show_state(const struct ref *r, struct buf *out)
{
	buf_puts(out, container_state_name(r->c));
	put_state_rest(out, r->c);
	buf_putc(out, '\n');
	return buf_status(out);
}

int show_pid(const struct ref *r, struct buf *out)
{
	if (r->c->status.pid > 0)
		buf_printf(out, "%d\n", (int)r->c->status.pid);
	return buf_status(out);
}

/* Of the run that ended last; a container that runs again has none yet. */
int show_exitcode(const struct ref *r, struct buf *out)
{
	const struct container_status *s = &r->c->status;
	bool runs = s->state == C_RUNNING || s->state == C_PAUSED;
	if (!runs && s->exit_code >= 0)
		buf_printf(out, "%d\n", s->exit_code);
	return buf_status(out);
}

int show_restarts(const struct ref *r, struct buf *out)
{
	buf_printf(out, "%u\n", r->c->status.restarts);
	return buf_status(out);
}

int show_use(const struct ref *r, const char *file, struct buf *out)
{
	return cg_show(r->en->cg, r->pod->spec->uid, r->c ? r->c->id : NULL, file, out);
}
