#!/bin/sh
# The same as a series of short requests, for scripts and strict proxies: prints one event a line, as JSON.
#
#   IRISFLOW_TOKEN=... examples/curl/long-poll.sh [cursor]
#
# Needs jq.
set -eu
url="${IRISFLOW_URL:-http://localhost:8080}/api/v1/events"
cursor="${1:-}"
while answer=$(curl --silent --show-error --fail --get --retry 5 \
  --header "Authorization: Bearer $IRISFLOW_TOKEN" --header 'Accept: application/json' \
  ${cursor:+--data-urlencode "cursor=$cursor"} --data wait=25 "$url"); do
  printf '%s' "$answer" | jq --compact-output '.frames[]'
  cursor=$(printf '%s' "$answer" | jq --raw-output .cursor)
done
