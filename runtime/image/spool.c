/* The members of the outer archive, laid aside: see spool.h. */
#include "runtime/image/spool.h"

#include "runtime/base/util.h"
#include "runtime/image/disk.h"
#include "runtime/image/json.h"
#include "runtime/image/names.h"
#include "runtime/image/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define HASH_CHUNK (256 * 1024)

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
	s->names += strlen(name) + (is_link ? strlen(link) : 0);
	if (s->names > SPOOL_NAMES_MAX)
		return err_set(e, E2BIG, "more than %d bytes of names in the archive", SPOOL_NAMES_MAX);
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

/* --- an OCI layout --- */

/* Those blobs of a layout that need not be read again. */
struct checked {
	const struct strs *known, *placeholders;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has(const struct strs *l, const char *hex)
{
	return l->n && bsearch(&hex, l->v, l->n, sizeof *l->v, by_text);
}

static int hash_file(int fd, const char *name, char hex[DIGEST_HEX + 1], struct err *e)
{
	_cleanup_digest_ struct digest d = { 0 };
	_cleanup_free_ char *chunk = malloc(HASH_CHUNK);
	int r = chunk ? digest_begin(&d, e) : err_set(e, ENOMEM, "not enough memory");
	ssize_t n = 0;
	while (!r && (n = read(fd, chunk, HASH_CHUNK)) > 0) {
		digest_add(&d, chunk, (size_t)n);
		if (tar_cancelled)
			r = err_set(e, ECANCELED, "cancelled");
	}
	if (!r && n < 0)
		r = err_sys(e, errno, "cannot read %.100s", name);
	return r ? r : digest_end(&d, hex, e);
}

static int open_member(const struct spool *s, const char *name, uint64_t *size, struct err *e)
{
	struct stat st;
	_cleanup_close_ int fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return err_sys(e, errno, "cannot read %.100s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%.100s is no file", name);
	*size = (uint64_t)st.st_size;
	return take_fd(&fd);
}

/* hex: what a blob is called, else NULL. */
static int lay_file(struct spool *s, const char *name, const char *hex, const struct checked *c, struct err *e)
{
	struct member *m;
	uint64_t size = 0;
	_cleanup_close_ int fd = open_member(s, name, &size, e);
	int r = fd < 0 ? fd : add(s, &m, e);
	if (r)
		return r;
	m->name = strdup(name);
	m->size = size;
	snprintf(m->file, sizeof m->file, "%s", name);
	if (!m->name)
		return err_set(e, ENOMEM, "not enough memory");
	m->placeholder = hex && has(c->placeholders, hex);
	if (!m->placeholder && !(hex && has(c->known, hex)))
		return hash_file(fd, name, m->hex, e);
	memcpy(m->hex, hex, DIGEST_HEX + 1);
	return 0;
}

static int lay_blobs(struct spool *s, const struct checked *c, struct err *e)
{
	_cleanup_close_ int fd = openat(s->dir, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *dir = fd < 0 ? NULL : disk_list(fd);
	if (!dir)
		return err_sys(e, errno, "cannot list the blobs");
	struct dirent *de;
	int r = 0;
	while (!r && (de = readdir(dir))) {
		char name[16 + DIGEST_HEX];
		if (!digest_is_hex(de->d_name, strlen(de->d_name)))
			continue;
		snprintf(name, sizeof name, "blobs/sha256/%.64s", de->d_name);
		r = lay_file(s, name, de->d_name, c, e);
	}
	return r;
}

int spool_layout(int layout, struct strs *known, struct strs *placeholders, struct spool *out, struct err *e)
{
	const struct checked c = { known, placeholders };
	struct spool s = { .dir = openat(layout, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .layout = true };
	if (known->n)
		qsort(known->v, known->n, sizeof *known->v, by_text);
	if (placeholders->n)
		qsort(placeholders->v, placeholders->n, sizeof *placeholders->v, by_text);
	int r = s.dir < 0 ? err_sys(e, errno, "cannot open the layout") : lay_file(&s, "index.json", NULL, &c, e);
	if (!r)
		r = lay_file(&s, "oci-layout", NULL, &c, e);
	if (!r)
		r = lay_blobs(&s, &c, e);
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

/* A layout's keeps its size: skopeo takes it for the blob when it is run again. */
void spool_drop(const struct spool *s, const struct member *m)
{
	if (s->layout)
		blob_hollow(s->dir, m->file);
	else
		unlinkat(s->dir, m->file, 0);
}

void blob_hollow(int dir, const char *file)
{
	_cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd >= 0 && !fstat(fd, &st) && st.st_size)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
}
