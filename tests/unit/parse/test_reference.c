/* runtime/parse/reference: names are completed as the ecosystem does. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A128 A64 A64
#define OF(s) s, sizeof(s) - 1

static const char *const good[][2] = {
	{ "nginx", "docker.io/library/nginx:latest" },
	{ "nginx:alpine", "docker.io/library/nginx:alpine" },
	{ " nginx:alpine\n", "docker.io/library/nginx:alpine" },
	{ "library/nginx", "docker.io/library/nginx:latest" },
	{ "docker.io/nginx", "docker.io/library/nginx:latest" },
	{ "index.docker.io/nginx", "docker.io/library/nginx:latest" },
	{ "docker.io/library/nginx:1.25", "docker.io/library/nginx:1.25" },
	{ "user/app", "docker.io/user/app:latest" },
	{ "a/b/c:x", "docker.io/a/b/c:x" },
	{ "localhost/a", "localhost/a:latest" },
	{ "localhost:5000/a/b", "localhost:5000/a/b:latest" },
	{ "localhost:5000", "docker.io/library/localhost:5000" },
	{ "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9" },
	{ "quay.io/a/b", "quay.io/a/b:latest" },
	{ "Host/a", "Host/a:latest" },
	{ "127.0.0.1:5000/x:y", "127.0.0.1:5000/x:y" },
	{ "[::1]:5000/x", "[::1]:5000/x:latest" },
	{ "[fe80::1]/x", "[fe80::1]/x:latest" },
	{ "a.b_c__d-e---f", "docker.io/library/a.b_c__d-e---f:latest" },
	{ "x:_T.a-G", "docker.io/library/x:_T.a-G" },
	{ "x:" A128, "docker.io/library/x:" A128 },
	{ "x@sha256:" HEX64, "docker.io/library/x@sha256:" HEX64 },
	{ "x:tag@sha256:" HEX64, "docker.io/library/x@sha256:" HEX64 },
	{ "quay.io/x@sha512:" HEX64 HEX64, "quay.io/x@sha512:" HEX64 HEX64 },
	{ "user/" HEX64, "docker.io/user/" HEX64 ":latest" },
	{ "dir:/srv/root", "dir:/srv/root" },
	{ "dir:/", "dir:/" },
	{ "dir:/with blank/x:y@z\n", "dir:/with blank/x:y@z" },
	{ "dir:tag", "docker.io/library/dir:tag" },
	{ "docker://nginx", "docker.io/library/nginx:latest" },
	{ " docker://localhost:5000/a@sha256:" HEX64 "\n", "localhost:5000/a@sha256:" HEX64 },
	{ "docker:nginx", "docker.io/library/docker:nginx" },
	{ "oci:5000/x", "oci:5000/x:latest" },
	{ "oci:tag", "docker.io/library/oci:tag" },
	{ "oci:/srv/layout", "oci:/srv/layout" },
	{ "dir://srv///root//", "dir:/srv/root" },
	{ "dir:///", "dir:/" },
	{ "oci:/srv//..x/.y/z.:v1", "oci:/srv/..x/.y/z.:v1" },
	{ "oci:/srv/layout:v1 x\n", "oci:/srv/layout:v1 x" },
	{ "oci-archive:/srv/a.tar:v1", "oci-archive:/srv/a.tar:v1" },
	{ "docker-archive:/srv/a.tar:nginx:alpine", "docker-archive:/srv/a.tar:nginx:alpine" },
	{ "containers-storage:localhost/x:v1", "containers-storage:localhost/x:v1" },
	{ "containers-storage:[overlay@/var/lib/c+/run/c]x", "containers-storage:[overlay@/var/lib/c+/run/c]x" },
	{ "containers-storage", "docker.io/library/containers-storage:latest" },
};

static const struct {
	const char *text;
	size_t len;
} bad[] = {
	{ OF("") },
	{ OF("\n") },
	{ OF(":tag") },
	{ OF("@sha256:" HEX64) },
	{ OF("/x") },
	{ OF("x/") },
	{ OF("a//b") },
	{ OF("../x") },
	{ OF("a/../b") },
	{ OF("NGINX") },
	{ OF("user/App") },
	{ OF("a b") },
	{ OF("a\nb") },
	{ OF("a\0b") },
	{ OF("x:\0") },
	{ OF("x:") },
	{ OF("x:.y") },
	{ OF("x:-y") },
	{ OF("x:a b") },
	{ OF("x:a:b") },
	{ OF("x:" A128 "a") },
	{ OF("-x") },
	{ OF("x-") },
	{ OF(".x") },
	{ OF("x..y") },
	{ OF("x___y") },
	{ OF("x_.y") },
	{ OF("x@") },
	{ OF("x@sha256:abc") },
	{ OF("x@sha256:" HEX64 "0") },
	{ OF("x@sha256:0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF") },
	{ OF("x@md5:0123456789abcdef0123456789abcdef") },
	{ OF("x@sha256") },
	{ OF("x@sha256:" HEX64 "@sha256:" HEX64) },
	{ OF(HEX64) },
	{ OF("host.:x/y") },
	{ OF("-host.io/y") },
	{ OF("host.io:port/y") },
	{ OF("host.io:99999/y") },
	{ OF("host.io:/y") },
	{ OF("[::1/y") },
	{ OF("[::\0]/y") },
	{ OF("[::g]:1/y") },
	{ OF("localhost/") },
	{ OF("docker.io/") },
	{ OF("dir:/a\nb") },
	{ OF("dir:/a\0b") },
	{ OF("\xc3\xa4") },
	{ OF("docker://") },
	{ OF("docker:/nginx") },
	{ OF("docker:// nginx") },
	{ OF("docker://docker://nginx") },
	{ OF("docker://dir:/srv") },
	{ OF("docker://oci:/srv") },
	{ OF("docker-daemon://x") },
	{ OF("oci:/a\nb") },
	{ OF("oci-archive:/a\0b") },
	{ OF("docker-archive:srv/a.tar") },
	{ OF("dir:/srv/../etc") },
	{ OF("dir:/..") },
	{ OF("oci:/srv/.") },
	{ OF("oci-archive:/./a.tar") },
	{ OF("containers-storage:../x") },
	{ OF("containers-storage:") },
	{ OF("containers-storage: ") },
};

/* A place on this host stands for itself, a name is looked for in its registry. */
static void assert_source(const struct image_ref *r)
{
	assert_int_equal(r->local, !strncmp(r->canonical, "dir:", 4) || strstr(r->canonical, ":/") ||
					   !strncmp(r->canonical, "containers-storage:", 19));
	if (r->local)
		assert_string_equal(r->source, r->canonical);
	else
		assert_string_equal(r->source + strlen("docker://"), r->canonical);
	assert_int_equal(!strncmp(r->source, "docker://", 9), !r->local);
}

static void names_are_completed(void **state)
{
	EACH(good, i) {
		size_t len = strlen(good[i][0]);
		_cleanup_free_ char *text = exact(good[i][0], len);
		struct image_ref r = { 0 }, again = { 0 };
		struct err e = { 0 };
		if (parse_reference(text, len, &r, &e))
			fail_msg("%s: %s", good[i][0], e.text);
		assert_string_equal(r.canonical, good[i][1]);
		assert_int_equal(parse_reference(r.canonical, strlen(r.canonical), &again, &e), 0);
		assert_string_equal(again.canonical, r.canonical);
		if (r.dir)
			assert_string_equal(r.dir, r.canonical + 4);
		assert_source(&r);
		image_ref_free(&r);
		image_ref_free(&again);
	}
}

static void bad_names_are_refused(void **state)
{
	EACH(bad, i) {
		_cleanup_free_ char *text = exact(bad[i].text, bad[i].len);
		struct image_ref r = { 0 };
		struct err e = { 0 };
		if (parse_reference(text, bad[i].len, &r, &e) != -EINVAL)
			fail_msg("%s: taken", bad[i].text);
		assert_non_null(strstr(e.text, "is not an image reference: "));
		assert_null(r.canonical);
	}
}

static void there_are_bounds(void **state)
{
	_cleanup_free_ char *name = filled(300, 'a'), *mega = filled(1 << 20, 'a'), *dir = filled(5000, '/');
	struct image_ref r = { 0 };
	struct err e;
	assert_int_equal(parse_reference(name, 248, &r, &e), -EINVAL); /* with library/ before it */
	assert_int_equal(parse_reference(name, 247, &r, &e), 0);
	image_ref_free(&r);
	memcpy(name, "x.io/", 5);
	assert_int_equal(parse_reference(name, 255 + 5, &r, &e), 0);
	image_ref_free(&r);
	assert_int_equal(parse_reference(name, 256 + 5, &r, &e), -EINVAL);
	assert_int_equal(parse_reference(mega, 1 << 20, &r, &e), -EINVAL);
	memcpy(dir, "dir:", 4);
	assert_int_equal(parse_reference(dir, 5000, &r, &e), -ENAMETOOLONG);
	memcpy(dir, "oci:", 4);
	assert_int_equal(parse_reference(dir, 5000, &r, &e), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_completed),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(there_are_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
