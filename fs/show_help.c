/* .node/help: a page of worked examples.
 *
 * It names only files that exist; podfs(5) says everything about each of them. Paths are written as if
 * the tree were mounted at /pods.
 *
 * Runs in podfs-server; the rules are in show.h.
 */
#include "fs/show.h"

static const char help[] =
	"podfs: pods as files, here as if mounted at /pods. Manuals: podfs(5), podfs(8), podfs.conf(5).\n"
	"\n"
	"AN IMAGE            echo nginx:alpine > /pods/.node/pull             # fetched now; else when a pod wants it\n"
	"                    watch cat /pods/.node/pull                       # how far; rm of it in images/ ends it\n"
	"                    cp nginx.tar /pods/.node/images/nginx:alpine     # OCI layout or docker save\n"
	"                    ls -lt /pods/.node/images                        # docker images: size, last use\n"
	"                    rm /pods/.node/images/nginx:alpine               # docker rmi\n"
	"                    cat /pods/.node/df                               # docker system df\n"
	"\n"
	"A POD               mkdir /pods/web\n"
	"                    echo nginx:alpine > /pods/web/image              # runs as soon as it has one\n"
	"                    cat /pods/web/wait/running                       # returns when it does\n"
	"\n"
	"SEE                 cat /pods/.node/pods                             # kubectl get pods\n"
	"                    cat /pods/.node/wide                             # ... -o wide\n"
	"                    cat /pods/.node/top                              # kubectl top pods\n"
	"                    cat /pods/web/describe                           # kubectl describe pod web\n"
	"                    cat /pods/web/pod.yaml                           # kubectl get pod web -o yaml\n"
	"                    cat /pods/web/why                                # why it is as it is\n"
	"                    tail -f /pods/.node/events                       # kubectl get events -w\n"
	"\n"
	"LOG                 cat /pods/web/logs/web                           # also .stdout .stderr .timestamps\n"
	"                    tail -f /pods/web/logs/web                       # .previous: the run before\n"
	"\n"
	"TWO CONTAINERS      mkdir /pods/two /pods/two/containers/srv /pods/two/containers/probe\n"
	"                    echo nginx:alpine > /pods/two/containers/srv/image\n"
	"                    echo 'wget -qO- http://127.0.0.1/' > /pods/two/containers/probe/command\n"
	"                    echo busybox > /pods/two/containers/probe/image  # the image comes last: it starts\n"
	"\n"
	"THE NETWORK         cat /pods/web/ip                                 # its addresses\n"
	"                    echo 8080:80 >> /pods/web/ports                  # docker run -p; > ports: none\n"
	"                    echo wget -qO- http://web/ > /pods/two/exec/srv  # pods find each other by name\n"
	"                    echo '192.0.2.7 db' >> /pods/web/hosts           # also resolv.conf\n"
	"                    echo 10M > /pods/web/net.egress                  # bits a second; net.ingress net.stat\n"
	"                    echo none > /pods/web/network                    # bridge none host cni:NAME, before it runs\n"
	"                    cat /pods/.node/network                          # bridge, subnets, name server\n"
	"\n"
	"SETTINGS            echo 256M > /pods/web/memory.max                 # limits change at once\n"
	"                    echo 500m > /pods/web/cpu.max\n"
	"                    echo A=1 >> /pods/web/containers/web/env         # > replaces, >> adds\n"
	"                    echo restart > /pods/web/ctl                     # start stop restart pause unpause\n"
	"                    echo kill HUP > /pods/web/ctl                    # kill [SIGNAL]\n"
	"\n"
	"A COMMAND INSIDE    echo 'nginx -v' > /pods/web/exec/web             # a shell for what is written\n"
	"                    cat /pods/web/exec/web                           # what that printed\n"
	"  with exit code    mkdir /pods/web/exec/s1\n"
	"                    echo 'ls /nowhere' > /pods/web/exec/s1/cmd\n"
	"                    cat /pods/web/exec/s1/err; cat /pods/web/exec/s1/exit; rmdir /pods/web/exec/s1\n"
	"\n"
	"WAIT                cat /pods/web/wait/ended                         # the exit code, once it has ended\n"
	"                    timeout 30 cat /pods/web/wait/ready\n"
	"\n"
	"NAMESPACES          nsenter --net=/pods/web/ns/net ss -ltn\n"
	"FILES               ls -l /pods/web/containers/web/root/\n"
	"\n"
	"A WRITE FAILED?     cat /pods/web/error                              # the reason in words, last line\n"
	"                    cat /pods/.node/error                            # what belongs to no pod\n"
	"\n"
	"DELETE              rmdir /pods/web                                  # the name is free at once\n"
	"                    cat /pods/.node/leaving                          # whose grace period still runs\n";

int show_help(const struct ref *r, struct buf *out)
{
	buf_puts(out, help);
	return buf_status(out);
}
