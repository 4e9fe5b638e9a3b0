/* Plans and policies: what a request carried, kept. */
#include "runtime/pod/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* Texts of files may be large, and are not kept once they are written. */
static bool is_no_text(uint16_t key)
{
	return key != K_RECORD && key != K_HOSTS && key != K_RESOLV;
}

static bool is_etc(uint16_t key)
{
	return key == K_HOSTNAME || key == K_HOSTS || key == K_RESOLV;
}

/* Field by field as they lie there. */
static size_t copy_fields(const struct wire_in *in, bool (*kept)(uint16_t key), char *to)
{
	size_t pos = 0, before = 0, len, total = 0;
	uint16_t key;
	const char *data;
	for (; wire_next(in, &pos, &key, &data, &len); before = pos) {
		if (!kept(key))
			continue;
		if (to)
			memcpy(to + total, in->fields + before, pos - before);
		total += pos - before;
	}
	return total;
}

static struct plan *plan_of(const struct wire_in *in, bool (*kept)(uint16_t key))
{
	size_t len = copy_fields(in, kept, NULL);
	struct plan *pl = malloc(sizeof *pl + len);
	if (!pl)
		return NULL;
	*pl = (struct plan){ 0 };
	pl->len = copy_fields(in, kept, pl->fields);
	return pl;
}

struct plan *plan_new(const struct wire_in *in)
{
	return plan_of(in, is_no_text);
}

struct plan *plan_etc(const struct wire_in *in, const struct plan *old)
{
	struct plan *new = plan_of(in, is_etc);
	struct wire_in was = plan_view(old);
	size_t pos = 0, before = 0, len;
	uint16_t key;
	const char *data;
	struct plan *both = new && old ? realloc(new, sizeof *new + new->len + old->len) : NULL;
	if (!both)
		return new;
	for (; wire_next(&was, &pos, &key, &data, &len); before = pos) {
		if (wire_find(in, key, &len))
			continue;
		memcpy(both->fields + both->len, was.fields + before, pos - before);
		both->len += pos - before;
	}
	return both;
}

void plan_free(struct plan *pl)
{
	if (!pl)
		return;
	for (unsigned i = 0; i < pl->nheld; i++)
		close(pl->held[i]);
	free(pl->held);
	free(pl);
}

/* Whoever removes it takes the lock exclusively first; it may have been quicker than our lock. */
static int lock_layer(int fd, const char *dir)
{
	struct stat mine, named;
	if (flock(fd, LOCK_SH | LOCK_NB) || fstat(fd, &mine) || stat(dir, &named))
		return errno == EWOULDBLOCK || errno == ENOENT ? -ESTALE : -errno;
	return mine.st_ino == named.st_ino && mine.st_dev == named.st_dev ? 0 : -ESTALE;
}

static int hold_layer(struct plan *pl, const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? err_set(e, ESTALE, "layer %s is not there any more", dir) : err_sys(e, errno, "layer %s", dir);
	pl->held[pl->nheld++] = fd;
	int r = lock_layer(fd, dir);
	if (r == -ESTALE)
		return err_set(e, ESTALE, "layer %s is being removed", dir);
	return r ? err_sys(e, -r, "layer %s", dir) : 0;
}

int plan_hold(struct plan *pl, struct err *e)
{
	struct wire_in in = plan_view(pl);
	size_t pos = 0, len;
	unsigned n = 0;
	uint16_t key;
	const char *data;
	int r = 0;
	if (!wire_get_u64(&in, K_HOLD, 0))
		return 0;
	while (wire_next(&in, &pos, &key, &data, &len))
		n += key == K_LAYER;
	pos = 0;
	pl->held = calloc(n + 1, sizeof *pl->held);
	if (!pl->held)
		return err_set(e, ENOMEM, "out of memory");
	while (!r && wire_next(&in, &pos, &key, &data, &len))
		if (key == K_LAYER)
			r = hold_layer(pl, data, e);
	return r;
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
