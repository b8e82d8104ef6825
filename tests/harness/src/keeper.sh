# Ends everything that a cluster started and removes its directory, however the
# owner ended: by stop(), by a panic, or by SIGKILL.
#
# usage: bash -c "$(cat node/clear.sh keeper.sh)" keeper DIRECTORY
# stdin: a pipe whose other end the owner holds, and nobody else. Its end is the
# one sign of an owner's death that cannot be missed.
set -u
directory=$1
mark=$directory/.azp-cluster
trap '' INT TERM HUP
[ -e "$mark" ] || exit 1

while read -r _; do :; done

# Two keepers can be at it, that of a killed owner and that of the next start:
# the second waits, and finds nothing left to do.
{ exec 8<"$mark"; } 2>/dev/null || exit 0
flock 8
[ "$(stat -L -c %i /dev/fd/8)" = "$(stat -c %i "$mark" 2>/dev/null)" ] || exit 0
# Whoever looks now shall not take the lock for an owner's.
echo ending >"$mark"

# Starts look for this directory, so that none can slip in from here on.
mv "$directory/pids" "$directory/ended" 2>/dev/null
for file in "$directory"/ended/*; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    # A pid can have gone to a stranger since; what we started bears our mark.
    if tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "AZP_HARNESS_DIRECTORY=$directory"; then
        kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
    fi
done
# The place of a node, if there was one: its name and its lock.
if read -r name lock 2>/dev/null <"$directory/place"; then
    clear_node "$name" "$directory" && free_place "$lock" "$name"
fi
# The dead write no more, but the last write of a dying one may race the removal.
# The mark goes last: without it nobody would know whose the rest is.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    find "$directory" -mindepth 1 -maxdepth 1 ! -name .azp-cluster -exec rm -rf {} + 2>/dev/null
    if [ "$(ls -A "$directory")" = .azp-cluster ]; then
        rm -f "$mark"
        # The next start may be in there already.
        rmdir "$directory" 2>/dev/null
        exit 0
    fi
    sleep 0.1
done
exit 1
