/* The members of the outer archive, laid aside: see spool.h. */
#include "runtime/image/spool.h"

#include "runtime/base/util.h"
#include "runtime/image/json.h"
#include "runtime/image/names.h"
#include "runtime/image/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int copy(struct tar *t, int fd, struct member *m, struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	const void *p;
	size_t len;
	uint64_t off;
	int r = digest_begin(&d, e);
	while (!r && (r = tar_data(t, &p, &len, &off, e)) > 0) {
		if (off != m->size)
			return err_set(e, EINVAL, "%.200s: a sparse file", m->name);
		digest_add(&d, p, len);
		m->size += len;
		r = write_all(fd, p, len);
		if (r)
			return err_sys(e, -r, "cannot store the archive");
	}
	return r ? r : digest_end(&d, m->hex, e);
}

/* An archive's link is a name relative to its own folder (symbolic) or to the archive (hard). */
static int link_target(const struct tar_entry *t, const char *name, char out[PATH_MAX], struct err *e)
{
	const char *to = t->link, *slash = t->hardlink ? NULL : strrchr(name, '/');
	size_t up = slash ? (size_t)(slash - name) : 0;
	while (!strncmp(to, "../", 3) && up) {
		to += 3;
		while (up && name[--up] != '/')
			;
	}
	char raw[2 * PATH_MAX];
	int n = snprintf(raw, sizeof raw, "%.*s%s%s", (int)up, name, up ? "/" : "", to);
	if (n >= (int)sizeof raw)
		return err_set(e, ENAMETOOLONG, "%.200s: its link is too long", name);
	return name_clean(raw, out, e);
}

static int add(struct spool *s, struct member **out, struct err *e)
{
	if (s->n >= SPOOL_MEMBERS_MAX)
		return err_set(e, E2BIG, "more than %d files in the archive", SPOOL_MEMBERS_MAX);
	if (!(s->n & (s->n - 1))) { /* a power of two: full */
		struct member *v = reallocarray(s->v, s->n ? 2 * s->n : 1, sizeof *v);
		if (!v)
			return err_set(e, ENOMEM, "not enough memory");
		s->v = v;
	}
	struct member *m = &s->v[s->n];
	*m = (struct member){ 0 };
	snprintf(m->file, sizeof m->file, "%zu", s->n++);
	*out = m;
	return 0;
}

static int take_file(struct spool *s, struct tar *t, struct member *m, struct err *e)
{
	_cleanup_close_ int fd = openat(s->dir, m->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot store the archive");
	return copy(t, fd, m, e);
}

static int take_entry(struct spool *s, struct tar *t, const struct tar_entry *te, struct err *e)
{
	char name[PATH_MAX], link[PATH_MAX];
	bool is_link = te->hardlink || te->type == S_IFLNK;
	int r = name_clean(te->name, name, e);
	if (r || !*name || !(is_link || te->type == S_IFREG))
		return r;
	if (is_link && (r = link_target(te, name, link, e)))
		return r;
	struct member *m = NULL;
	r = add(s, &m, e);
	if (r)
		return r;
	m->name = strdup(name);
	m->link = is_link ? strdup(link) : NULL;
	if (!m->name || (is_link && !m->link))
		return err_set(e, ENOMEM, "not enough memory");
	return is_link ? 0 : take_file(s, t, m, e);
}

static int take_all(struct spool *s, int fd, uint64_t max, struct err *e)
{
	_cleanup_tar_ struct tar *t = NULL;
	struct tar_source src = { .fd = fd, .left = &max };
	struct tar_entry te;
	int r = tar_open(&src, &t, e);
	while (!r && (r = tar_next(t, &te, e)) > 0)
		r = take_entry(s, t, &te, e);
	/* Whoever writes the archive is not to be killed by SIGPIPE for the padding at its end. */
	return r ? r : tar_drain(t, e);
}

int spool_read(int work, int fd, uint64_t max, struct spool *out, struct err *e)
{
	struct spool s = { .dir = -1 };
	if (mkdirat(work, "members", 0700))
		return err_sys(e, errno, "cannot store the archive");
	s.dir = openat(work, "members", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = s.dir < 0 ? err_sys(e, errno, "cannot store the archive") : take_all(&s, fd, max, e);
	if (!r && !s.n)
		r = err_set(e, EINVAL, "the archive is empty");
	if (r)
		spool_free(&s);
	else
		*out = s;
	return r;
}

void spool_free(struct spool *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].link);
	}
	free(s->v);
	close_fd(&s->dir);
	*s = (struct spool){ .dir = -1 };
}

/* As in tar: of two members of one name the later one counts. */
static const struct member *find_one(const struct spool *s, const char *name)
{
	for (size_t i = s->n; i-- > 0;)
		if (!strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

const struct member *spool_find(const struct spool *s, const char *name)
{
	char clean[PATH_MAX];
	if (name_clean(name, clean, NULL))
		return NULL;
	const struct member *m = find_one(s, clean);
	for (int hops = 0; m && m->link && hops < 8; hops++)
		m = find_one(s, m->link);
	return m && m->link ? NULL : m;
}

int spool_blob(const struct spool *s, const char *hex, const struct member **out, struct err *e)
{
	char name[16 + DIGEST_HEX];
	snprintf(name, sizeof name, "blobs/sha256/%s", hex);
	const struct member *m = spool_find(s, name);
	if (!m)
		return err_set(e, EINVAL, "%s is not in the archive", name);
	if (strcmp(m->hex, hex))
		return err_set(e, EBADMSG, "%s is damaged: its SHA-256 is %s", name, m->hex);
	*out = m;
	return 0;
}

int spool_open(const struct spool *s, const struct member *m, struct err *e)
{
	int fd = openat(s->dir, m->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot read %.200s again", m->name) : fd;
}

int spool_text(const struct spool *s, const struct member *m, struct buf *out, struct err *e)
{
	int r = read_file_at(s->dir, m->file, JSON_FILE_MAX, out);
	if (r == -EFBIG)
		return err_set(e, EFBIG, "%.200s: JSON of more than %d bytes", m->name, JSON_FILE_MAX);
	return r ? err_sys(e, -r, "cannot read %.200s again", m->name) : 0;
}

void spool_drop(const struct spool *s, const struct member *m)
{
	unlinkat(s->dir, m->file, 0);
}
