/* What becomes dnsmasq: an ordinary user in a mount namespace that has next to nothing in it.
 *
 * Runs in podfs-net's child, from the fork to the exec.
 */
#ifndef PODFS_NET_DNSMASQ_CHILD_H
#define PODFS_NET_DNSMASQ_CHILD_H

#include <pwd.h>
#include <stdint.h>
#include <sys/types.h>

struct dnsmasq_child {
	const char *program, *bridge;
	const char *run;           /* its names/ is what is served */
	uint16_t port;
	const struct passwd *user;
	int says;                  /* its stderr */
	pid_t parent;
};

_Noreturn void dnsmasq_child(const struct dnsmasq_child *c);

#endif
