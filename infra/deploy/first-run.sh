#!/usr/bin/env bash
# `make run`: starts everything in ./.errand and shows a first job from the question to the answer. Leaves it running.
# Argument: the folder of the programs.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

errand=$1/errand
payload='{"author": "any", "topic": "time"}'

"$errand" up
printf '\nA first job: a call to a third party (the simulator plays it), from HTTP through Kafka to Redis and back.\n'
printf '\n$ errand submit quote.fetch -d %s --wait\n' "'$payload'"
"$errand" submit quote.fetch -d "$payload" --wait
cat <<EOT

Everything keeps running; \`make stop\` ends it. Some more to try:
  $errand submit quote.fetch --wait -d '{"author": "wilde", "simulate": "fail=2"}'    a third party that fails twice
  $errand submit order.price --wait -d '{"region": "DE", "lines": [{"sku": "pen", "quantity": 12, "unit_cents": 199}]}'
  $errand load quote.fetch --rate 200/s --duration 10s -d '{"author": "any"}'         load, with its latencies
EOT
