/* Stands in for libFuzzer where the compiler has none: TARGET [-runs=N] [-seed=N] CORPUS…
 *
 * Runs every file of the corpus folders, then N changed ones. The changes depend on the seed
 * alone, so what failed once fails again; the input under way is named when it crashes.
 */
#include "runtime/base/util.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define INPUT_MAX (1 << 17)

struct input {
	uint8_t *data;
	size_t len;
};

static struct input *corpus;
static size_t ncorpus;
static uint64_t rng = 1;
static struct input current;

static uint32_t any(uint32_t below)
{
	rng ^= rng << 13; /* xorshift64: Marsaglia, Xorshift RNGs */
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return below ? (uint32_t)(rng >> 16) % below : 0;
}

/* Leaves the input that crashed where it can be taken into the corpus. */
static void on_crash(int sig)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0 && !write_all(fd, current.data, current.len))
		(void)!write(2, "the input is in ./crash-input\n", 30);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void run(const uint8_t *data, size_t len)
{
	/* A copy of exactly this size: a sanitizer then sees who reads behind it. */
	current = (struct input){ malloc(len ? len : 1), len };
	if (!current.data)
		abort();
	if (len)
		memcpy(current.data, data, len);
	LLVMFuzzerTestOneInput(current.data, len);
	free(current.data);
}

static void keep(struct buf *b)
{
	corpus = reallocarray(corpus, ncorpus + 1, sizeof *corpus);
	if (!corpus)
		abort();
	size_t len = b->len;
	corpus[ncorpus++] = (struct input){ (uint8_t *)b->data, len };
	*b = (struct buf){ 0 };
}

static int load(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		return -errno;
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < n; i++) {
		_cleanup_buf_ struct buf b = { 0 };
		if (*entries[i]->d_name != '.' && !read_file_at(dir, entries[i]->d_name, INPUT_MAX, &b))
			keep(&b);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

/* Bytes that mean something to one parser or another. */
static const char interesting[] = "\0\n\\'\"[]{}=:;# \t0129kKMGTPEim@/.-_aAxu\x7f\x80\xc2\xed\xf4\xff";

static void change_byte(struct buf *b)
{
	if (b->len)
		b->data[any((uint32_t)b->len)] = any(2) ? interesting[any(sizeof interesting - 1)] : (char)any(256);
}

static void cut(struct buf *b)
{
	if (!b->len)
		return;
	size_t at = any((uint32_t)b->len), n = any(any(4) ? 8 : (uint32_t)b->len) + 1;
	if (n > b->len - at)
		n = b->len - at;
	memmove(b->data + at, b->data + at + n, b->len - at - n);
	b->len -= n;
}

/* Puts len bytes of what may be a part of b itself into b. */
static void insert(struct buf *b, const char *what, size_t len)
{
	_cleanup_free_ char *copy = malloc(len ? len : 1);
	if (!copy || b->len + len > INPUT_MAX)
		return;
	if (len)
		memcpy(copy, what, len);
	size_t at = any((uint32_t)b->len + 1), tail = b->len - at;
	buf_put(b, copy, len);
	if (tail)
		memmove(b->data + at + len, b->data + at, tail);
	if (len)
		memcpy(b->data + at, copy, len);
}

static void repeat_byte(struct buf *b)
{
	char run_of[512];
	size_t n = any(any(8) ? 4 : sizeof run_of) + 1;
	memset(run_of, any(2) ? interesting[any(sizeof interesting - 1)] : (int)any(256), n);
	insert(b, run_of, n);
}

static void repeat_part(struct buf *b, const struct input *from)
{
	if (!from->len)
		return;
	size_t at = any((uint32_t)from->len), n = any((uint32_t)(from->len - at)) + 1;
	insert(b, (const char *)from->data + at, n);
}

static void mutate(struct buf *b)
{
	const struct input *other = &corpus[any((uint32_t)ncorpus)];
	for (uint32_t n = any(4) + 1; n; n--) {
		switch (any(5)) {
		case 0: change_byte(b); break;
		case 1: cut(b); break;
		case 2: repeat_byte(b); break;
		case 3: repeat_part(b, &(struct input){ (uint8_t *)b->data, b->len }); break;
		case 4: repeat_part(b, other); break;
		}
	}
}

static void run_all(unsigned long runs)
{
	for (size_t i = 0; i < ncorpus; i++)
		run(corpus[i].data, corpus[i].len);
	struct buf b = { 0 };
	for (; runs && ncorpus; runs--) {
		const struct input *from = &corpus[any((uint32_t)ncorpus)];
		if (any(3)) { /* else one more change to the last one */
			buf_reset(&b);
			buf_put(&b, from->data, from->len);
		}
		mutate(&b);
		run((uint8_t *)b.data, b.len);
	}
	buf_free(&b);
}

int main(int argc, char **argv)
{
	unsigned long runs = 0;
	signal(SIGABRT, on_crash);
	for (int i = 1; i < argc; i++) {
		int r = 0;
		if (!strncmp(argv[i], "-runs=", 6))
			runs = strtoul(argv[i] + 6, NULL, 10);
		else if (!strncmp(argv[i], "-seed=", 6))
			rng = strtoull(argv[i] + 6, NULL, 10) | 1;
		else if (*argv[i] != '-')
			r = load(argv[i]);
		if (r) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	run_all(runs);
	printf("%zu files, %lu changed ones\n", ncorpus, runs);
	for (size_t i = 0; i < ncorpus; i++)
		free(corpus[i].data);
	free(corpus);
	return 0;
}
