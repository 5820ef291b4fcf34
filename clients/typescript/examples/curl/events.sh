#!/bin/sh
# Server-sent events with nothing but curl: every change of the account's jobs, until interrupted.
#
#   IRISFLOW_TOKEN=... examples/curl/events.sh [cursor]
#
# After a loss, start it again with the last `id:` that was printed.
set -eu
url="${IRISFLOW_URL:-http://localhost:8080}/api/v1/events${1:+?cursor=$1}"
exec curl --no-buffer --silent --show-error --fail \
  --header "Authorization: Bearer $IRISFLOW_TOKEN" --header 'Accept: text/event-stream' "$url"
