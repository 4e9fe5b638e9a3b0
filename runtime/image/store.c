/* The server's table of images: see image.h.
 *
 * Owns the images in memory. Reads records and nothing else: no archive, no layer, no JSON. Runs in the server.
 */
#include "runtime/image/image.h"

#include "runtime/base/util.h"
#include "runtime/image/record.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct entry {
	struct image *img;
	char file[72];  /* its record, HEX.ini */
	struct stat st; /* of the record as it was read: a record is replaced, never written into */
};

struct images {
	char *layers; /* STATE/images/layers */
	int refs;
	struct entry *v; /* by written name */
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = strcmp(x->img->written, y->img->written);
	return c ? c : strcmp(x->img->canonical, y->img->canonical);
}

/* The image that was read from this very file, taken out of the old table. */
static struct image *take_known(struct images *s, const char *file, const struct stat *st)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct stat *old = &s->v[i].st;
		if (!strcmp(s->v[i].file, file) && old->st_ino == st->st_ino && old->st_size == st->st_size &&
		    !memcmp(&old->st_mtim, &st->st_mtim, sizeof old->st_mtim))
			return take_ptr(s->v[i].img);
	}
	return NULL;
}

static int load_entry(struct images *s, const char *file, struct entry *out, struct err *e)
{
	struct entry n = { 0 };
	if (fstatat(s->refs, file, &n.st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, errno, "refs/%s", file);
	snprintf(n.file, sizeof n.file, "%s", file);
	n.img = take_known(s, file, &n.st);
	int r = n.img ? 0 : record_load(s->refs, file, &n.img, e);
	if (!r)
		*out = n;
	return r;
}

static void free_entries(struct entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_free(v[i].img);
	free(v);
}

static int open_list(int refs, DIR **out, struct err *e)
{
	int fd = openat(refs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*out = fd < 0 ? NULL : fdopendir(fd);
	if (*out)
		return 0;
	int r = err_sys(e, errno, "cannot list the image records");
	if (fd >= 0)
		close(fd);
	return r;
}

int images_rescan(struct images *s, struct err *e)
{
	_cleanup_dir_ DIR *dir = NULL;
	struct entry *v = NULL;
	size_t n = 0;
	int first = open_list(s->refs, &dir, e);
	if (first)
		return first;
	struct dirent *de;
	while ((de = readdir(dir))) {
		struct entry *more = record_is_name(de->d_name) ? reallocarray(v, n + 1, sizeof *v) : NULL;
		if (!more)
			continue;
		v = more;
		int r = load_entry(s, de->d_name, &v[n], first ? NULL : e);
		n += !r;
		first = first ? first : r;
	}
	free_entries(s->v, s->n);
	if (n)
		qsort(v, n, sizeof *v, by_name);
	s->v = v;
	s->n = n;
	return first;
}

static char *join(const char *state, const char *below)
{
	char *s = malloc(strlen(state) + strlen(below) + 1);
	if (s)
		strcpy(stpcpy(s, state), below);
	return s;
}

int images_open(const char *state, struct images **out, struct err *e)
{
	_cleanup_free_ char *refs = NULL;
	struct images *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(e, ENOMEM, "not enough memory");
	s->refs = -1;
	s->layers = join(state, "/images/layers");
	refs = join(state, "/images/refs");
	if (!s->layers || !refs) {
		images_close(s);
		return err_set(e, ENOMEM, "not enough memory");
	}
	int r = mkdir_all(refs, 0700);
	s->refs = r ? -1 : open(refs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->refs < 0) {
		r = err_sys(e, r ? -r : errno, "cannot open the image store %s", refs);
		images_close(s);
		return r;
	}
	images_rescan(s, NULL);
	*out = s;
	return 0;
}

void images_close(struct images *s)
{
	if (!s)
		return;
	free_entries(s->v, s->n);
	close_fd(&s->refs);
	free(s->layers);
	free(s);
}

size_t images_count(const struct images *s)
{
	return s->n;
}

const struct image *images_at(const struct images *s, size_t i)
{
	return i < s->n ? s->v[i].img : NULL;
}

const struct image *images_find(const struct images *s, const char *reference)
{
	struct image_ref ref;
	const struct image *found = NULL;
	if (parse_reference(reference, strlen(reference), &ref, NULL))
		return NULL;
	for (size_t i = 0; i < s->n && !found; i++)
		if (!strcmp(s->v[i].img->canonical, ref.canonical))
			found = s->v[i].img;
	image_ref_free(&ref);
	return found;
}

int images_layers(const struct images *s, const struct image *i, struct strs *out)
{
	struct strs l = { 0 };
	for (size_t k = i->layers.n; k-- > 0;) {
		_cleanup_buf_ struct buf path = { 0 };
		buf_printf(&path, "%s/%s", s->layers, i->layers.v[k]);
		if (buf_status(&path) || strs_add(&l, path.data, path.len)) {
			strs_free(&l);
			return -ENOMEM;
		}
	}
	*out = l;
	return 0;
}
