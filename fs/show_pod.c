/* Texts of a pod, short ones: status why ip net.stat. describe is show_describe.c, pod.yaml show_yaml.c.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

#include <errno.h>

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
	char ip[POD_IPS][46];
	size_t n = pod_ips(r->pod, ip);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\n", ip[i]);
	return buf_status(out);
}

/* Empty where it has no network of its own, as `ip` is. */
int show_net_stat(const struct ref *r, struct buf *out)
{
	int e = pod_net_stat(r->pod, out);
	return e == -ENODATA ? 0 : e;
}
