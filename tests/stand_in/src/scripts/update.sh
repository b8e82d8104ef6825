# Puts a new version of the agent in place when the old one has ended.
# Arguments: the listener's pid, the agent's folder, the old version, the new
# version, the log, and whether to start the agent again (1 or 0).
pid=$1 root=$2 old=$3 new=$4 log=$5 restart=$6
pause=${STAND_IN_UPDATE_STEP:-1}

note() { date "+[%F %T] $*" >>"$log"; }

note "waiting for Agent.Listener ($pid) to end"
while [ -e "/proc/$pid" ]; do
    sleep "$pause"
done
sleep "$pause"

note "bin becomes bin.$new"
if [ -L "$root/bin" ]; then
    rm "$root/bin" || exit 1
else
    rm -rf "$root/bin.$old"
    mv "$root/bin" "$root/bin.$old" || exit 1
fi
# Here bin is missing for a while, as it is with the real agent.
sleep "$pause"
ln -s "bin.$new" "$root/bin" || exit 1

if [ "$restart" = 1 ]; then
    note "starting the agent"
    "$root/bin/Agent.Listener" run &
fi
note "done"
