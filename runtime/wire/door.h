/* The socket at which the next server knocks: RUN/NAME, of a process that outlives the server.
 *
 * The name is made again where somebody has taken it away, with the folder if need be: when the server has gone (door_check), and
 * when one that finds no socket, but that this process lives, says so by SIGHUP. One a process. Runs in podfs-pod and podfs-net.
 */
#ifndef PODFS_DOOR_H
#define PODFS_DOOR_H

#include "runtime/base/loop.h"

#include <sys/types.h>

struct door {
	struct watch listener; /* fd -1: closed */
	struct watch knock;    /* eventfd of the signal; fd -1: none */
	struct loop *loop;
	const char *run;
	int run_fd;            /* the folder that has the name */
	char name[48];
	dev_t dev;             /* of the socket's file */
	ino_t ino;
	void (*moved)(void);   /* run_fd is another folder now; NULL: nobody cares */
};
#define DOOR_CLOSED ((struct door){ .listener.fd = -1, .knock.fd = -1, .run_fd = -1 })

/* d has loop, run and name. listener: a socket that listens there already; -1: one is made. fn is called when a server knocks. 0 or
 * -errno. */
int door_open(struct door *d, int listener, void (*fn)(struct watch *w, uint32_t events));
void door_check(struct door *d);
void door_close(struct door *d); /* and takes the name away */

#endif
