/* Where CNI's networks and plugins are found: /etc/cni/net.d, and the folders of CNI_PATH.
 *
 * Keeps nothing: each attachment reads anew what is there then. Runs in podfs-net.
 */
#ifndef PODFS_NET_CNI_CONF_H
#define PODFS_NET_CNI_CONF_H

#include "runtime/net/cni_json.h"

#include <limits.h>

/* The first file of the folder, by name, whose network is called so: *.conflist, *.conf and *.json. -ENOENT, in words also
 * which file could not be read. */
int cni_conf_find(const char *folder, const char *name, struct cni_net *out, struct err *e);
/* The first executable file of that name in folders separated by colons. -ENOENT. */
int cni_plugin_find(const char *folders, const char *type, char out[PATH_MAX], struct err *e);

#endif
