#!/usr/bin/env bash
# find_plant.sh SIM NAME SEEDS [RULE...]: does the simulator find a planted bug within so many seeds, and is one of these
# rules (CHECK: a check of the program's own) the first to say so? Ends with "N passed, N failed".
set -uo pipefail
sim=$1 name=$2 seeds=$3
shift 3
out=$("$sim" --plant "$name" --seeds "1..$seeds" --quiet) || true
grep -v ' passed, ' <<<"$out"
if grep -q 'a CHECK fired' <<<"$out"; then
  rule=CHECK
else
  rule=$(sed -n 's/^seed [0-9]* FAILED: \([A-Za-z0-9]*\).*/\1/p' <<<"$out" | tail -n 1)
fi
if [ -n "$rule" ] && { [ $# = 0 ] || [[ " $* " == *" $rule "* ]]; }; then
  echo "1 passed, 0 failed"
  exit 0
fi
[ -z "$rule" ] || echo "$name is found by $rule, and not by what watches over it: $*"
echo "0 passed, 1 failed"
exit 1
