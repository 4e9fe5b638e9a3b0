/* References as paths: see image_name.h. */
#include "fs/image_name.h"

#include <string.h>

bool image_path_of(const char *reference, char out[IMAGE_PATH_MAX])
{
	size_t len = 0;
	*out = 0;
	for (const char *s = reference; *s; s++) {
		if (len + 1 >= IMAGE_PATH_MAX) {
			*out = 0;
			return false;
		}
		if (*s == '/' && (!len || out[len - 1] == '/'))
			continue;
		out[len++] = *s;
	}
	len -= len && out[len - 1] == '/';
	out[len] = 0;
	return len;
}

void image_reference_of(const char *path, char out[IMAGE_PATH_MAX])
{
	static const char docker[] = "docker:/";
	bool cut = !strncmp(path, docker, strlen(docker));
	snprintf(out, IMAGE_PATH_MAX, "%s%s", cut ? "docker://" : "", path + (cut ? strlen(docker) : 0));
}

/* oci:/PATH: is oci:/PATH, and what it is called where that is a folder too. */
static bool drop_colon(char *reference)
{
	size_t len = strlen(reference);
	if (!len || reference[len - 1] != ':')
		return false;
	reference[len - 1] = 0;
	return true;
}

const struct image *image_at(const struct engine *en, const char *path)
{
	char reference[IMAGE_PATH_MAX];
	image_reference_of(path, reference);
	const struct image *im = images_find(en->images, reference);
	return im || !drop_colon(reference) ? im : images_find(en->images, reference);
}

const struct pull *image_pull_at(const struct engine *en, const char *path)
{
	char reference[IMAGE_PATH_MAX];
	image_reference_of(path, reference);
	const struct pull *p = engine_pull_find(en, reference);
	return p || !drop_colon(reference) ? p : engine_pull_find(en, reference);
}

void image_names_begin(struct image_names *it, const struct engine *en)
{
	it->en = en;
	it->next = 0;
	it->pull = NULL;
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
	it->pull = it->next_pull;
	if (!it->pull)
		return false;
	put_names(it, it->pull->reference, it->pull->canonical);
	it->next_pull = it->pull->next;
	return true;
}
