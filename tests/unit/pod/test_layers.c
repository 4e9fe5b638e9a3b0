/* podfs-pod and layers: which it holds and for how long, which it refuses, and the record that comes along with a start. */
#include "tests/unit/pod/podctl.h"
#include "tests/unit/unit.h"

#include "runtime/spec/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static void make_layer(const struct rig *r, const char *name)
{
	char path[256];
	rig_path(r, path, sizeof path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int open_layer(const struct rig *r, const char *name)
{
	char path[256];
	rig_path(r, path, sizeof path, name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Can it be removed, as podfs-image would ask? */
static bool is_free(const struct rig *r, const char *name)
{
	_cleanup_close_ int fd = open_layer(r, name);
	return fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);
}

/* Jobs of podfs-pod are clones that have its descriptors for a moment. */
static bool becomes_free(const struct rig *r, const char *name)
{
	uint64_t end = now_mono_ns() + PATIENCE_MS * 1000000ull;
	while (!is_free(r, name))
		if (now_mono_ns() > end)
			return false;
	return true;
}

/* A start of the rig's root with a layer of the store on top. */
static int start_on(struct rig *r, const char *layer, const char *script)
{
	struct wire_out o = { 0 };
	char path[256];
	rig_path(r, path, sizeof path, layer);
	if (!rig_container(r, "c1")->known)
		rig_add(r, "c1");
	rig_plan(r, &o, "c1", script);
	wire_str(&o, K_LAYER, path);
	wire_u64(&o, K_HOLD, 1);
	return rig_call(r, &o);
}

static void layers_are_held(void **state)
{
	struct rig r;
	rig_open(&r, true);
	make_layer(&r, "one");
	make_layer(&r, "two");
	assert_true(is_free(&r, "one"));
	assert_int_equal(start_on(&r, "one", "exec sleep 1000"), 0);
	assert_false(is_free(&r, "one"));
	assert_false(is_free(&r, "root"));
	/* Also when it has ended: it may be started again. */
	assert_int_equal(rig_simple(&r, W_KILL, "c1"), 0);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_false(is_free(&r, "one"));
	/* The next plan takes its place. */
	assert_int_equal(start_on(&r, "two", "exec sleep 1000"), 0);
	assert_true(becomes_free(&r, "one"));
	assert_false(is_free(&r, "two"));
	struct wire_out o = { 0 };
	rig_begin(&r, &o, W_DROP);
	wire_str(&o, K_NAME, "c1");
	wire_u64(&o, K_GRACE, 0);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_true(RIG_UNTIL(&r, r.dropped));
	assert_true(becomes_free(&r, "two"));
	rig_close(&r);
}

/* What runs goes on when the next plan cannot be had. */
static void a_layer_that_is_being_removed(void **state)
{
	struct rig r;
	char from[256], to[256];
	rig_open(&r, true);
	make_layer(&r, "one");
	make_layer(&r, "two");
	assert_int_equal(start_on(&r, "one", "exec sleep 1000"), 0);
	int pid = rig_container(&r, "c1")->pid;
	_cleanup_close_ int fd = open_layer(&r, "two");
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(start_on(&r, "two", "exec sleep 1000"), -ESTALE);
	assert_non_null(strstr(r.error, "is being removed"));
	rig_path(&r, from, sizeof from, "two");
	rig_path(&r, to, sizeof to, "removed");
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(start_on(&r, "two", "exec sleep 1000"), -ESTALE);
	assert_non_null(strstr(r.error, "is not there any more"));
	assert_true(alive(pid));
	assert_false(is_free(&r, "one"));
	rig_close(&r);
}

static void folders_of_others_are_not_held(void **state)
{
	struct rig r;
	rig_open(&r, true);
	assert_int_equal(rig_run(&r, "c1", "exec sleep 1000"), 0);
	assert_true(is_free(&r, "root"));
	rig_close(&r);
}

static int start_dir(struct rig *r)
{
	rig_container(r, "c1")->state = -1;
	return rig_run(r, "c1", "exit 0");
}

static void an_image_of_the_dir_transport(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	rig_put(&r, "root/version", "Directory Transport Version: 1.1\n", 0644);
	assert_int_equal(start_dir(&r), 0); /* a version alone is no image */
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	rig_put(&r, "root/manifest.json", "{}", 0644);
	/* Whatever the restart policy, another try would change nothing. */
	rig_begin(&r, &o, W_POLICY);
	wire_u64(&o, K_RESTART, RESTART_ALWAYS);
	assert_int_equal(rig_call(&r, &o), 0);
	assert_int_equal(start_dir(&r), -EMEDIUMTYPE);
	assert_true(rig_wait(&r, "c1", WIRE_TERMINATED));
	assert_string_equal(rig_container(&r, "c1")->reason, "StartError");
	rig_begin(&r, &o, W_POLICY);
	wire_u64(&o, K_RESTART, RESTART_NEVER);
	assert_int_equal(rig_call(&r, &o), 0);
	rig_put(&r, "root/version", "1.0 of something else entirely\n", 0644);
	assert_int_equal(start_dir(&r), 0);
	rig_close(&r);
}

static bool record_is(struct rig *r, const char *want)
{
	char path[256];
	_cleanup_buf_ struct buf b = { 0 };
	snprintf(path, sizeof path, "%s/state/pods/%s/pod.ini", r->base, r->uid);
	assert_int_equal(read_file_at(AT_FDCWD, path, 4096, &b), 0);
	return !strcmp(buf_str(&b), want);
}

static int start_with_record(struct rig *r, const char *command, const char *record)
{
	struct wire_out o = { 0 };
	char *argv[] = { (char *)(uintptr_t)command, NULL };
	rig_plan_argv(r, &o, "c1", argv);
	wire_str(&o, K_RECORD, record);
	return rig_call(r, &o);
}

/* The wish to start leaves the record with the start, not with its success. */
static void a_record_with_a_start(void **state)
{
	struct rig r;
	struct wire_out o = { 0 };
	rig_open(&r, true);
	rig_add(&r, "c1");
	assert_int_equal(start_with_record(&r, "true", "[first]\n"), 0);
	assert_true(record_is(&r, "[first]\n"));
	assert_int_equal(start_with_record(&r, "nosuch", "[second]\n"), -ENOENT);
	assert_true(record_is(&r, "[second]\n"));
	/* One that is not taken on takes nothing along. */
	rig_plan(&r, &o, "c1", "exit 0");
	wire_str(&o, K_LAYER, "/nonexistent");
	wire_u64(&o, K_HOLD, 1);
	wire_str(&o, K_RECORD, "[third]\n");
	assert_int_equal(rig_call(&r, &o), -ESTALE);
	assert_true(record_is(&r, "[second]\n"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_are_held), cmocka_unit_test(a_layer_that_is_being_removed),
		cmocka_unit_test(folders_of_others_are_not_held), cmocka_unit_test(an_image_of_the_dir_transport),
		cmocka_unit_test(a_record_with_a_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
