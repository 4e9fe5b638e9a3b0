/* podfs-net is among the last things that the OOM killer would choose: the pods' published ports pass through it.
 *
 * Owns the process's oom_score_adj. Lowering it needs CAP_SYS_RESOURCE, which root may lack: then it stays as it is.
 */
#ifndef PODFS_NET_OOM_H
#define PODFS_NET_OOM_H

void oom_lower(void);
void oom_restore(void); /* in a child: it is none of ours */

#endif
