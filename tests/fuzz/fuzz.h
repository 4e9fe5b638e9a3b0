/* What a fuzz target is: libFuzzer's entry point. With clang the real fuzzer calls it, with
 * gcc replay.c does. A target aborts when a promise is broken. */
#ifndef PODFS_TESTS_FUZZ_H
#define PODFS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: it counts in release builds too. */
#define PROMISE(x)                \
	do {                      \
		if (!(x))         \
			abort();  \
	} while (0)

#endif
