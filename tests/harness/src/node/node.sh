# The first process of the node: it makes what the kubelet and containerd find
# around them, starts them, and ends when one of them ends. All of it lies in
# namespaces of its own, so that processes, mounts, links and tables of nft go
# when this process goes. On the host it makes one end of a link with a route, and
# a cgroup in each hierarchy, which clear.sh takes away by their name. One thing
# stays: with cgroups of version 2 it switches on controllers in the host's root
# cgroup, and nobody switches them off, since others may use them by then.
#
# usage: unshare --mount --pid --net --propagation=private --fork --kill-child \
#            bash node.sh
# environment: AZP_NODE_OWNER      a process on the host
#              AZP_NODE_NAME       the name of the link and of the cgroup
#              AZP_NODE_DIRECTORY  where its files lie
#              AZP_NODE_LOGS       where its programs write
#              AZP_NODE_HOST, AZP_NODE_ADDRESS  both ends of the link
#              AZP_NODE_RANGE      what the host reaches through it
#              AZP_NODE_HOSTNAME   what Kubernetes calls the node
#              AZP_NODE_CONTAINERD, AZP_NODE_KUBELET, AZP_NODE_KUBE_PROXY  programs
#              AZP_NODE_KUBECONFIG
# stdout: `linked` when the link is there, `started` when all programs are.
set -euo pipefail

# /proc is still the host's, and unshare itself has left the host's network.
host=/proc/$AZP_NODE_OWNER/ns/net
on_host() { nsenter --net="$host" "$@"; }

# A cgroup in every hierarchy, for the pods and, in a child of it, for this
# process and all that it starts: whoever is in there belongs to this node.
make_cgroups() {
    local procs hierarchy part each
    for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
        [[ -e $procs ]] || continue
        hierarchy=${procs%/cgroup.procs}
        mkdir -p "$hierarchy/$AZP_NODE_NAME/node"
        for part in "$AZP_NODE_NAME" "$AZP_NODE_NAME/node"; do
            # A new cpuset of version 1 is empty, and takes no process.
            for each in cpuset.cpus cpuset.mems; do
                [[ -e $hierarchy/cgroup.controllers || ! -e $hierarchy/$part/$each ]] ||
                    cat "$hierarchy/$each" >"$hierarchy/$part/$each"
            done
        done
        # Version 2 hands controllers down one by one.
        if [[ $hierarchy == /sys/fs/cgroup && -e $hierarchy/cgroup.controllers ]]; then
            for part in . "$AZP_NODE_NAME"; do
                for each in $(<"$hierarchy/$part/cgroup.controllers"); do
                    echo "+$each" >"$hierarchy/$part/cgroup.subtree_control" || :
                done
            done
        fi
        echo 0 >"$hierarchy/$AZP_NODE_NAME/node/cgroup.procs"
    done
}

make_link() {
    ip link set lo up
    ip link add eth0 type veth peer name "$AZP_NODE_NAME" netns "$host"
    on_host ip address add "$AZP_NODE_HOST/30" dev "$AZP_NODE_NAME"
    on_host ip link set "$AZP_NODE_NAME" up
    ip address add "$AZP_NODE_ADDRESS/30" dev eth0
    ip link set eth0 up
    ip route add default via "$AZP_NODE_HOST"
    on_host ip route add "$AZP_NODE_RANGE" via "$AZP_NODE_ADDRESS" dev "$AZP_NODE_NAME"
    echo 1 >/proc/sys/net/ipv4/ip_forward
}

# Images are ten thousands of small files: a disk takes minutes to remove what
# memory forgets at once, and overlays lie on it wherever the directory is.
readonly plenty=$((8 * 1024 * 1024))

make_mounts() {
    local available
    mkdir -p "$AZP_NODE_DIRECTORY"/{lib,log,tmp}
    available=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
    ((available < plenty)) ||
        mount -t tmpfs -o "mode=755,size=$((available / 2))k" azp-lib "$AZP_NODE_DIRECTORY/lib"
    mount -t tmpfs -o mode=755 azp-run /run
    mount --bind "$AZP_NODE_DIRECTORY/lib" /var/lib
    mount --bind "$AZP_NODE_DIRECTORY/log" /var/log
    mount -t proc proc /proc
    # The kubelet sets these for the whole machine. Here it finds files in their
    # place that say what it wants, and the machine stays as it is.
    local setting value
    while read -r setting value; do
        mkdir -p "/run/sys/${setting%/*}"
        echo "$value" >"/run/sys/$setting"
        mount --bind "/run/sys/$setting" "/proc/sys/$setting"
    done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
    export TMPDIR=$AZP_NODE_DIRECTORY/tmp
}

# Overlays cannot lie on every filesystem (on another overlay they cannot).
choose_snapshotter() {
    local probe=$AZP_NODE_DIRECTORY/lib/.probe snapshotter=native
    mkdir -p "$probe"/{lower,upper,work,merged}
    if mount -t overlay overlay \
        -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null; then
        umount "$probe/merged"
        snapshotter=overlayfs
    fi
    rm -rf "$probe"
    sed -i "s/@SNAPSHOTTER@/$snapshotter/" "$AZP_NODE_DIRECTORY/containerd.toml"
}

declare -A names=()
start() { # name, command…
    local name=$1
    shift
    "$@" </dev/null >>"$AZP_NODE_LOGS/$name.log" 2>&1 &
    names[$!]=$name
}

make_cgroups
make_link
make_mounts
choose_snapshotter
start containerd "$AZP_NODE_CONTAINERD" --config "$AZP_NODE_DIRECTORY/containerd.toml"
mkfifo -m 600 "$AZP_NODE_DIRECTORY/go"
echo linked

# Whoever holds the cluster writes a line when the apiserver is ready.
read -r _ <"$AZP_NODE_DIRECTORY/go" &
go=$!

while :; do
    status=0
    wait -n -p ended || status=$?
    if [[ $ended == "$go" ]]; then
        start kubelet "$AZP_NODE_KUBELET" --config="$AZP_NODE_DIRECTORY/kubelet.yaml" \
            --kubeconfig="$AZP_NODE_KUBECONFIG" --root-dir=/var/lib/kubelet \
            --hostname-override="$AZP_NODE_HOSTNAME" --node-ip="$AZP_NODE_ADDRESS"
        start kube-proxy "$AZP_NODE_KUBE_PROXY" --config="$AZP_NODE_DIRECTORY/kube-proxy.yaml"
        echo started
    else
        echo "${names[$ended]} ended with $status; the end of its log:"
        tail -n 20 "$AZP_NODE_LOGS/${names[$ended]}.log"
        exit 1
    fi
done
