/* Unit tests of the server's half of the image store, and of names in archives. */
#include "tests/unit/unit.h"

#include "runtime/base/util.h"
#include "runtime/image/names.h"
#include "runtime/image/record.h"
#include "runtime/parse/parse.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LAYER_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LAYER_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void names_are_made_plain(void **state UNUSED)
{
	static const struct { const char *raw, *clean; } good[] = {
		{ "a", "a" }, { "./a//b/", "a/b" }, { "./", "" }, { "", "" }, { "a/./b", "a/b" }, { "...", "..." },
		{ "..a/b..", "..a/b.." }, { ".", "" },
	};
	static const char *const bad[] = { "/", "/a", "..", "a/..", "../a", "a/../b", "./..", "a/b/.." };
	char out[PATH_MAX];
	struct err e;
	EACH(good, i) {
		assert_int_equal(name_clean(good[i].raw, out, &e), 0);
		assert_string_equal(out, good[i].clean);
	}
	EACH(bad, i)
		assert_int_equal(name_clean(bad[i], out, &e), -EINVAL);
}

static void names_have_limits(void **state UNUSED)
{
	char out[PATH_MAX];
	struct err e;
	char *part = filled(NAME_MAX + 1, 'n');
	assert_int_equal(name_clean(part, out, &e), -ENAMETOOLONG);
	part[NAME_MAX] = 0;
	assert_int_equal(name_clean(part, out, &e), 0);
	free(part);
	char *path = filled(2 * PATH_MAX, 'n');
	for (size_t i = 1; i < 2 * PATH_MAX; i += 2)
		path[i] = '/';
	assert_int_equal(name_clean(path, out, &e), -ENAMETOOLONG);
	path[PATH_MAX - 2] = 0;
	assert_int_equal(name_clean(path, out, &e), 0);
	free(path);
}

static void whiteouts_are_told_apart(void **state UNUSED)
{
	static const struct { const char *name; enum name_kind kind; const char *base; } good[] = {
		{ "a/b", NAME_PLAIN, "b" }, { "a", NAME_PLAIN, "a" }, { "", NAME_PLAIN, "" }, { ".wh", NAME_PLAIN, ".wh" },
		{ ".wh.a", NAME_WHITEOUT, "a" }, { "d/.wh.a", NAME_WHITEOUT, "a" }, { ".wh....", NAME_WHITEOUT, "..." },
		{ "d/.wh..wh..opq", NAME_OPAQUE, NULL }, { ".wh..wh.plnk/1", NAME_AUFS, NULL }, { ".wh..wh.aufs", NAME_AUFS, NULL },
	};
	static const char *const bad[] = { ".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh...", ".wh.d/a", "a/.wh.d/b" };
	enum name_kind kind;
	const char *base;
	struct err e;
	EACH(good, i) {
		assert_int_equal(name_kind(good[i].name, &kind, &base, &e), 0);
		assert_int_equal(kind, good[i].kind);
		if (good[i].base)
			assert_string_equal(base, good[i].base);
	}
	EACH(bad, i)
		assert_int_equal(name_kind(bad[i], &kind, &base, &e), -EINVAL);
}

static void add(struct strs *l, const char *s)
{
	assert_int_equal(strs_add(l, s, strlen(s)), 0);
}

static struct image *sample(const char *written, const char *canonical)
{
	struct image *img = calloc(1, sizeof *img);
	assert_non_null(img);
	img->written = strdup(written);
	img->canonical = strdup(canonical);
	img->digest = strdup("sha256:" LAYER_A);
	img->user = strdup("app:extra");
	img->size = UINT64_MAX;
	img->imported_ns = 1600000000123456789u;
	add(&img->layers, LAYER_A);
	add(&img->layers, LAYER_B);
	add(&img->layer_sizes, "0");
	add(&img->layer_sizes, "18446744073709551615");
	add(&img->cmd, "");
	add(&img->cmd, " two words; # no comment \n\t\\ \x1b[31m");
	char *big = filled(10000, 'x');
	add(&img->env, big);
	free(big);
	add(&img->env, "A=");
	return img;
}

static void records_lose_nothing(void **state UNUSED)
{
	struct image *img = sample("nginx", "docker.io/library/nginx:latest"), *back;
	struct buf text = { 0 }, again = { 0 };
	struct err e;
	assert_int_equal(image_record_write(img, &text, &e), 0);
	char *copy = exact(text.data, text.len);
	assert_int_equal(image_record_read("r", copy, text.len, &back, &e), 0);
	assert_string_equal(back->written, "nginx");
	assert_null(back->workdir);
	assert_null(back->manifest_digest);
	assert_true(back->size == UINT64_MAX);
	assert_int_equal(back->layer_sizes.n, 2);
	assert_string_equal(back->layer_sizes.v[1], "18446744073709551615");
	assert_int_equal(back->cmd.n, 2);
	assert_string_equal(back->cmd.v[1], img->cmd.v[1]);
	assert_int_equal(strlen(back->env.v[0]), 10000);
	assert_int_equal(back->entrypoint.n, 0);
	assert_int_equal(image_record_write(back, &again, &e), 0);
	assert_string_equal(buf_str(&text), buf_str(&again));
	free(copy);
	image_free(img);
	image_free(back);
	buf_free(&text);
	buf_free(&again);
}

static void bad_records_are_refused(void **state UNUSED)
{
	static const char *const bad[] = {
		"", "[image]\ncanonical = a\n", "[image]\ncanonical = a\nwritten = b\ndigest = c\nlayer = ../../etc\n",
		"[image]\ncanonical = a\nwritten = b\ndigest = c\nsize = x\n",
		"[image]\ncanonical = a\nwritten = b\ndigest = c\nuser = \\q\n",
		"[image]\ncanonical = a\nwritten = b\ndigest = c\nuser = a\\x00b\n",
	};
	struct image *img = NULL;
	struct err e;
	EACH(bad, i) {
		assert_int_equal(image_record_read("r", bad[i], strlen(bad[i]), &img, &e), -EINVAL);
		assert_null(img);
	}
}

/* A state directory of its own, removed at the end. */
static char dir[] = "/tmp/podfs-test-image-XXXXXX";

static int make_dir(void **state UNUSED)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state UNUSED)
{
	return remove_tree_at(AT_FDCWD, dir);
}

static void put_record(const char *file, const char *written, const char *canonical)
{
	char refs[100], name[80];
	struct err e;
	struct buf text = { 0 };
	snprintf(refs, sizeof refs, "%s/images/refs", dir);
	snprintf(name, sizeof name, "%s.ini", file);
	struct image *img = sample(written, canonical);
	assert_int_equal(image_record_write(img, &text, &e), 0);
	int fd = open(refs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(replace_file_at(fd, name, text.data, text.len, 0600), 0);
	close(fd);
	image_free(img);
	buf_free(&text);
}

static void the_table_follows_the_records(void **state UNUSED)
{
	struct images *s;
	struct err e = { 0 };
	assert_int_equal(images_open(dir, &s, &e), 0);
	assert_int_equal(images_count(s), 0);
	put_record(LAYER_B, "zebra:1", "docker.io/library/zebra:1");
	put_record(LAYER_A, "ant", "docker.io/library/ant:latest");
	assert_int_equal(images_rescan(s, &e), 0);
	assert_int_equal(images_count(s), 2);
	assert_string_equal(images_at(s, 0)->written, "ant");
	assert_null(images_at(s, 2));
	const struct image *zebra = images_find(s, "docker.io/zebra:1");
	assert_ptr_equal(zebra, images_at(s, 1));
	assert_null(images_find(s, "zebra"));
	assert_null(images_find(s, "NOT A REFERENCE"));
	put_record(LAYER_A, "ant:latest", "docker.io/library/ant:latest");
	assert_int_equal(images_rescan(s, &e), 0);
	assert_ptr_equal(zebra, images_find(s, "zebra:1"));
	assert_string_equal(images_find(s, "ant")->written, "ant:latest");
	images_close(s);
}

static void a_broken_record_hides_only_itself(void **state UNUSED)
{
	struct images *s;
	struct err e = { 0 };
	char path[200];
	snprintf(path, sizeof path, "%s/images/refs/%s.ini", dir, LAYER_A);
	assert_int_equal(images_open(dir, &s, &e), 0);
	assert_int_equal(write_file(path, "rubbish", 7), 0);
	assert_int_equal(images_rescan(s, &e), -EINVAL);
	assert_non_null(strstr(e.text, LAYER_A ".ini"));
	assert_int_equal(images_count(s), 1);
	assert_non_null(images_find(s, "zebra:1"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(images_rescan(s, &e), 0);
	images_close(s);
}

static void layers_are_folders_topmost_first(void **state UNUSED)
{
	struct images *s;
	struct strs l = { 0 };
	char want[200];
	assert_int_equal(images_open(dir, &s, NULL), 0);
	assert_int_equal(images_layers(s, images_at(s, 0), &l), 0);
	assert_int_equal(l.n, 2);
	snprintf(want, sizeof want, "%s/images/layers/%s", dir, LAYER_B);
	assert_string_equal(l.v[0], want);
	strs_free(&l);
	images_close(s);
}

static void what_is_shown_has_no_control_bytes(void **state UNUSED)
{
	struct image *img = sample("nginx", "docker.io/library/nginx:latest");
	struct buf out = { 0 };
	image_show(img, &out);
	assert_int_equal(buf_status(&out), 0);
	for (size_t i = 0; i < out.len; i++)
		assert_true((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n');
	assert_non_null(strstr(out.data, "Name:        docker.io/library/nginx:latest\n"));
	assert_non_null(strstr(out.data, "User:        app:extra\n"));
	image_free(img);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_made_plain),
		cmocka_unit_test(names_have_limits),
		cmocka_unit_test(whiteouts_are_told_apart),
		cmocka_unit_test(records_lose_nothing),
		cmocka_unit_test(bad_records_are_refused),
		cmocka_unit_test(the_table_follows_the_records),
		cmocka_unit_test(a_broken_record_hides_only_itself),
		cmocka_unit_test(layers_are_folders_topmost_first),
		cmocka_unit_test(what_is_shown_has_no_control_bytes),
	};
	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
