# check: `./dev check`. Sourced by dev. What programs can see in the sources: format, the house rules (tests/tidy),
# clang-tidy and gcc's analyzer; with --full also cppcheck and clang's analyzer, which are too slow for every run.

rooms=(common controld noded routerd client msgctl bench tests)
jobs=$(nproc)

# Our C files ending in one of the given suffixes, 0-separated.
sources() {
  local existing=() room suffix expression=()
  for room in "${rooms[@]}"; do [ ! -d "$room" ] || existing+=("$room"); done
  for suffix in "$@"; do expression+=(-o -name "*.$suffix"); done
  find "${existing[@]}" -type f \( "${expression[@]:1}" \) -print0 | sort -z
}

check_format() {
  sources c h | xargs -0 -r -n 40 -P "$jobs" clang-format --dry-run -Werror
}

# Generated headers and compile_commands.json must exist.
prepare() {
  (build dev >/dev/null) || { build dev; }
}

check_tidy() {
  prepare
  python3 tests/tidy/tidy.py build/dev
}

# Only files that the dev preset compiles have flags.
compiled_sources() {
  python3 - <<'EOF'
import json, os
here = os.getcwd() + os.sep
files = {entry["file"] for entry in json.load(open("build/dev/compile_commands.json"))}
for name in sorted(f[len(here):] for f in files if f.startswith(here) and not f.startswith(here + "build" + os.sep)):
    print(name, end="\0")
EOF
}

check_clang_tidy() {
  prepare
  compiled_sources | xargs -0 -r -n 6 -P "$jobs" clang-tidy -p build/dev --quiet --warnings-as-errors='*' "$@" \
    2> >(grep -vE 'warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2)
}

check_analyzer() {
  prepare
  python3 tests/tidy/analyzer.py build/dev "$jobs"
}

check_cppcheck() {
  prepare
  cppcheck --quiet --project=build/dev/compile_commands.json -j "$jobs" --error-exitcode=1 --inline-suppr \
    --enable=warning,portability --suppress='*:*/build/*' --suppress='*:/usr/*' --suppress=missingInclude \
    --suppress=unknownMacro -i tests/unit
}

check_one() {
  case $1 in
  format) check_format ;;
  tidy) check_tidy ;;
  clang-tidy) check_clang_tidy ;;
  analyzer) check_analyzer ;;
  cppcheck) check_cppcheck ;;
  clang-analyzer) check_clang_tidy --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*' ;;
  *) die "no check '$1' (format, tidy, clang-tidy, analyzer, cppcheck, clang-analyzer)" ;;
  esac
}

check_main() {
  local names=(format tidy clang-tidy analyzer) bad=0 name
  if [ "${1:-}" = --full ]; then
    names+=(cppcheck clang-analyzer)
    shift
  fi
  if [ $# -gt 0 ]; then
    check_one "$1"
    return
  fi
  for name in "${names[@]}"; do
    local start=$SECONDS verdict=ok
    (check_one "$name") || { verdict=FAIL bad=$((bad + 1)); }
    echo "$verdict $name, $((SECONDS - start)) s"
  done
  echo "$((${#names[@]} - bad)) passed, $bad failed"
  [ $bad = 0 ]
}
