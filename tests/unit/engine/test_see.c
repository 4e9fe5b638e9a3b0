/* What the states of containers mean for their pod: phase, wait, why. Pods made by hand, no kernel. */
#include "runtime/base/util.h"
#include "runtime/engine/engine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct world {
	struct pod pod;
	struct pod_spec *spec;
	struct container c[2], *list[2];
};

static struct world *make(size_t n)
{
	static struct world w;
	w = (struct world){ .spec = pod_spec_new() };
	assert_non_null(w.spec);
	strcpy(w.spec->name, "web");
	w.pod.spec = w.spec;
	w.pod.containers = w.list;
	w.pod.ncontainers = n;
	for (size_t i = 0; i < n; i++) {
		w.list[i] = &w.c[i];
		w.c[i].pod = &w.pod;
		w.c[i].spec = pod_spec_add(w.spec, i ? "two" : "one");
		w.c[i].spec->image = strdup("busybox");
		w.c[i].status = (struct container_status){ .state = C_WAITING, .exit_code = -1, .root_fd = -1 };
	}
	return &w;
}

static void drop(struct world *w)
{
	pod_spec_free(w->spec);
}

static void run(struct container *c)
{
	c->status.state = C_RUNNING;
	c->status.started_ns = 1;
}

static void end(struct container *c, int code)
{
	run(c);
	c->status.state = C_TERMINATED;
	c->status.finished_ns = 2;
	c->status.exit_code = code;
	strcpy(c->status.reason, code ? "Error" : "Completed");
}

static int wait_text(struct world *w, struct container *c, enum wait_for what, const char *want)
{
	struct buf out = { 0 };
	struct err e = { 0 };
	int r = engine_wait(&w->pod, c, what, &out, &e);
	assert_string_equal(buf_str(&out), want);
	assert_int_equal(r < 0 && r != -EAGAIN, *e.text != 0);
	buf_free(&out);
	return r;
}

static void phases(void **state)
{
	struct world *w = make(2);
	assert_int_equal(pod_phase(&w->pod), POD_PENDING);
	run(&w->c[0]);
	assert_int_equal(pod_phase(&w->pod), POD_PENDING); /* the other has never run */
	run(&w->c[1]);
	assert_int_equal(pod_phase(&w->pod), POD_RUNNING);
	end(&w->c[0], 3);
	assert_int_equal(pod_phase(&w->pod), POD_RUNNING);
	end(&w->c[1], 0);
	assert_int_equal(pod_phase(&w->pod), POD_FAILED);
	end(&w->c[0], 0);
	assert_int_equal(pod_phase(&w->pod), POD_SUCCEEDED);
	w->c[0].status.state = C_WAITING; /* backing off: it has run */
	assert_int_equal(pod_phase(&w->pod), POD_RUNNING);
	strcpy(w->pod.lost, "gone");
	assert_int_equal(pod_phase(&w->pod), POD_FAILED);
	end(&w->c[0], 0); /* all had succeeded before */
	assert_int_equal(pod_phase(&w->pod), POD_SUCCEEDED);
	end(&w->c[1], 137);
	assert_int_equal(pod_phase(&w->pod), POD_FAILED);
	drop(w);
	w = make(0);
	assert_int_equal(pod_phase(&w->pod), POD_PENDING);
	drop(w);
}

static void waits_of_a_container(void **state)
{
	struct world *w = make(1);
	struct container *c = &w->c[0];
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -EAGAIN);
	assert_int_equal(wait_text(w, c, WAIT_ENDED, ""), -EAGAIN);
	run(c);
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, "running\n"), 0);
	assert_int_equal(wait_text(w, c, WAIT_READY, "ready\n"), 0);
	c->starting = true; /* a restart was asked for: what runs is the run before */
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -EAGAIN);
	c->starting = false;
	c->status.state = C_PAUSED;
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, "running\n"), 0);
	assert_int_equal(wait_text(w, c, WAIT_READY, ""), -EAGAIN);
	end(c, 7);
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, "running\n"), 0); /* it ran */
	assert_int_equal(wait_text(w, c, WAIT_READY, ""), -ESRCH);
	assert_int_equal(wait_text(w, c, WAIT_ENDED, "7\n"), 0);
	c->starting = true;
	assert_int_equal(wait_text(w, c, WAIT_ENDED, ""), -EAGAIN);
	c->starting = false;
	end(c, 127);
	c->last_error = ENOENT;
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -ENOENT);
	assert_int_equal(wait_text(w, c, WAIT_ENDED, "127\n"), 0);
	drop(w);
}

static void waits_of_a_pod(void **state)
{
	struct world *w = make(2);
	end(&w->c[0], 0);
	assert_int_equal(wait_text(w, NULL, WAIT_ENDED, ""), -EAGAIN);
	end(&w->c[1], 5);
	assert_int_equal(wait_text(w, NULL, WAIT_ENDED, "5\n"), 0);
	end(&w->c[0], 9);
	assert_int_equal(wait_text(w, NULL, WAIT_ENDED, "9\n"), 0); /* the first that is not 0 */
	run(&w->c[0]);
	w->c[1].status.state = C_WAITING;
	assert_int_equal(wait_text(w, NULL, WAIT_RUNNING, ""), -EAGAIN);
	w->c[1].last_error = EACCES; /* one failure is the pod's, whatever the others do */
	assert_int_equal(wait_text(w, NULL, WAIT_RUNNING, ""), -EACCES);
	drop(w);
	w = make(0);
	assert_int_equal(wait_text(w, NULL, WAIT_RUNNING, ""), -EAGAIN);
	drop(w);
}

static struct pull pull_of(struct container *c)
{
	static char reference[] = "nginx:alpine";
	c->status.state = C_WAITING;
	strcpy(c->status.reason, "ContainerCreating");
	return (struct pull){ .reference = reference };
}

static void back_off(struct container *c, struct pull *p)
{
	p->state = PULL_BACKOFF;
	p->attempts++;
	p->code = c->last_error = ENOENT;
	strcpy(p->error, "no such tag");
}

static void waits_while_an_image_is_fetched(void **state)
{
	struct world *w = make(1);
	struct container *c = &w->c[0];
	struct pull p = pull_of(c);
	c->pull = &p;
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -EAGAIN);
	back_off(c, &p);
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -ENOENT); /* though trying goes on */
	assert_int_equal(wait_text(w, c, WAIT_READY, ""), -ENOENT);
	assert_int_equal(wait_text(w, c, WAIT_ENDED, ""), -EAGAIN);
	run(c); /* of an older image */
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -ENOENT);
	c->last_error = 0; /* asked for anew */
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -EAGAIN);
	c->pull = NULL;
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, "running\n"), 0);
	drop(w);
}

/* A start that never reached podfs-pod and is not tried any more. */
static void waits_for_what_was_given_up(void **state)
{
	struct world *w = make(1);
	struct container *c = &w->c[0];
	static char words[] = "the pull of nginx was cancelled";
	c->refusal = words;
	c->last_error = ECANCELED;
	assert_int_equal(wait_text(w, c, WAIT_RUNNING, ""), -ECANCELED);
	assert_int_equal(wait_text(w, c, WAIT_ENDED, ""), -ECANCELED);
	end(c, 3); /* the run before did end */
	assert_int_equal(wait_text(w, c, WAIT_ENDED, "3\n"), 0);
	drop(w);
}

static void shows(const struct pull *p, const char *want)
{
	struct buf out = { 0 };
	pull_show(p, &out);
	assert_string_equal(buf_str(&out), want);
	buf_free(&out);
}

static void how_far_a_pull_is(void **state)
{
	struct pull p = { .state = PULL_FETCHING };
	shows(&p, "beginning");
	p.queued = true;
	shows(&p, "waits for its turn behind other pulls");
	p.queued = false;
	p.bytes = 500;
	shows(&p, "500, 0/s");
	p = (struct pull){ .layers = 8, .layers_done = 2, .bytes = 47395635, .total = 141557760, .rate = 91331952 };
	shows(&p, "layer 3 of 8, 45.2M of 135M (33 %), 87.1M/s");
	p.layers_done = 8;
	p.bytes = p.total + 1; /* the totals were a guess */
	shows(&p, "layer 8 of 8, 135M of 135M (100 %), 87.1M/s");
	p.bytes = p.total = UINT64_MAX;
	shows(&p, "layer 8 of 8, 16.0E of 16.0E (100 %), 87.1M/s");
	p.bytes = 1023999;
	p.total = 0;
	shows(&p, "layer 8 of 8, 1.0M, 87.1M/s");
	p = (struct pull){ .state = PULL_BACKOFF, .attempts = 1, .error = "no such tag" };
	shows(&p, "no such tag; tried once, next try in 0 s");
	p.attempts = 3;
	p.next_ns = now_real_ns() + 20200000000;
	shows(&p, "no such tag; tried 3 times, next try in 20 s");
}

static void why_tells_of_a_pull(void **state)
{
	struct world *w = make(2);
	struct pull p = pull_of(&w->c[1]);
	struct buf out = { 0 };
	run(&w->c[0]);
	w->c[1].pull = &p;
	p.bytes = 2048;
	engine_why(&w->pod, NULL, &out);
	assert_string_equal(buf_str(&out), "two: pulling nginx:alpine: 2.0K, 0/s");
	buf_reset(&out);
	back_off(&w->c[1], &p);
	strcpy(w->c[1].status.reason, "ImagePullBackOff");
	engine_why(&w->pod, NULL, &out);
	assert_string_equal(buf_str(&out), "two: ImagePullBackOff: no such tag; tried once, next try in 0 s");
	buf_reset(&out);
	run(&w->c[1]);
	engine_why(&w->pod, NULL, &out);
	assert_non_null(strstr(buf_str(&out), "two: it runs (pid 0), and will be restarted with a new image: no such tag"));
	buf_free(&out);
	drop(w);
}

static void why_names_the_worst(void **state)
{
	static const struct { int first, second; const char *says; } t[] = {
		{ 0, 0, "all of its 2 containers run" }, { 0, 3, "two: Error: exit code 3" },
		{ 4, 3, "one: Error: exit code 4" },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct world *w = make(2);
		struct buf out = { 0 };
		run(&w->c[0]);
		run(&w->c[1]);
		if (t[i].first)
			end(&w->c[0], t[i].first);
		if (t[i].second)
			end(&w->c[1], t[i].second);
		engine_why(&w->pod, NULL, &out);
		assert_memory_equal(buf_str(&out), t[i].says, strlen(t[i].says));
		assert_null(strchr(buf_str(&out), '\n'));
		buf_free(&out);
		drop(w);
	}
}

/* Every line once, whole lines only, however much is written. */
static void ring_keeps_lines(void **state)
{
	struct ring r;
	const char *p;
	char line[32];
	ring_init(&r, 64);
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof line, "line %d", i);
		ring_line(&r, line);
		assert_true(r.len <= 64);
		assert_int_equal(ring_at(&r, 0, &p), r.len);
		assert_memory_equal(p, "line ", 5);
		size_t n = ring_at(&r, ring_size(&r) - strlen(line) - 1, &p);
		assert_int_equal(n, strlen(line) + 1);
		assert_memory_equal(p, line, strlen(line));
	}
	assert_int_equal(ring_at(&r, ring_size(&r), &p), 0);
	ring_free(&r);
}

static void ring_forgets_lines(void **state)
{
	struct ring r;
	const char *p;
	ring_init(&r, 64);
	ring_line(&r, "pods/a: busy");
	ring_line(&r, "pods/b: busy");
	ring_line(&r, "cgroup a: busy");
	ring_forget(&r, "a:");
	assert_int_equal(ring_at(&r, 0, &p), strlen("pods/b: busy\n"));
	assert_memory_equal(p, "pods/b: busy\n", r.len);
	ring_forget(&r, "nothing");
	ring_forget(&r, "busy");
	assert_int_equal(ring_size(&r), 0);
	ring_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(phases), cmocka_unit_test(waits_of_a_container), cmocka_unit_test(waits_of_a_pod),
		cmocka_unit_test(waits_while_an_image_is_fetched), cmocka_unit_test(waits_for_what_was_given_up),
		cmocka_unit_test(how_far_a_pull_is), cmocka_unit_test(why_tells_of_a_pull), cmocka_unit_test(why_names_the_worst), cmocka_unit_test(ring_keeps_lines),
		cmocka_unit_test(ring_forgets_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
