/* runtime/base/alive: who holds a byte, that no child has part in it, and that it goes with the process. */
#include "runtime/base/alive.h"
#include "runtime/base/util.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static char home[] = "/tmp/podfs-alive.XXXXXX";
static int file = -1;

static int setup(void **state)
{
	if (!mkdtemp(home))
		return -1;
	_cleanup_close_ int dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file = alive_open(dir);
	return file < 0;
}

static int teardown(void **state)
{
	close(file);
	return remove_tree_at(AT_FDCWD, home);
}

/* A process that holds who, and has a child of its own that outlives it. *child: the child. */
static pid_t holder(const char *who, pid_t *child)
{
	int p[2];
	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	if (!pid) {
		pid_t mine[2] = { alive_take(file, who), 0 };
		mine[1] = fork();
		if (!mine[1])
			while (pause() < 0)
				;
		write_all(p[1], mine, sizeof mine);
		while (pause() < 0)
			;
	}
	pid_t got[2] = { -1, 0 };
	assert_int_equal(read(p[0], got, sizeof got), sizeof got);
	assert_int_equal(got[0], 0);
	*child = got[1];
	close(p[0]);
	close(p[1]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_one(void **state)
{
	pid_t child, pid = holder("one", &child);
	assert_int_equal(alive_pid(file, "one"), pid);
	assert_int_equal(alive_pid(file, "two"), 0);
	assert_int_equal(alive_take(file, "one"), -EAGAIN);
	assert_true(alive_signal(file, "one", 0));
	assert_false(alive_signal(file, "two", 0));
	end(pid);
	assert_int_equal(alive_pid(file, "one"), 0);
	assert_int_equal(kill(child, 0), 0);
	kill(child, SIGKILL);
}

struct seen {
	size_t n;
	uint64_t place[8];
	pid_t pid[8];
};

static void on_each(void *arg, uint64_t place, pid_t pid)
{
	struct seen *s = arg;
	s->place[s->n] = place;
	s->pid[s->n++] = pid;
}

static void test_each(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	pid_t pids[ARRAY_LEN(names)], children[ARRAY_LEN(names)];
	struct seen s = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		pids[i] = holder(names[i], &children[i]);
	alive_each(file, on_each, &s);
	assert_int_equal(s.n, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t k = 0;
		while (k < s.n && s.pid[k] != pids[i])
			k++;
		assert_true(k < s.n && s.place[k] == alive_place(names[i]));
		end(pids[i]);
		kill(children[i], SIGKILL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_one), cmocka_unit_test(test_each) };
	return cmocka_run_group_tests(tests, setup, teardown);
}
