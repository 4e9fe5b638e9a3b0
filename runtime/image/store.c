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
#include <sys/xattr.h>

/* When the image was last used: of its record, so that it goes with it. Digits. */
#define USED_XATTR "trusted.podfs.used"
#define USED_STEP_NS (60 * 1000000000ull) /* noted no finer than that: a start must not write to the disk each time */

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

/* Through /proc, as no xattr call takes a folder and a name. */
static void record_path(const struct images *s, const char *file, char out[128])
{
	snprintf(out, 128, "/proc/self/fd/%d/%s", s->refs, file);
}

static uint64_t read_used(const struct images *s, const char *file)
{
	char path[128], digits[24] = "";
	record_path(s, file, path);
	ssize_t n = lgetxattr(path, USED_XATTR, digits, sizeof digits - 1);
	return n > 0 ? strtoull(digits, NULL, 10) : 0;
}

static int load_entry(struct images *s, const char *file, struct entry *out, struct err *e)
{
	struct entry n = { 0 };
	if (fstatat(s->refs, file, &n.st, AT_SYMLINK_NOFOLLOW))
		return err_sys(e, errno, "refs/%s", file);
	snprintf(n.file, sizeof n.file, "%s", file);
	n.img = take_known(s, file, &n.st);
	int r = n.img ? 0 : record_load(s->refs, file, &n.img, e);
	if (r)
		return r;
	if (!n.img->used_ns)
		n.img->used_ns = read_used(s, file);
	*out = n;
	return 0;
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

void images_use(struct images *s, const struct image *i)
{
	for (size_t k = 0; k < s->n; k++) {
		struct image *img = s->v[k].img;
		if (img != i)
			continue;
		uint64_t now = now_real_ns(), before = img->used_ns;
		char path[128], digits[24];
		img->used_ns = now;
		if (now - before < USED_STEP_NS)
			return;
		record_path(s, s->v[k].file, path);
		int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)now);
		lsetxattr(path, USED_XATTR, digits, (size_t)n, 0);
		return;
	}
}

struct sized {
	const char *layer;
	uint64_t size;
};

static int by_layer(const void *a, const void *b)
{
	return strcmp(((const struct sized *)a)->layer, ((const struct sized *)b)->layer);
}

/* Of each image that counts, its layers. Records of older versions have no sizes of layers: such an image is one. */
static size_t list_layers(const struct images *s, const bool *keep, struct sized *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct image *img = s->v[i].img;
		bool sized = img->layer_sizes.n == img->layers.n;
		if (keep && !keep[i])
			continue;
		for (size_t k = 0; sized && k < img->layers.n; k++)
			out[n++] = (struct sized){ img->layers.v[k], strtoull(img->layer_sizes.v[k], NULL, 10) };
		if (!sized)
			out[n++] = (struct sized){ img->canonical, img->size };
	}
	return n;
}

uint64_t images_bytes(const struct images *s, const bool *keep)
{
	size_t room = s->n;
	for (size_t i = 0; i < s->n; i++)
		room += s->v[i].img->layers.n;
	_cleanup_free_ struct sized *all = calloc(room + 1, sizeof *all);
	uint64_t sum = 0;
	size_t n = all ? list_layers(s, keep, all) : 0;
	if (n)
		qsort(all, n, sizeof *all, by_layer);
	for (size_t i = 0; i < n; i++)
		if (!i || strcmp(all[i].layer, all[i - 1].layer))
			sum += all[i].size;
	return sum;
}
