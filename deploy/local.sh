# local: a cluster of real processes on this machine's loopback addresses. Sourced by dev.
#
# Everything of a cluster lies under its --dir: `cluster` (its shape), conf/, data/, logs/, pids/ and msgctl.yaml. Each
# daemon has a loopback address of its own, 127.C.1.N controllers, 127.C.2.N nodes, 127.C.3.N routers, so that ports are
# always the defaults and clusters run side by side. A pid file holds the process and its start time; it is removed by
# stop and kill, so one without its process means a crash.
. deploy/probe.sh

ready_seconds=60
stop_seconds=15
space_needed_mib=256
space_wanted_mib=2048

# --- the cluster's shape: kept in $dir/cluster ------------------------------------------------------------------------

shape_load() {
  local key value
  [ -e "$dir/cluster" ] || return 1
  while IFS='=' read -r key value; do
    case $key in uuid | number | controllers | nodes | routers | shards) printf -v "$key" '%s' "$value" ;; esac
  done <"$dir/cluster"
}

shape_save() {
  local key
  for key in uuid number controllers nodes routers shards; do echo "$key=${!key}"; done >"$dir/cluster.new"
  mv "$dir/cluster.new" "$dir/cluster"
}

# The lowest C of 127.C.x.x where nothing listens on our ports.
number_choose() {
  local port inode
  for number in $(seq 0 255); do
    local taken=0
    for port in "1.1 7100" "2.1 7300" "3.1 7200"; do
      read -r suffix port <<<"$port"
      if inode=$(listener "127.$number.$suffix" "$port"); then taken=1; fi
    done
    [ $taken = 1 ] || return 0
  done
  die "no loopback network 127.0 to 127.255 is free; stop a cluster (./dev down --dir DIR)"
}

# All daemons' names, in the order in which they start.
names() {
  local i
  for i in $(seq 1 "$controllers"); do echo "controller$i"; done
  for i in $(seq 1 "$nodes"); do echo "node$i"; done
  for i in $(seq 1 "$routers"); do echo "router$i"; done
}

program_of() {
  case $1 in
  controller*) echo controld ;;
  node*) echo noded ;;
  router*) echo routerd ;;
  esac
}

address_of() {
  case $1 in
  controller*) echo "127.$number.1.${1#controller}" ;;
  node*) echo "127.$number.2.${1#node}" ;;
  router*) echo "127.$number.3.${1#router}" ;;
  esac
}

base_port_of() {
  case $1 in
  controller*) echo 7100 ;;
  node*) echo 7300 ;;
  router*) echo 7200 ;;
  esac
}

# Every port that a daemon listens on.
ports_of() {
  local base i
  base=$(base_port_of "$1")
  echo "$base"
  case $1 in
  node*) for i in $(seq 1 $((shards - 1))); do echo $((base + i)); done ;;
  router*) echo $((base + 32)) ;;
  esac
  echo $((base + 99))
}

# "[a, b, c]" of the addresses of a kind, each after a prefix made by $2 ("" or "id=").
addresses() {
  local i out=""
  for i in $(seq 1 "$2"); do out+="${out:+, }${3:+$i=}$(address_of "$1$i")"; done
  echo "[$out]"
}

# --- configuration ----------------------------------------------------------------------------------------------------

# A YAML single-quoted text: paths may hold anything.
quote() {
  printf "'%s'" "${1//\'/\'\'}"
}

conf_write() {
  local name=$1 memory
  case $name in
  node*) memory=384MiB ;;
  *) memory=192MiB ;;
  esac
  cat <<EOF
# Made by ./dev up at each start; docs/operating/configuration.md explains the keys.
cluster:
  uuid: $uuid
  name: local
listen:
  address: $(address_of "$name")
storage:
  directory: $(quote "$dir/data/$name")
memory:
  max: $memory
log:
  file: $(quote "$dir/logs/$name.log")
  bytes_max: 4MiB
EOF
  case $name in
  controller*)
    echo "raft:"
    echo "  id: ${name#controller}"
    echo "  members: $(addresses controller "$controllers" id)"
    echo "bootstrap:"
    echo "  nodes: $nodes"
    ;;
  node*)
    echo "node:"
    echo "  controllers: $(addresses controller "$controllers")"
    echo "  zone: zone${name#node}"
    echo "  shards: $shards"
    ;;
  router*)
    echo "router:"
    echo "  controllers: $(addresses controller "$controllers")"
    ;;
  esac
}

msgctl_write() {
  cat <<EOF
# Made by ./dev up; read by msgctl (TRILLIUM_CONFIG, else run/msgctl.yaml).
cluster:
  uuid: $uuid
endpoints:
  routers: $(addresses router "$routers")
  controllers: $(addresses controller "$controllers")
EOF
}

# --- one daemon -------------------------------------------------------------------------------------------------------

# Sets pid and returns 0 when the daemon runs; 1 when it does not; 2 when it has died since it was started.
running() {
  local start
  pid=
  [ -e "$dir/pids/$1" ] || return 1
  read -r pid start <"$dir/pids/$1" || return 1
  lives "$pid" "$start" || return 2
}

is_running() {
  running "$1"
}

ready_state() { # prints "ready", or what it waits for; true when ready
  local name=$1 answer code
  answer=$(http_get "$(address_of "$name")" $(($(base_port_of "$name") + 99)) /readyz) || {
    echo "not answering"
    return 1
  }
  code=${answer%%$'\n'*}
  [ "$answer" = "$code" ] || printf '%s\n' "${answer#*$'\n'}" | head -n 1
  [ "$code" = 200 ]
}

# Says who holds the ports of a daemon that does not run; true when they are free.
ports_free() {
  local name=$1 port inode address free=0
  address=$(address_of "$name")
  for port in $(ports_of "$name"); do
    inode=$(listener "$address" "$port") || continue
    echo "dev: $name cannot start: $address:$port is taken by $(owner_of "$inode")" >&2
    free=1
  done
  return $free
}

daemon_start() {
  local name=$1 program
  program=$bin/$(program_of "$name")
  mkdir -p "$dir/conf" "$dir/data/$name" "$dir/logs" "$dir/pids"
  conf_write "$name" >"$dir/conf/$name.yaml"
  # Words of an earlier crash are kept once; a running daemon logs to its own, bounded file.
  [ ! -s "$dir/logs/$name.out" ] || mv "$dir/logs/$name.out" "$dir/logs/$name.out.1"
  # TRILLIUM_SET="a.b=c d.e=f" changes settings of all daemons that are started, for comparisons and tests.
  local setting set=()
  for setting in ${TRILLIUM_SET:-}; do set+=(--set "$setting"); done
  setsid "$program" --config "$dir/conf/$name.yaml" "${set[@]}" </dev/null >"$dir/logs/$name.out" 2>&1 8>&- 9>&- &
  pid=$!
  disown "$pid" # the shell says nothing when it is killed
  echo "$pid $(start_of "$pid" || echo 0)" >"$dir/pids/$name"
}

# What a daemon last said, indented.
last_words() {
  local file
  for file in "$dir/logs/$1.out" "$dir/logs/$1.log"; do
    [ ! -s "$file" ] || tail -n "${2:-8}" "$file" | sed 's/^/    /'
  done
}

# Waits until all the named daemons serve; says which does not and why.
wait_ready() {
  local deadline=$((SECONDS + ready_seconds)) name waiting=("$@") still state
  while [ ${#waiting[@]} -gt 0 ]; do
    still=()
    for name in "${waiting[@]}"; do
      if ! is_running "$name"; then
        echo "dev: $name ended right after its start; its last words:" >&2
        last_words "$name" >&2
        return 1
      fi
      ready_state "$name" >/dev/null || still+=("$name")
    done
    waiting=("${still[@]}")
    [ ${#waiting[@]} -gt 0 ] || return 0
    if [ $SECONDS -ge $deadline ]; then
      for name in "${waiting[@]}"; do
        state=$(ready_state "$name") || true
        echo "dev: $name does not serve after $ready_seconds s: ${state:-no reason given}" >&2
      done
      echo "dev: ./dev logs NAME tells more; ./dev down stops what runs" >&2
      return 1
    fi
    sleep 0.1
  done
}

# Sends SIGTERM to the named daemons and waits for them; those that do not end are killed, which is said.
daemons_stop() {
  local name deadline=$((SECONDS + stop_seconds)) left=() still=()
  for name in "$@"; do
    if is_running "$name"; then
      kill -TERM "$pid"
      left+=("$name")
    else
      rm -f "$dir/pids/$name"
    fi
  done
  while [ ${#left[@]} -gt 0 ] && [ $SECONDS -lt $deadline ]; do
    still=()
    for name in "${left[@]}"; do
      if is_running "$name"; then still+=("$name"); else rm -f "$dir/pids/$name"; fi
    done
    left=("${still[@]}")
    [ ${#left[@]} = 0 ] || sleep 0.05
  done
  for name in "${left[@]}"; do
    echo "dev: $name did not end within $stop_seconds s of SIGTERM; killed it" >&2
    is_running "$name" && kill -KILL "$pid"
    rm -f "$dir/pids/$name"
  done
  [ ${#left[@]} = 0 ]
}

# --- commands ---------------------------------------------------------------------------------------------------------

# Fits the wanted shape (empty: as before, or the default) to the recorded one.
shape_choose() {
  local want key
  if shape_load; then
    for key in controllers nodes; do
      want=want_$key
      [ -z "${!want}" ] || [ "${!want}" = "${!key}" ] ||
        die "the cluster in $dir was made with ${!key} $key; ./dev down --wipe first, or take another --dir"
    done
    for key in shards routers; do
      want=want_$key
      if [ -n "${!want}" ] && [ "${!want}" != "${!key}" ]; then
        [ "$(count_running)" = 0 ] || die "the cluster runs with ${!key} $key; ./dev down first"
        printf -v "$key" '%s' "${!want}"
      fi
    done
    return 0
  fi
  controllers=${want_controllers:-3} nodes=${want_nodes:-3} routers=${want_routers:-2} shards=${want_shards:-2}
  number_choose
  uuid=$(cat /proc/sys/kernel/random/uuid)
}

count_running() {
  local name count=0
  for name in $(names); do
    if is_running "$name"; then count=$((count + 1)); fi
  done
  echo $count
}

space_check() {
  local free
  free=$(space_mib "$dir")
  [ "$free" -ge $space_needed_mib ] ||
    die "only $free MiB are free in $dir; at least $space_needed_mib are needed: make room there, or take another --dir"
  [ "$free" -ge $space_wanted_mib ] ||
    echo "dev: only $free MiB are free in $dir; enough to try things, not for an import: make room there before one"
}

programs_prepare() {
  local program missing=() free
  if [ -z "$bin" ]; then
    free=$(space_mib "$here")
    [ "$free" -ge $space_needed_mib ] ||
      die "only $free MiB are free in $here, where the programs are built; at least $space_needed_mib are needed: make room there"
    setup run
    # What runs and what applications link; tests and benchmarks are not waited for.
    build release controld noded routerd msgctl trillium_shared trillium_example
    bin=$here/build/release/bin
    mkdir -p build
    ln -sfn release/bin build/bin
  fi
  for program in controld noded routerd; do [ -x "$bin/$program" ] || missing+=("$program"); done
  [ ${#missing[@]} = 0 ] || die "there is no ${missing[*]} in $bin yet"
}

up() {
  local name start=() died=() before=0 code
  programs_prepare
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock -n 9 || die "another ./dev up or down works on $dir"
  # Two that start at once must not choose the same addresses: the second chooses when the first listens.
  exec 8>"/tmp/trillium-up-$(id -u).lock"
  flock 8
  shape_choose
  for name in $(names); do
    code=0
    running "$name" || code=$?
    case $code in
    0) before=$((before + 1)) ;;
    2) died+=("$name") && start+=("$name") ;;
    *) start+=("$name") ;;
    esac
  done
  if [ ${#start[@]} = 0 ]; then
    wait_ready $(names) || exit 1
    echo "dev: already up"
    hints
    return
  fi
  [ ${#died[@]} = 0 ] || echo "dev: ${died[*]} ended without being stopped (a crash, or the machine went down)"
  [ $before = 0 ] || echo "dev: $before daemons run already; starting the others: ${start[*]}"
  space_check
  local free=0
  for name in "${start[@]}"; do ports_free "$name" || free=1; done
  [ $free = 0 ] || die "stop what holds these ports, or take another --dir (a new cluster finds free addresses)"
  shape_save
  msgctl_write >"$dir/msgctl.yaml"
  for name in "${start[@]}"; do daemon_start "$name"; done
  wait_ready $(names) || exit 1
  exec 8>&-
  echo "dev: up in $SECONDS s"
  hints
}

many() {
  if [ "$1" = 1 ]; then echo "1 $2"; else echo "$1 $2s"; fi
}

hints() {
  local i line msgctl=build/bin/msgctl option=
  if [ "$dir" != "$here/run" ]; then
    msgctl="TRILLIUM_CONFIG=$(printf '%q' "$dir/msgctl.yaml") $msgctl"
    option=" --dir $(printf '%q' "$dir")"
  fi
  echo
  echo "$(many "$controllers" controller), $(many "$nodes" node) with $(many "$shards" shard) each, $(many "$routers" router)"
  for line in "controller $controllers 7100" "node $nodes 7300" "router $routers 7200"; do
    read -r kind count port <<<"$line"
    printf '  %-12s' "${kind}s"
    for i in $(seq 1 "$count"); do printf ' %s:%s' "$(address_of "$kind$i")" "$port"; done
    echo
  done
  echo "  metrics      http://$(address_of node1):7399/metrics (and port 7199 of controllers, 7299 of routers)"
  echo "  files        $dir"
  line=$(cat "$dir/logs/node1.log.1" "$dir/logs/node1.log" 2>/dev/null | grep ' daemon.start ' | tail -n 1 || true)
  if [[ $line == *backend=uv* ]]; then
    echo "  note         io_uring is not allowed here (usual in containers): nodes use libuv for files, which is slower"
  fi
  local last="./dev logs node1$option"
  [ "$nodes" -lt 3 ] || last="./dev kill node2$option && $msgctl message list 42 && ./dev start node2$option"
  cat <<EOF

try
  $msgctl status
  $msgctl message send 42 "hello"
  $msgctl message list 42
  $last
  ./dev down$option
EOF
}

down() {
  local i name controller_names=() node_names=() router_names=() bad=0
  if ! shape_load; then
    echo "dev: there is no cluster in $dir"
    return 0
  fi
  exec 9>"$dir/lock"
  flock -n 9 || die "another ./dev up or down works on $dir"
  for name in $(names); do
    case $name in
    controller*) controller_names+=("$name") ;;
    node*) node_names+=("$name") ;;
    *) router_names+=("$name") ;;
    esac
  done
  # Those who ask go first, so that nobody sees a failed request.
  daemons_stop "${router_names[@]}" || bad=1
  daemons_stop "${node_names[@]}" || bad=1
  daemons_stop "${controller_names[@]}" || bad=1
  if [ "$wipe" = 1 ]; then
    rm -rf "$dir/cluster" "$dir/conf" "$dir/data" "$dir/logs" "$dir/pids" "$dir/msgctl.yaml" "$dir/lock"
    rmdir "$dir" 2>/dev/null || true
    echo "dev: down; its data is deleted"
  else
    echo "dev: down; the data stays in $dir (./dev down --wipe deletes it)"
  fi
  return $bad
}

status() {
  local name code state all=0 memory
  shape_load || {
    echo "dev: there is no cluster in $dir; ./dev up starts one"
    return 1
  }
  printf '%-12s %-9s %-8s %-20s %-18s %s\n' NAME STATE PID SINCE ADDRESS MEMORY
  for name in $(names); do
    code=0 memory=
    running "$name" || code=$?
    case $code in
    0) state=$(ready_state "$name") && state=ready ;;
    1) state=stopped ;;
    *) state=died ;;
    esac
    [ "$state" = ready ] || all=1
    if [ $code = 0 ]; then
      memory="$(($(memory_of "$pid") / 1024)) MiB"
      printf '%-12s %-9s %-8s %-20s %-18s %s\n' "$name" "$([ "$state" = ready ] && echo ready || echo waiting)" "$pid" \
        "$(date -r "$dir/pids/$name" '+%Y-%m-%d %H:%M:%S')" "$(address_of "$name"):$(base_port_of "$name")" "$memory"
      [ "$state" = ready ] || echo "             $state"
    else
      printf '%-12s %-9s\n' "$name" "$state"
      [ $code != 2 ] || last_words "$name" 3
    fi
  done
  return $all
}

named() {
  local all
  all=$(names | tr '\n' ' ')
  [ -n "${1:-}" ] || die "which daemon? one of: $all"
  case " $all" in *" $1 "*) ;; *) die "there is no '$1'; there are: $all" ;; esac
}

logs() {
  local name=${1:-} follow=() file existing=()
  [ "${2:-}" != -f ] || follow=(-F)
  named "$name"
  for file in "$dir/logs/$name.out" "$dir/logs/$name.log"; do [ ! -s "$file" ] || existing+=("$file"); done
  [ ${#existing[@]} -gt 0 ] || die "$name has logged nothing yet"
  tail -q -n 200 "${follow[@]}" "${existing[@]}"
}

one() {
  local command=$1 name=${2:-}
  named "$name"
  exec 9>"$dir/lock"
  flock 9
  case $command in
  stop)
    is_running "$name" || die "$name does not run"
    daemons_stop "$name" && echo "dev: stopped $name"
    ;;
  kill)
    is_running "$name" || die "$name does not run"
    kill -KILL "$pid"
    while is_running "$name"; do sleep 0.02; done
    rm -f "$dir/pids/$name"
    echo "dev: killed $name"
    ;;
  start)
    ! is_running "$name" || die "$name runs already (process $pid)"
    [ -n "$bin" ] || bin=$here/build/release/bin
    [ -x "$bin/$(program_of "$name")" ] || die "there is no $(program_of "$name") in $bin; ./dev up builds it"
    ports_free "$name" || exit 1
    daemon_start "$name"
    wait_ready "$name" || exit 1
    echo "dev: started $name"
    ;;
  esac
}

local_main() {
  local command=$1 rest=() key
  shift
  dir=run wipe=0 demo=0 bin=${TRILLIUM_BIN:-}
  want_controllers='' want_nodes='' want_routers='' want_shards=''
  while [ $# -gt 0 ]; do
    case $1 in
    --controllers | --nodes | --routers | --shards | --dir)
      [ $# -ge 2 ] || die "$1 needs a value"
      key=${1#--}
      if [ "$key" = dir ]; then
        case $2 in /*) dir=$2 ;; *) dir=$caller/$2 ;; esac
      else
        [[ $2 =~ ^[1-9][0-9]?$ ]] || die "$1 needs a number from 1 to 99, not '$2'"
        printf -v "want_$key" '%s' "$2"
      fi
      shift 2
      ;;
    --wipe) wipe=1 && shift ;;
    --demo) demo=1 && shift ;;
    -f) rest+=("$1") && shift ;;
    -*) die "no option '$1' for $command" ;;
    *) rest+=("$1") && shift ;;
    esac
  done
  [ "$dir" != run ] || dir=$here/run
  case $command in
  up)
    up
    if [ $demo = 1 ]; then
      [ -x deploy/demo ] || die "there is no demonstration yet"
      exec 9>&- # it stops and starts a node itself
      TRILLIUM_CONFIG=$dir/msgctl.yaml deploy/demo "$dir"
    fi
    ;;
  down) down ;;
  status) status ;;
  logs | stop | kill | start)
    shape_load || die "there is no cluster in $dir; ./dev up starts one"
    case $command in
    logs) logs "${rest[@]}" ;;
    *) one "$command" "${rest[@]}" ;;
    esac
    ;;
  esac
}
