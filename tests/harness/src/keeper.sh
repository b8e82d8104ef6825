# Ends everything that a cluster started and removes its directory, however the
# owner ended: by stop(), by a panic, or by SIGKILL.
#
# usage: bash -c "$(cat node/clear.sh keeper.sh)" keeper DIRECTORY
# stdin: a pipe whose other end the owner holds, and nobody else. Its end is the
# one sign of an owner's death that cannot be missed.
# exit status: 1 when something is left, 2 when an owner lives.
set -u
shopt -s nullglob
directory=$1
mark=$directory/.azp-cluster
trap '' INT TERM HUP
[ -e "$mark" ] || exit 1

while read -r _; do :; done

# Two keepers can be at it, that of a killed owner and that of the next start:
# the second waits, and finds nothing left to do. Whoever holds the mark and does
# not say that it is ending is an owner, who started meanwhile.
{ exec 8<"$mark"; } 2>/dev/null || exit 0
until flock -w 5 8; do
    read -r holder 2>/dev/null <"$mark"
    [ "${holder:-ending}" = ending ] || exit 2
done
[ "$(stat -L -c %i /dev/fd/8)" = "$(stat -c %i "$mark" 2>/dev/null)" ] || exit 0
# Whoever looks now shall not take the lock for an owner's.
echo ending >"$mark"

# By the pid of its leader, each group that was killed.
declare -A killed=()

kill_noted() {
    local file pid
    for file in "$directory"/ended/*; do
        pid=$(cat "$file")
        # A pid can have gone to a stranger since; what we started bears our mark.
        if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "AZP_HARNESS_DIRECTORY=$directory"; then
            killed[$pid]=yes
            kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
        fi
    done
}

# Whether somebody of the killed still lives. Of the dead a parent may leave the
# pid for ever; they hold nothing any more.
is_one_alive() {
    local file line pid
    for file in /proc/[0-9]*/stat; do
        line=
        IFS= read -r -d '' line 2>/dev/null <"$file"
        [ "$line" ] || continue
        pid=${line%% *}
        # After the name, which may have anything in it: state, parent, group.
        # shellcheck disable=SC2086
        set -- ${line##*) }
        case $1 in Z | X) continue ;; esac
        [ -z "${killed[$3]:-}${killed[$pid]:-}" ] || return 0
    done
    return 1
}

# Ten seconds at most: who waits for a disk that is gone dies with it.
until_dead() {
    local _
    ((${#killed[@]})) || return 0
    for _ in {1..200}; do
        is_one_alive || return 0
        # Who is nobody's parent cannot wait for a process.
        sleep 0.05
    done
}

# Removes all but the mark, and the name of a node's place until that is free.
remove_rest() {
    local name lock uncleared=()
    if read -r name lock 2>/dev/null <"$directory/place"; then
        if clear_node "$name" "$directory"; then
            free_place "$lock" "$name"
        else
            uncleared=(! -name place)
        fi
    fi
    find "$directory" -mindepth 1 -maxdepth 1 ! -name .azp-cluster "${uncleared[@]}" -exec rm -rf {} + 2>/dev/null
    [ "$(ls -A "$directory")" = .azp-cluster ]
}

# Starts look for this directory, so that none can slip in from here on.
mv "$directory/pids" "$directory/ended" 2>/dev/null
kill_noted
until_dead
# The dead write no more, but a busy disk or a mount may hold the rest for a while.
# The mark goes last: without it nobody would know whose the rest is.
SECONDS=0
while ((SECONDS < 30)); do
    if remove_rest; then
        rm -f "$mark"
        # The next start may be in there already.
        rmdir "$directory" 2>/dev/null
        exit 0
    fi
    sleep 0.1
done
exit 1
