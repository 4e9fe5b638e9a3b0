/* Who lives: each podfs-pod and podfs-net of a state folder holds one byte of STATE/alive for as long as it lives.
 *
 * These are fcntl(2) record locks: the kernel says who holds one, a child has no part in them, and they go with the process, whatever
 * became of its socket and its folders meanwhile. Who holds one opens the file once only: any close of it would let all go.
 * Runs in podfs-pod and podfs-net, which take one, and in podfs-server, which asks.
 */
#ifndef PODFS_ALIVE_H
#define PODFS_ALIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ALIVE_NET "podfs-net" /* `who` of it; of a podfs-pod it is the pod's uid */

/* The file in the state folder: fd or -errno. Without it (the disk is full) everybody goes on, and nobody is said to live. */
int alive_open(int state_fd);
/* 0; -EAGAIN: another process has it; -errno: this file system has no such locks. */
int alive_take(int fd, const char *who);
/* 0: nobody. */
pid_t alive_pid(int fd, const char *who);
uint64_t alive_place(const char *who);
/* Each that is held, in no order. */
void alive_each(int fd, void (*fn)(void *arg, uint64_t place, pid_t pid), void *arg);
/* To whoever holds it, and certainly to nobody else. False: nobody does. */
bool alive_signal(int fd, const char *who, int sig);

#endif
