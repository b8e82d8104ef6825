# Ends everything that a cluster started and removes its directory, however the
# owner ended: by stop(), by a panic, or by SIGKILL.
#
# usage: bash -c "$(cat keeper.sh)" keeper DIRECTORY
# stdin: a pipe whose other end the owner holds, and nobody else. Its end is the
# one sign of an owner's death that cannot be missed.
set -u
directory=$1
trap '' INT TERM HUP
[ -e "$directory/.azp-cluster" ] || exit 1

while read -r _; do :; done

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
# The dead write no more, but the last write of a dying one may race the removal.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$directory" 2>/dev/null
    [ -e "$directory" ] || exit 0
    sleep 0.1
done
exit 1
