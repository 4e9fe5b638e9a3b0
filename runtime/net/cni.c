/* Networks of /etc/cni/net.d: see cni.h. */
#include "runtime/net/cni.h"

#include <errno.h>

void cni_add(struct net *n, const struct asker *a, struct wire_in *in UNUSED)
{
	server_reply(n, a, -EOPNOTSUPP, NULL);
}

void cni_del(struct net *n, const struct asker *a, struct wire_in *in UNUSED)
{
	server_reply(n, a, -EOPNOTSUPP, NULL);
}

void cni_sync(struct net *n UNUSED, bool (*listed)(void *arg, const char *uid) UNUSED, void *arg UNUSED)
{
}

bool cni_busy(const struct net *n UNUSED)
{
	return false;
}
