# Where the test cluster keeps what it builds and what it runs. Read by the scripts beside it, not run.
PATH=$PATH:/usr/sbin:/sbin
cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$cluster/../.." && pwd)
home=${MAILSLUICE_CLUSTER:-$root/target/cluster}
bin=$home/bin
run=$home/run
images=$home/images
netns=${MAILSLUICE_NETNS:-mailsluice}
# Of each family, the first of them IPv4.
node_address=198.18.255.1
node_address6=fd00:198:18:ff::1
pods=198.18.0.0/24
pods6=fd00:198:18::/64
services=198.19.0.0/16,fd00:198:19::/108
kubeconfig=$run/admin.kubeconfig
inside="nsenter --net=/run/netns/$netns"
ctr="ctr --address $run/containerd.sock --namespace k8s.io"

fail() {
  echo "cluster: $*" >&2
  exit 1
}
