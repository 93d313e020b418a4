#!/usr/bin/env bash
# `make run`: starts everything in ./.errand and shows a first job from the question to the answer. Leaves it running.
# Argument: the folder of the programs.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

errand=$1/errand
payload='{"author": "any", "topic": "time"}'

"$errand" up
printf '\nA first job: a call to a third party (the simulator plays it), from HTTP through Kafka to Redis and back.\n'
printf '\n$ errand submit quote.fetch -d %q --wait\n' "$payload"
"$errand" submit quote.fetch -d "$payload" --wait
cat <<EOT

Everything keeps running. What to try next:
  $errand types                          the jobs there are
  $errand submit order.price --wait -d '{"region": "DE", "lines": [{"sku": "pen", "quantity": 12, "unit_cents": 199}]}'
  $errand status                         the processes and their addresses
  $errand load quote.fetch --rate 200    some load, with latencies
  make stop                              stops it all
EOT
