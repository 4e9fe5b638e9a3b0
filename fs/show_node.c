/* Texts of the node: pods wide version config leaving network. top is show_top.c, help show_help.c, images show_images.c.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show_text.h"

#include "runtime/base/util.h"

#include <sys/utsname.h>

int show_version(const struct ref *r, struct buf *out)
{
	buf_puts(out, "podfs " PODFS_VERSION "\n");
	return buf_status(out);
}

int show_config(const struct ref *r, struct buf *out)
{
	struct utsname u;
	char started[21];
	config_show(r->en->cfg, out);
	format_time_s(r->en->started_ns, started);
	buf_puts(out, "\n# what runs here\nversion = " PODFS_VERSION "\n");
	if (!uname(&u))
		buf_printf(out, "kernel = %s %s %s\n", u.sysname, u.release, u.machine);
	buf_printf(out, "cgroup_version = %d\n", cg_version(r->en->cg));
	buf_printf(out, "started = %s\npods = %zu\nimages = %zu\n", started, r->en->npods, images_count(r->en->images));
	return buf_status(out);
}

/* The five columns that `pods` and `wide` share. */
static void pod_cells(struct table *t, const struct pod *p)
{
	table_cell(t, p->spec->name);
	buf_printf(&t->cells, "%u/%zu", pod_ready_count(p), p->ncontainers);
	table_next(t);
	table_cell(t, pod_word(p));
	table_count(t, pod_restarts(p));
	show_age(p->spec->created_ns, &t->cells);
	table_next(t);
}

int show_pods(const struct ref *r, struct buf *out)
{
	static const char *const heads[] = { "NAME", "READY", "STATUS", "RESTARTS", "AGE" };
	struct table t;
	table_begin(&t, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < r->en->npods; i++)
		if (ref_sees(r, r->en->pods[i]))
			pod_cells(&t, r->en->pods[i]);
	return table_end(&t, out);
}

static void wide_cells(struct table *t, const struct pod *p, const char *owner)
{
	put_ip(&t->cells, p);
	table_next(t);
	for (size_t i = 0; i < p->ncontainers; i++)
		buf_printf(&t->cells, "%s%s", i ? "," : "", p->containers[i]->spec->name);
	table_next(t);
	for (size_t i = 0; i < p->ncontainers; i++) {
		const char *image = p->containers[i]->spec->image;
		buf_printf(&t->cells, "%s%s", i ? "," : "", image ? image : "<none>");
	}
	table_next(t);
	table_cell(t, owner);
}

int show_wide(const struct ref *r, struct buf *out)
{
	static const char *const heads[] = { "NAME", "READY",      "STATUS", "RESTARTS", "AGE",
					     "IP",   "CONTAINERS", "IMAGES", "OWNER" };
	_cleanup_buf_ struct buf owner = { 0 };
	uid_t known = (uid_t)-1; /* whose name owner holds: neighbours mostly have the same */
	struct table t;
	table_begin(&t, heads, ARRAY_LEN(heads));
	for (size_t i = 0; i < r->en->npods; i++) {
		const struct pod *p = r->en->pods[i];
		if (!ref_sees(r, p))
			continue;
		if (p->spec->owner != known) {
			known = p->spec->owner;
			buf_reset(&owner);
			put_user(&owner, known);
		}
		pod_cells(&t, p);
		wide_cells(&t, p, buf_str(&owner));
	}
	return table_end(&t, out);
}

/* NAME UID SECONDS_LEFT, without a heading: it is read by scripts. */
int show_leaving(const struct ref *r, struct buf *out)
{
	uint64_t now = now_mono_ns();
	for (const struct pod *p = r->en->leaving; p; p = p->next_leaving) {
		uint64_t left = p->leave_by_ns > now ? (p->leave_by_ns - now + 999999999) / 1000000000 : 0;
		buf_printf(out, "%s %s %llu\n", p->spec->name, p->spec->uid, (unsigned long long)left);
	}
	return buf_status(out);
}

/* What podfs-net has told; it is started for the first pod that needs it. */
int show_network(const struct ref *r, struct buf *out)
{
	if (r->en->net_info)
		buf_puts(out, r->en->net_info);
	else
		buf_printf(out, "# %s is made for the first pod on it\n", r->en->cfg->bridge);
	return buf_status(out);
}
