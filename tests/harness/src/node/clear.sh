# Takes away what a node leaves on its host when its first process is gone: the
# processes that are still dying, the cgroups, its end of the link (and with it
# the route), and whatever is mounted in its directory. Safe to be called twice,
# and for a node that was never there.

clear_node() { # name, directory
    local name=$1 directory=$2 place pid left
    # What follows kills and removes by this name.
    [[ $name =~ ^azp[0-9a-f]{9}$ ]] || return 1
    for _ in {1..200}; do
        left=
        while IFS= read -r place; do
            left=yes
            while IFS= read -r pid; do
                # A process of another namespace reads as 0.
                [[ $pid == 0 ]] || kill -KILL "$pid" 2>/dev/null
            done <"$place/cgroup.procs"
            rmdir "$place"
        done < <(find /sys/fs/cgroup -maxdepth 2 -type d -name "$name" -exec find {} -depth -type d \;) 2>/dev/null
        [[ $left ]] || break
        # A cgroup tells nobody that its last process is gone.
        sleep 0.05
    done
    ip link delete "$name" 2>/dev/null
    # The deepest first, so that none hides another.
    awk -v under="$directory/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo |
        sort -r | while IFS= read -r place; do umount -l "$place"; done
    [[ ! $left ]]
}

# A place is free again when its lock says nothing. Whoever took it meanwhile has
# written a name of its own.
free_place() { # lock, name
    local lock=$1 name=$2 holder
    read -r holder _ <"$lock" || return 0
    [[ $holder == "$name" ]] || return 0
    exec 7<>"$lock"
    if flock -w 5 7 && read -r holder _ <"$lock" && [[ $holder == "$name" ]]; then rm -f "$lock"; fi
    exec 7<&-
} 2>/dev/null
