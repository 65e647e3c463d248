#!/bin/sh
# A turn on a LangGraph server with curl: its events, and then the conversation.
#   COOPER_URL=http://127.0.0.1:2024 COOPER_TOKEN=... sh examples/clients/curl.sh "I lost my job."
set -eu
url=${COOPER_URL:-http://127.0.0.1:2024}
said=${1:-I lost my job.}

ask() { # ask PATH [BODY]
  curl --silent --show-error --fail-with-body --no-buffer "$url$1" \
    --header "Authorization: Bearer ${COOPER_TOKEN:-}" \
    --header "Content-Type: application/json" ${2:+--data "$2"}
}

thread=$(ask /threads '{}' | sed 's/.*"thread_id": *"\([^"]*\)".*/\1/')
# "custom" has the events of docs/events.md, "messages-tuple" the words.
ask "/threads/$thread/runs/stream" '{
  "assistant_id": "esc",
  "input": {"messages": [{"role": "user", "content": "'"$said"'"}]},
  "stream_mode": ["custom", "messages-tuple"],
  "multitask_strategy": "enqueue"
}'
ask "/threads/$thread/state"
