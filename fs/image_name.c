/* References as paths: see image_name.h. */
#include "fs/image_name.h"

#include <string.h>

static bool is_dots(const char *s, size_t n)
{
	return (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.');
}

bool image_path_of(const char *reference, char out[IMAGE_PATH_MAX])
{
	size_t len = 0;
	*out = 0;
	for (const char *s = reference; *s;) {
		size_t n = strcspn(s, "/");
		if (is_dots(s, n) || len + n + 2 > IMAGE_PATH_MAX) {
			*out = 0;
			return false;
		}
		if (n && len)
			out[len++] = '/';
		memcpy(out + len, s, n);
		len += n;
		out[len] = 0;
		s += n;
		s += strspn(s, "/");
	}
	return len;
}

void image_reference_of(const char *path, char out[IMAGE_PATH_MAX])
{
	static const char docker[] = "docker:/";
	size_t skip = strncmp(path, docker, strlen(docker)) ? 0 : strlen(docker);
	size_t len = strlen(path);
	bool unnamed = len && path[len - 1] == ':'; /* oci:/PATH: is oci:/PATH */
	snprintf(out, IMAGE_PATH_MAX, "%s%.*s", skip ? "docker://" : "", (int)(len - skip - unnamed), path + skip);
}

static bool makes(const char *reference, const char *path)
{
	char own[IMAGE_PATH_MAX];
	return image_path_of(reference, own) && !strcmp(own, path);
}

const struct image *image_at(const struct engine *en, const char *path)
{
	char reference[IMAGE_PATH_MAX];
	image_reference_of(path, reference);
	const struct image *found = images_find(en->images, reference);
	for (size_t i = 0; !found && i < images_count(en->images); i++) {
		const struct image *im = images_at(en->images, i);
		if (makes(im->written, path))
			found = im;
	}
	return found;
}

const struct pull *image_pull_at(const struct engine *en, const char *path)
{
	char reference[IMAGE_PATH_MAX];
	image_reference_of(path, reference);
	const struct pull *found = engine_pull_find(en, reference);
	for (const struct pull *p = engine_pulls(en); !found && p; p = p->next)
		if (makes(p->reference, path))
			found = p;
	return found;
}

void image_names_begin(struct image_names *it, const struct engine *en)
{
	it->en = en;
	it->next = 0;
	it->next_pull = engine_pulls(en);
}

static void put_names(struct image_names *it, const char *written, const char *canonical)
{
	image_path_of(written, it->written);
	image_path_of(canonical, it->canonical);
}

bool image_names_next(struct image_names *it)
{
	if (it->next < images_count(it->en->images)) {
		const struct image *im = images_at(it->en->images, it->next++);
		put_names(it, im->written, im->canonical);
		return true;
	}
	while (it->next_pull && images_find(it->en->images, it->next_pull->canonical))
		it->next_pull = it->next_pull->next;
	if (!it->next_pull)
		return false;
	put_names(it, it->next_pull->reference, it->next_pull->canonical);
	it->next_pull = it->next_pull->next;
	return true;
}
