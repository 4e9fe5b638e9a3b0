/* An image as a person reads it: `cat .node/images/REF`. Runs in the server. */
#include "runtime/image/image.h"

#include "runtime/base/util.h"
#include "runtime/parse/parse.h"

#include <string.h>

/* What an image says of itself may hold anything: no byte of it may reach a terminal as a control. */
static void put_plain(struct buf *out, const char *s)
{
	for (; *s; s++)
		buf_putc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static void line(struct buf *out, const char *key, const char *value)
{
	if (!value)
		return;
	buf_printf(out, "%-13s", key);
	put_plain(out, value);
	buf_putc(out, '\n');
}

static void words(struct buf *out, const char *key, const struct strs *list)
{
	_cleanup_buf_ struct buf text = { 0 };
	if (!list->n)
		return;
	format_words(list, &text);
	line(out, key, buf_str(&text));
}

static void lines(struct buf *out, const char *key, const char *prefix, const struct strs *list)
{
	for (size_t i = 0; i < list->n; i++) {
		buf_printf(out, "%-13s%s", i ? "" : key, prefix);
		put_plain(out, list->v[i]);
		buf_putc(out, '\n');
	}
}

void image_show(const struct image *i, struct buf *out)
{
	char imported[21];
	format_time_s(i->imported_ns, imported);
	line(out, "Image:", i->written);
	line(out, "Name:", i->canonical);
	line(out, "ID:", i->digest);
	line(out, "Manifest:", i->manifest_digest);
	line(out, "OS:", i->os);
	line(out, "Arch:", i->arch);
	line(out, "Created:", i->created);
	line(out, "Imported:", imported);
	buf_printf(out, "%-13s%llu\n", "Size:", (unsigned long long)i->size);
	lines(out, "Layers:", "sha256:", &i->layers);
	words(out, "Entrypoint:", &i->entrypoint);
	words(out, "Cmd:", &i->cmd);
	lines(out, "Env:", "", &i->env);
	line(out, "WorkingDir:", i->workdir);
	line(out, "User:", i->user);
	line(out, "StopSignal:", i->stopsignal);
	lines(out, "Ports:", "", &i->ports);
	lines(out, "Labels:", "", &i->labels);
}
