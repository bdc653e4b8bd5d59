# run: `./dev test`. Sourced by dev. Each kind of test is a function kind_NAME; each runs programs through run_counted
# and never stops at a failure. A program's own counts are taken from its last lines, Criterion's or ours
# ("N passed, N failed"); one that prints none counts as one test.

passed=0 failed=0 skipped=0
test_logs=build/test-logs

count() {
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
}

skip() {
  echo "SKIP $1: $2"
  count 0 0 1
}

# Prints "passed failed skipped" of a program's log, nothing when it has no counts.
counts_of() {
  sed -nE \
    -e 's/.*Synthesis: Tested: ([0-9]+) \| Passing: ([0-9]+) \| Failing: ([0-9]+) \| Crashing: ([0-9]+).*/\1 \2 \3 \4 c/p' \
    -e 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4 0 o/p' "$1" | tail -n 1 |
    awk '$NF == "c" {print $2, $3 + $4, 0} $NF == "o" {print $1, $2, NF == 5 ? $3 : 0}'
}

log_of() {
  echo "$test_logs/${1//[^A-Za-z0-9_.-]/_}.log"
}

# run_logged LABEL SECONDS COMMAND...: runs, leaves its log, and its exit status and seconds beside it.
run_logged() {
  local label=$1 limit=$2 log status=0 start=$SECONDS
  shift 2
  mkdir -p "$test_logs"
  log=$(log_of "$label")
  if [ "${verbose:-0}" = 1 ]; then
    timeout "$limit" "$@" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
  else
    timeout "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  fi
  echo "$status $((SECONDS - start)) $limit" >"$log.end"
}

# Counts what was run under the label, shows the log's end on failure.
judge() {
  local label=$1 log status seconds limit counts verdict=ok p f s
  log=$(log_of "$label")
  read -r status seconds limit <"$log.end"
  rm -f "$log.end"
  counts=$(counts_of "$log")
  if [ -z "$counts" ]; then
    if [ "$status" = 0 ]; then counts="1 0 0"; else counts="0 1 0"; fi
  fi
  # A sanitizer's words are a failure even when the program ends well (leaks under Criterion do).
  if grep -qE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|: runtime error: ' "$log"; then
    [ "$status" != 0 ] || status=sanitizer
  fi
  read -r p f s <<<"$counts"
  [ "$status" = 0 ] || [ "$f" != 0 ] || f=1
  count "$p" "$f" "$s"
  [ "$f" = 0 ] || verdict=FAIL
  [ "$status" != 124 ] || verdict="FAIL after $limit s"
  printf '%-5s %s: %s passed, %s failed, %s s\n' "$verdict" "$label" "$p" "$f" "$seconds"
  if [ "$f" != 0 ] && [ "${verbose:-0}" != 1 ]; then
    grep -vE '^\[ (RUN|PASS|SKIP)' "$log" | tail -n 40 | sed 's/^/    /'
    echo "    (all of it: $log)"
  fi
}

run_counted() {
  run_logged "$@"
  judge "$1"
}

# As run_counted, two at a time, for programs that neither share anything nor look at a clock; settle waits for them and
# judges them in order.
pooled=()
run_pooled() {
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || true; done
  run_logged "$@" &
  pooled+=("$1")
}

settle() {
  local label
  wait
  for label in "${pooled[@]}"; do judge "$label"; done
  pooled=()
}

# run_build PRESET [TARGET...]: a build that fails is one failed test, and false.
run_build() {
  (build "$@") && return 0
  echo "FAIL  build $1"
  count 0 1
  return 1
}

# Preset's executables whose name begins with prefix.
executables() {
  local file
  for file in build/"$1"/bin/"$2"*; do [ ! -x "$file" ] || [ -d "$file" ] || printf '%s\n' "$file"; done
}

kind_unit() {
  local name=${1:-} file
  if [ -z "$name" ]; then
    run_build dev || return 0
    while read -r file; do run_counted "${file##*/}" 180 "$file"; done < <(executables dev unit_)
    return 0
  fi
  verbose=1
  # Only what the room needs, when NAME is one.
  if grep -qs "^build unit_$name:" build/dev/build.ninja; then
    run_build dev "unit_$name" || return 0
  else
    run_build dev || return 0
  fi
  if [ -x "build/dev/bin/unit_$name" ]; then
    run_counted "unit_$name" 180 "build/dev/bin/unit_$name"
    return 0
  fi
  local found=0
  while read -r file; do
    "$file" --list --ascii 2>/dev/null | grep -q "$name" || continue
    found=1
    run_counted "${file##*/} $name" 180 "$file" --filter "@(*$name*/*|*/*$name*)"
  done < <(executables dev unit_)
  [ $found = 1 ] || die "no room, suite or test is called '$name' (rooms: $(executables dev unit_ | sed 's/.*unit_//' | tr '\n' ' '))"
}

kind_asan() {
  local file
  run_build asan || return 0
  while read -r file; do
    run_pooled "asan ${file##*/}" 300 env ASAN_OPTIONS=detect_stack_use_after_return=0 "$file"
  done < <(executables asan unit_)
  [ ! -x build/asan/bin/sim ] || run_pooled "asan sim" 300 build/asan/bin/sim --seeds 1..20 --quiet
  settle
}

kind_programs() { # PREFIX SECONDS ARGUMENTS...
  local prefix=$1 limit=$2 file any=0
  shift 2
  run_build dev || return 0
  while read -r file; do
    any=1
    run_counted "${file##*/}" "$limit" "$file" "$@"
  done < <(executables dev "$prefix")
  [ $any = 1 ] || skip "${prefix%_}" "no such tests exist yet"
}

kind_conformance() { kind_programs conformance_ 120 "$@"; }
kind_model() { kind_programs model_ 120 "$@"; }

kind_race() {
  local file any=0
  if [ ! -e tests/race/CMakeLists.txt ]; then
    skip race "no race tests exist yet"
    return 0
  fi
  run_build tsan race || return 0
  while read -r file; do
    any=1
    run_counted "${file##*/}" 120 "$file"
  done < <(executables tsan race_)
  [ $any = 1 ] || skip race "no race tests exist yet"
}

# Fresh seeds, one line in the ledger, the scenarios of what failed beside the logs.
sim_campaign() {
  local commit
  commit=$(git log -1 --format=%h 2>/dev/null || echo unknown)
  git diff --quiet HEAD -- 2>/dev/null || commit+=+
  mkdir -p "$test_logs"
  run_counted "sim $*" 86400 nice build/dev/bin/sim --ledger docs/campaigns.md --label "$(date +%F) | $commit" \
    --keep "$test_logs" "$@"
}

kind_sim() {
  if [ $# -gt 0 ]; then
    verbose=1
    run_build dev sim || return 0
    case " $* " in
    *" --hours "*) sim_campaign "$@" ;;
    *) run_counted "sim $*" 3600 build/dev/bin/sim "$@" ;;
    esac
    return 0
  fi
  run_build dev || return 0
  if [ ! -x build/dev/bin/sim ]; then
    skip sim "the simulator's program does not exist yet"
    return 0
  fi
  run_pooled "sim 1..100" 400 build/dev/bin/sim --seeds 1..100 --twice --quiet
  run_pooled "sim 101..200" 400 build/dev/bin/sim --seeds 101..200 --twice --quiet
  run_pooled "sim scenarios" 100 build/dev/bin/sim --scenario all --quiet
  local name seeds rules
  while read -r name seeds rules; do
    # shellcheck disable=SC2086 # rules are words
    run_pooled "sim finds $name" 100 tests/sim/find_plant.sh build/dev/bin/sim "$name" "$seeds" $rules
  done < <(grep -v '^#' tests/sim/planted.txt)
  settle
}

# Sweeps and broken peers whose short forms are part of every run; `./dev test faults` runs them whole, for about an hour.
faults_short() {
  run_build dev || return 0
  run_counted "bit flips, one of 64" 200 build/dev/bin/faults_bit_flips
  run_counted "bit flips find block_checksum_ignored" 60 build/dev/bin/faults_bit_flips --plant block_checksum_ignored
  run_counted "crash images of the log" 100 build/dev/bin/faults_crash_wal 1000
  run_counted "crash images of the tree" 100 build/dev/bin/faults_crash_lsm 1000
}

# With arguments: parts of tests/faults/run alone.
kind_faults() {
  run_build release || return 0
  [ $# -eq 0 ] || verbose=1
  run_counted "broken peers" 1200 tests/faults/run "$@"
  [ $# -eq 0 ] || return 0
  run_build dev || return 0
  run_counted "bit flips, all" 7200 build/dev/bin/faults_bit_flips --every 1
  run_counted "crash images of the log" 3600 build/dev/bin/faults_crash_wal 100000
  run_counted "crash images of the tree" 3600 build/dev/bin/faults_crash_lsm 100000
}

kind_cluster() {
  if [ ! -x tests/cluster/run ]; then
    skip cluster "no tests of real processes exist yet"
    return 0
  fi
  run_build release || return 0
  [ $# -gt 0 ] || run_counted "bench selftest" 60 bench/run selftest
  [ $# -eq 0 ] || verbose=1
  run_counted cluster 900 tests/cluster/run "$@"
  [ $# -gt 0 ] || run_counted "broken peers" 180 tests/faults/run --quick
}

kind_fuzz() {
  local name=${1:-} file target corpus
  run_build fuzz fuzz || return 0
  local any=0
  while read -r file; do
    target=${file##*/}
    [ -z "$name" ] || [ "$target" = "fuzz_${name#fuzz_}" ] || continue
    any=1
    corpus=tests/fuzz/corpus/${target#fuzz_}
    mkdir -p "build/fuzz/found/$target"
    # New inputs go to the first directory; the project's corpus is only read.
    local directories=("build/fuzz/found/$target")
    [ ! -d "$corpus" ] || directories+=("$corpus")
    run_pooled "$target" 120 "$file" -max_total_time="${FUZZ_SECONDS:-4}" -seed=1 -timeout=10 -rss_limit_mb=1024 \
      -max_len=65536 -artifact_prefix="build/fuzz/$target-" "${directories[@]}"
  done < <(executables fuzz fuzz_)
  settle
  [ $any = 1 ] || skip fuzz "no fuzz target${name:+ $name}"
  run_counted "fuzz targets reach what they should" 240 python3 tests/fuzz/reach.py build/fuzz ${name:+"${name#fuzz_}"}
}

kind_tidy() {
  run_build dev || return 0
  run_counted tidy 120 ./dev check tidy
  run_counted "tidy itself" 60 python3 tests/tidy/selftest.py
}

kind_check() {
  run_build dev || return 0
  run_counted format 60 ./dev check format
  run_counted clang-tidy 300 ./dev check clang-tidy
  run_counted analyzer 300 ./dev check analyzer
}

kind_all() {
  kind_tidy
  kind_unit
  kind_model
  kind_conformance
  kind_sim
  faults_short
  kind_asan
  kind_race
  kind_fuzz
  kind_cluster
  kind_check
}

test_main() {
  local kind=${1:-all} start=$SECONDS
  shift || true
  case $kind in
  all | unit | asan | sim | faults | cluster | fuzz | model | conformance | race | tidy | check) ;;
  *) die "no kind of test '$kind' (unit, sim, faults, cluster, fuzz, model, conformance, race, asan, tidy, check, all)" ;;
  esac
  export LSAN_OPTIONS=${LSAN_OPTIONS:-} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  "kind_$kind" "$@"
  echo "$kind tests took $((SECONDS - start)) s"
  if [ $skipped = 0 ]; then
    echo "$passed passed, $failed failed"
  else
    echo "$passed passed, $failed failed, $skipped skipped"
  fi
  [ $failed = 0 ]
}
