#!/bin/bash
# Runs the agent; once more after an update that came with --once.
if [ "$(id -u)" -eq 0 ] && [ -z "$AGENT_ALLOW_RUNASROOT" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi

folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

"$folder/bin/Agent.Listener" run "$@"
code=$?
if [ "$code" -ne 4 ]; then
    exit "$code"
fi
# The update is put in place meanwhile.
sleep "${STAND_IN_UPDATE_PAUSE:-5}"
"$folder/bin/Agent.Listener" run "$@"
