/* The parts of pod.yaml that have a file of their own: the network (show_yaml_net.c).
 *
 * Private to fs/show_yaml*.c.
 */
#ifndef PODFS_FS_SHOW_YAML_H
#define PODFS_FS_SHOW_YAML_H

#include "fs/show.h"
#include "fs/yaml.h"

void yaml_network(struct yaml *y, const struct pod_spec *s); /* in spec: hostNetwork, hostAliases, dnsPolicy, dnsConfig */
void yaml_ports(struct yaml *y, const struct pod_spec *s);   /* in a container: ports */
void yaml_addresses(struct yaml *y, const struct pod *p);    /* in status: hostIP, podIP, podIPs */

#endif
