#!/usr/bin/env bash
# Installs built programs with their manual pages and completions, which the program itself prints: install.sh BIN PREFIX,
# for a package below DESTDIR. `make install` calls it. Nothing is started and no configuration is written.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

if [ $# -ne 2 ] || [ ! -x "$1/errand" ]; then
    printf 'error: which programs, and where to?\n  try: %s build/release/bin /usr/local\n' "$0" >&2
    exit 2
fi
from=$1
to=${DESTDIR:-}$2
share=$to/share
install -d "$to/bin" "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
    "$share/fish/vendor_completions.d"
for program in errand errand-gateway errand-worker errand-recorder errand-delayer errand-simulator errand-devbroker; do
    install -m 755 "$from/$program" "$to/bin/$program"
done
"$from/errand" manual --into "$share/man/man1"
"$from/errand" completion bash >"$share/bash-completion/completions/errand"
"$from/errand" completion zsh >"$share/zsh/site-functions/_errand"
"$from/errand" completion fish >"$share/fish/vendor_completions.d/errand.fish"
