/* CNI's attachments and their records on disk: see cni_private.h. */
#include "runtime/net/cni_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void answer(struct call *call, const struct err *e, const struct cni_answer *got)
{
	struct call c = *call;
	*call = (struct call){ 0 };
	if (c.fn)
		c.fn(c.arg, e, got);
}

struct chain *chain_new(struct cni *c)
{
	struct chain *ch = calloc(1, sizeof *ch);
	if (!ch)
		return NULL;
	*ch = (struct chain){ .cni = c, .netns = -1, .timer.fn = chain_timer };
	cni_run_init(&ch->run, c->s.loop, chain_run_done);
	return ch;
}

void chain_free(struct chain *ch)
{
	if (!ch)
		return;
	chain_free(ch->after);
	timer_stop(ch->cni->s.loop, &ch->timer);
	cni_run_free(&ch->run);
	close_fd(&ch->netns);
	cni_record_free(&ch->rec);
	cni_json_free(&ch->last);
	free(ch);
}

void chain_link(struct chain *ch)
{
	ch->next = ch->cni->chains;
	ch->cni->chains = ch;
}

void chain_unlink(struct chain *ch)
{
	struct chain **at = &ch->cni->chains;
	while (*at != ch)
		at = &(*at)->next;
	*at = ch->next;
}

struct chain *chain_find(struct cni *c, const char *uid)
{
	struct chain *ch = c->chains;
	while (ch && strcmp(ch->rec.uid, uid))
		ch = ch->next;
	return ch;
}

static void record_name(const char *uid, char out[64])
{
	snprintf(out, 64, "%.40s.json", uid);
}

bool chain_is_uid(const char *s)
{
	size_t n = strlen(s);
	return n && n < 40 && strspn(s, "0123456789abcdef-") == n;
}

/* The chain of which a process before this one left a record. 0, with *out NULL: there is none. */
static int chain_load(struct cni *c, const char *uid, struct chain **out, struct err *e)
{
	char name[64];
	_cleanup_buf_ struct buf b = { 0 };
	_cleanup_close_ int dir = open(c->s.cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	record_name(uid, name);
	*out = NULL;
	int r = dir < 0 ? -errno : read_file_at(dir, name, CNI_JSON_MAX, &b);
	if (r == -ENOENT)
		return 0;
	if (r)
		return err_sys(e, -r, "%s/%s", c->s.cache, name);
	struct chain *ch = chain_new(c);
	if (!ch)
		return err_set(e, ENOMEM, "not enough memory");
	r = cni_record_parse(buf_str(&b), b.len, &ch->rec, e);
	if (!r && strcmp(ch->rec.uid, uid))
		r = err_set(e, EINVAL, "it is of another pod");
	if (r) {
		chain_free(ch);
		return err_prefix(e, "%s/%s", c->s.cache, name);
	}
	chain_link(ch);
	*out = ch;
	return 0;
}

int chain_find_or_load(struct cni *c, const char *uid, struct chain **out, struct err *e)
{
	if (!chain_is_uid(uid))
		return err_set(e, EINVAL, "not a pod's uid");
	*out = chain_find(c, uid);
	return *out ? 0 : chain_load(c, uid, out, e);
}

int chain_store(void *arg, struct err *e)
{
	const struct chain *ch = arg;
	char name[64];
	_cleanup_buf_ struct buf b = { 0 };
	int made = mkdir_all(ch->cni->s.cache, 0700);
	_cleanup_close_ int dir = open(ch->cni->s.cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	record_name(ch->rec.uid, name);
	int r = made ? made : cni_record_text(&ch->rec, &b);
	if (!r)
		r = dir < 0 ? -errno : replace_file_at(dir, name, b.data, b.len, 0600);
	if (!r && fsync(dir))
		r = -errno;
	return r ? err_sys(e, -r, "%s/%s", ch->cni->s.cache, name) : 0;
}

void chain_forget(const struct chain *ch)
{
	char name[64];
	_cleanup_close_ int dir = open(ch->cni->s.cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	record_name(ch->rec.uid, name);
	if (dir >= 0)
		unlinkat(dir, name, 0);
}
