# probe: what the machine knows about processes, ports and files. Sourced by local.sh; changes nothing.

# When process $1 started, in the kernel's ticks: with its number it names a process for good.
start_of() {
  local line
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  line=${line##*) }
  # The name may hold blanks; after it the state is field 3 and the start field 22.
  awk '{print $20}' <<<"$line"
}

# Whether process $1 exists, is not a zombie, and started at $2.
lives() {
  local line
  [ "$(start_of "$1")" = "$2" ] || return 1
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  line=${line##*) }
  [ "${line%% *}" != Z ]
}

# Kibibytes of process $1: its share of memory (Pss), or resident memory where that may not be read.
memory_of() {
  awk '$1 == "Pss:" {print $2; found = 1} END {exit !found}' "/proc/$1/smaps_rollup" 2>/dev/null ||
    awk '$1 == "VmRSS:" {print $2}' "/proc/$1/status" 2>/dev/null || echo 0
}

# The socket inode of whoever listens on ADDRESS PORT (IPv4), also by listening on every address; false when free.
listener() {
  local a b c d exact any
  IFS=. read -r a b c d <<<"$1"
  printf -v exact '%02X%02X%02X%02X:%04X' "$d" "$c" "$b" "$a" "$2"
  printf -v any '%08X:%04X' 0 "$2"
  awk -v exact="$exact" -v any="$any" -v any6="000000000000000000000000$any" '
    $4 == "0A" && ($2 == exact || $2 == any || $2 == any6) {print $10; found = 1; exit}
    END {exit !found}' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# "process 123 (nc -l 7100)" for a socket inode.
owner_of() {
  local entry pid
  # -lname takes a pattern, so the brackets are masked. Processes end meanwhile; that is no error.
  entry=$(find /proc/[0-9]*/fd -lname "socket:\\[$1\\]" -print -quit 2>/dev/null) || true
  if [ -n "$entry" ]; then
    pid=${entry#/proc/}
    pid=${pid%%/*}
    echo "process $pid ($(tr '\0\n' '  ' <"/proc/$pid/cmdline" | sed 's/ $//' | cut -c 1-120))"
    return
  fi
  echo "a process of another user"
}

# http_get ADDRESS PORT PATH: prints the status code, then the body; false when nobody answers within 2 s.
http_get() {
  local line code
  {
    exec 3<>"/dev/tcp/$1/$2" || return 1
  } 2>/dev/null
  printf 'GET %s HTTP/1.0\r\n\r\n' "$3" >&3
  read -r -t 2 _ code _ <&3 || {
    exec 3>&-
    return 1
  }
  while read -r -t 2 line <&3 && [ "${line%$'\r'}" != "" ]; do :; done
  printf '%s\n' "$code"
  timeout 2 cat <&3 || true
  exec 3>&-
}

# Mebibytes free where directory $1 lies.
space_mib() {
  df -Pk "$1" | awk 'NR == 2 {print int($4 / 1024)}'
}
