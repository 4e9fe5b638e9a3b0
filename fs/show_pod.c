/* Texts of a pod, one line each: status why ip. describe is show_describe.c, pod.yaml show_yaml.c.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

int show_status(const struct ref *r, struct buf *out)
{
	buf_printf(out, "%s\n", pod_phase_name(pod_phase(r->pod)));
	return buf_status(out);
}

int show_why(const struct ref *r, struct buf *out)
{
	engine_why(r->pod, r->c, out);
	buf_putc(out, '\n');
	return buf_status(out);
}

int show_ip(const struct ref *r, struct buf *out)
{
	const char *ip = pod_ip(r->pod);
	if (*ip)
		buf_printf(out, "%s\n", ip);
	return buf_status(out);
}
