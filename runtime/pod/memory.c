/* Memory: what podfs-pod does so that a pod costs little.
 *
 * Pages once touched stay: the stack of a deep call, a page of the heap. A while after the last busy moment
 * they are given back.
 */
#include "runtime/pod/pod.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define IDLE_MS 1000
#define STACK_MAX (512 * 1024) /* below the frame that trims: more than any call here is deep */
#define PAGE 4096ul

static uintptr_t heap_begin;

/* musl's malloc gives back by itself. */
void memory_keep_small(void)
{
	heap_begin = (uintptr_t)sbrk(0);
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 16 * 1024);
	mallopt(M_TRIM_THRESHOLD, 4 * 1024);
	mallopt(M_TOP_PAD, 0);
#endif
}

/* madvise(2) applies to what is mapped and says ENOMEM for the rest. */
static void trim_stack(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t end = (here - 256) & ~(PAGE - 1); /* the page that this frame ends in stays */
	madvise((void *)(end - STACK_MAX), STACK_MAX, MADV_DONTNEED);
}

static void on_idle(struct timer *t UNUSED)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	trim_stack();
}

/* Not moved while it is armed: a chatty container costs one trim a second. */
void memory_trim_later(struct pod *p)
{
	p->idle.fn = on_idle;
	if (!p->idle.at_ns)
		timer_arm(&p->loop, &p->idle, IDLE_MS);
}

#ifdef PODFS_STATIC
static void drop(uintptr_t begin, uintptr_t end)
{
	if (begin < end)
		syscall(SYS_madvise, begin, end - begin, MADV_DONTNEED);
}

/* Whole pages, but not the one with the thread's own block: errno and the stack protector's canary lie there. */
static void forget(uintptr_t begin, uintptr_t end)
{
	uintptr_t thread = (uintptr_t)__builtin_thread_pointer() & ~(PAGE - 1);
	begin &= ~(PAGE - 1);
	if (thread < begin || thread >= end) {
		drop(begin, end);
		return;
	}
	drop(begin, thread);
	drop(thread + PAGE, end);
}
#endif

/* The program from its first byte, the heap, and the stack but for this frame and argv, which ps(1) reads. Text comes back
 * page by page as it is executed; data would come back as the file has it, so nothing below may use any. A dynamic program
 * calls syscall(2) through data: that one (for sanitizers) stays large. */
void memory_wait_forever(void)
{
#ifdef PODFS_STATIC
	extern const char __executable_start, _end;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), argv = (uintptr_t)pod_self.uid - 512;
	uintptr_t heap = heap_begin, heap_end = (uintptr_t)sbrk(0);
	trim_stack();
	forget(here + PAGE, argv & ~(PAGE - 1));
	forget(heap, heap_end);
	forget((uintptr_t)&__executable_start, (uintptr_t)&_end);
#endif
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}
