#!/bin/bash
# Configures the agent, or removes it: see bin/Agent.Listener.
if [ "$(id -u)" -eq 0 ] && [ -z "$AGENT_ALLOW_RUNASROOT" ]; then
    echo "Must not run with sudo"
    exit 1
fi

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" || exit 1
source ./env.sh

case "${1,,}" in
    remove) ./bin/Agent.Listener "$@" ;;
    *) ./bin/Agent.Listener configure "$@" ;;
esac
