/* Texts of the tree: what `cat` shows. One function a file, named by the tables.
 *
 * They read the engine and append text; they change nothing and wait for nothing. Files:
 * show_pod.c (status why ip net.stat), show_node.c (pods wide top help version config
 * leaving network), show_images.c (images pull df), show_container.c (state pid …), show_yaml.c (pod.yaml).
 */
#ifndef PODFS_FS_SHOW_H
#define PODFS_FS_SHOW_H

#include "fs/ref.h"

/* .node/ */
show_fn show_help, show_version, show_config, show_pods, show_wide, show_top, show_leaving, show_pull, show_df, show_network;
/* POD/ */
show_fn show_status, show_describe, show_yaml, show_why, show_ip, show_net_stat;
/* containers/NAME/ (show_why serves both) */
show_fn show_state, show_pid, show_exitcode, show_restarts;
/* cgroup use of pod or container, by the row's name */
int show_use(const struct ref *r, const char *file, struct buf *out);
/* .node/images/REF */
show_fn show_image;

/* "5m", "3h", "2d" as kubectl prints ages. */
void show_age(uint64_t since_real_ns, struct buf *out);

#endif
