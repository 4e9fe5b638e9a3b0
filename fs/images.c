/* .node/images: the names. See images.h; what is written there is in upload.c. */
#include "fs/images.h"

#include "fs/image_name.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>

#define PATHS 1024     /* remembered; the oldest makes room */
#define FOLDERS_MAX 256
#define SERIAL_MASK ((1ull << 40) - 1)

struct image_paths {
	struct known {
		uint64_t serial;
		char *path;
	} known[PATHS];
	size_t next;
	struct strs folders; /* made and still empty */
};

/* FNV-1a, folded to the bits of a serial. */
static uint64_t serial_of(const char *path, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)path[i]) * 0x100000001b3u;
	return (h ^ h >> 40) & SERIAL_MASK;
}

static struct image_paths *paths_of(struct fs *fs)
{
	if (!fs->paths)
		fs->paths = calloc(1, sizeof *fs->paths);
	return fs->paths;
}

static const char *recall(const struct image_paths *p, uint64_t serial)
{
	for (size_t i = 0; i < PATHS; i++)
		if (p->known[i].path && p->known[i].serial == serial)
			return p->known[i].path;
	return NULL;
}

static const char *remember(struct image_paths *p, const char *path, size_t len)
{
	uint64_t serial = serial_of(path, len);
	const char *have = recall(p, serial);
	if (have)
		return have;
	char *copy = strndup(path, len);
	if (!copy)
		return NULL;
	struct known *k = &p->known[p->next++ % PATHS];
	free(k->path);
	*k = (struct known){ serial, copy };
	return copy;
}

/* The path itself or one of its folders. */
static const char *match(struct image_paths *p, const char *path, uint64_t serial)
{
	for (size_t n = 0;; n++) {
		n += strcspn(path + n, "/");
		if (serial_of(path, n) == serial)
			return remember(p, path, n);
		if (!path[n])
			return NULL;
	}
}

const char *image_path(struct fs *fs, uint64_t serial)
{
	struct image_paths *p = paths_of(fs);
	const char *path = p ? recall(p, serial) : NULL;
	struct image_names it;
	image_names_begin(&it, fs->en);
	while (p && !path && image_names_next(&it)) {
		path = match(p, it.written, serial);
		if (!path)
			path = match(p, it.canonical, serial);
	}
	return path;
}

/* --- what there is --- */

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return !strncmp(path, folder, n) && path[n] == '/';
}

/* A registry's name as a first component (distribution/reference: it has a dot, or is localhost; maybe a port). It is a folder
 * before anything is in it, so that `cp x.tar images/localhost:5000/app:1` needs no mkdir first. */
static bool is_registry(const char *path)
{
	size_t host = strcspn(path, ":/");
	const char *port = path[host] == ':' ? path + host + 1 : "0";
	if (strchr(path, '/') || !*port || port[strspn(port, "0123456789")])
		return false;
	return memchr(path, '.', host) || (host == 9 && !memcmp(path, "localhost", host));
}

/* `library` of docker.io/library/nginx may be left out, and so may docker.io itself. */
static bool is_above(const char *path, const char *canonical)
{
	static const char hub[] = "docker.io/";
	return is_below(canonical, path) || (!strncmp(canonical, hub, strlen(hub)) && is_below(canonical + strlen(hub), path));
}

static bool is_image(struct fs *fs, const char *path)
{
	return image_at(fs->en, path) || image_pull_at(fs->en, path);
}

static bool is_folder(struct fs *fs, const char *path)
{
	static const char docker[] = "docker:"; /* says nothing: see image_name.h */
	const struct image_paths *p = paths_of(fs);
	if (!strcmp(path, docker))
		return true;
	if (is_below(path, docker))
		path += strlen(docker) + 1;
	for (size_t i = 0; p && i < p->folders.n; i++)
		if (!strcmp(p->folders.v[i], path) || is_below(p->folders.v[i], path))
			return true;
	struct image_names it;
	image_names_begin(&it, fs->en);
	while (image_names_next(&it))
		if (is_below(it.written, path) || is_above(path, it.canonical))
			return true;
	return is_registry(path) && !is_image(fs, path);
}

/* dir/name; -ENAMETOOLONG. */
static int join(const struct node *dir, const char *name, char out[IMAGE_PATH_MAX])
{
	const char *at = dir->ref.path;
	int n = at ? snprintf(out, IMAGE_PATH_MAX, "%s/%s", at, name) : snprintf(out, IMAGE_PATH_MAX, "%s", name);
	return n < IMAGE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int path_node(struct fs *fs, const char *path, unsigned row, struct node *out)
{
	struct image_paths *p = paths_of(fs);
	const char *kept = p ? remember(p, path, strlen(path)) : NULL;
	if (!kept)
		return -ENOMEM;
	node_make(fs, &rows[row], serial_of(kept, strlen(kept)), &(struct ref){ .path = kept }, out);
	return 0;
}

int image_child(const struct node *dir, const char *name, struct node *out)
{
	char path[IMAGE_PATH_MAX];
	int r = join(dir, name, path);
	if (r)
		return -ENOENT;
	if (is_folder(dir->fs, path))
		return path_node(dir->fs, path, R_IMAGE_DIR, out);
	if (!is_image(dir->fs, path))
		return -ENOENT;
	return path_node(dir->fs, path, R_IMAGE, out);
}

/* --- listing --- */

struct lister {
	const struct node *dir;
	entry_fn *fn;
	void *arg;
	struct strs folders; /* told already */
};

static bool told(struct lister *l, const char *name, size_t len)
{
	for (size_t i = 0; i < l->folders.n; i++)
		if (strlen(l->folders.v[i]) == len && !memcmp(l->folders.v[i], name, len))
			return true;
	return strs_add(&l->folders, name, len) != 0;
}

static void tell(struct lister *l, const char *name, unsigned row)
{
	char path[IMAGE_PATH_MAX];
	struct node n;
	if (!join(l->dir, name, path) && !path_node(l->dir->fs, path, row, &n))
		l->fn(l->arg, name, &n);
}

/* The part of path that stands in the folder. An image whose name is a folder's too is shown with its tag, and one at a path
 * of the host with the colon that would come before its name there. */
static void list_path(struct lister *l, const char *path, bool folder)
{
	const char *at = l->dir->ref.path;
	char name[IMAGE_PATH_MAX];
	if (at ? !is_below(path, at) : !*path)
		return;
	const char *rest = at ? path + strlen(at) + 1 : path;
	size_t len = strcspn(rest, "/");
	snprintf(name, sizeof name, "%.*s", (int)len, rest);
	if (rest[len] || folder) {
		if (!told(l, rest, len))
			tell(l, name, R_IMAGE_DIR);
		return;
	}
	if (is_folder(l->dir->fs, path))
		snprintf(name, sizeof name, "%.*s%s", (int)len, rest, strstr(path, ":/") ? ":" : ":latest");
	tell(l, name, R_IMAGE);
}

void image_list(const struct node *dir, entry_fn *fn, void *arg)
{
	struct lister l = { .dir = dir, .fn = fn, .arg = arg };
	const struct image_paths *p = paths_of(dir->fs);
	struct image_names it;
	image_names_begin(&it, dir->fs->en);
	while (image_names_next(&it))
		if (!it.pull || !images_find(it.en->images, it.pull->canonical))
			list_path(&l, it.written, false);
	for (size_t i = 0; p && i < p->folders.n; i++)
		list_path(&l, p->folders.v[i], true);
	strs_free(&l.folders);
}

/* --- making and removing --- */

static int check_reference(const char *path, struct err *e)
{
	char reference[IMAGE_PATH_MAX];
	struct image_ref ref = { 0 };
	image_reference_of(path, reference);
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (!r && ref.dir)
		r = err_set(e, EINVAL, "%s: a folder is not imported, it is used where it is", path);
	if (!r && ref.local)
		r = err_set(e, EINVAL, "%s: what is on the host is not imported: write it to .node/pull", path);
	image_ref_free(&ref);
	return r;
}

int image_create(const struct node *dir, const char *name, struct node *out)
{
	char path[IMAGE_PATH_MAX];
	struct err e = { 0 };
	int r = join(dir, name, path);
	if (r)
		return r;
	r = check_reference(path, &e);
	return r ? node_refused(dir, &e) : path_node(dir->fs, path, R_IMAGE, out);
}

/* A folder is what a reference may begin with. */
int image_mkdir(const struct node *dir, const char *name, struct node *out)
{
	char path[IMAGE_PATH_MAX], probe[IMAGE_PATH_MAX + 2];
	struct err e = { 0 };
	struct image_paths *p = paths_of(dir->fs);
	int r = p ? join(dir, name, path) : -ENOMEM;
	if (r)
		return r;
	snprintf(probe, sizeof probe, "%s/x", path);
	r = check_reference(probe, &e);
	if (!r && p->folders.n >= FOLDERS_MAX)
		r = err_set(&e, ENOSPC, "%s: at most %d folders are kept empty", path, FOLDERS_MAX);
	if (r)
		return node_refused(dir, &e);
	r = strs_add(&p->folders, path, strlen(path));
	return r ? r : path_node(dir->fs, path, R_IMAGE_DIR, out);
}

int image_rmdir(const struct node *n)
{
	struct strs *f = &paths_of(n->fs)->folders;
	size_t at = f->n;
	for (size_t i = 0; i < f->n; i++) {
		if (is_below(f->v[i], n->ref.path))
			return -ENOTEMPTY;
		if (!strcmp(f->v[i], n->ref.path))
			at = i;
	}
	struct image_names it;
	image_names_begin(&it, n->fs->en);
	while (image_names_next(&it))
		if (is_below(it.written, n->ref.path))
			return -ENOTEMPTY;
	if (at == f->n)
		return -ENOTEMPTY; /* it comes with the full name of an image */
	free(f->v[at]);
	memmove(f->v + at, f->v + at + 1, (f->n - at) * sizeof *f->v); /* with the NULL at the end */
	f->n--;
	return 0;
}
