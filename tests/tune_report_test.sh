#!/bin/sh
# tune_report_test.sh - omendb tune explain, report, figure and accept on small data, and bad input.
# usage: tests/tune_report_test.sh [PATH-OF-OMENDB]; the last line says "N passed, N failed".
# shellcheck disable=SC2086
omendb=${1:-${OMENDB:-build/release/omendb}}
omendb=$(cd "$(dirname "$omendb")" && pwd)/$(basename "$omendb")
[ -x "$omendb" ] || { echo "tune_report_test: no program $omendb"; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-report-test.XXXXXX") || exit 1
work=$dir/work
# Throw-away databases: in memory where that can be had.
[ -d /dev/shm ] && [ -w /dev/shm ] && work=$(mktemp -d /dev/shm/omendb-report-test.XXXXXX)
trap 'rm -rf "$dir" "$work"' EXIT
cd "$dir" || exit 1
passed=0
failed=0

ok() { # name, condition's exit code
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1"
        sed 's/^/  /' out err 2>/dev/null | head -n 20
    fi
}
# run NAME WANTED-EXIT ARGS...: of omendb tune
run() {
    name=$1 want=$2
    shift 2
    "$omendb" tune "$@" >out 2>err </dev/null
    rc=$?
    [ "$rc" = "$want" ]
    ok "$name: exit $rc (wanted $want)" $?
}
# says NAME TEXT: on stdout; tells: on stderr; holds NAME FILE TEXT
says() { grep -qF -e "$2" out; ok "$1: stdout does not say: $2" $?; }
tells() { grep -qF -e "$2" err; ok "$1: stderr does not say: $2" $?; }
holds() { grep -qF -e "$3" "$2"; ok "$1: $2 does not say: $3" $?; }

for verb in explain report figure accept; do
    run "help of $verb" 0 $verb --help
    says "help of $verb" "omendb tune $verb"
    run "$verb with a wrong flag" 2 $verb --nonsense
    run "$verb of nothing" 2 $verb
done

# -- explain
run "explain a workload" 0 explain --spec=W5
says "explain a workload" "97 %"
says "explain a workload" "Why T "
says "explain a workload" "size_ratio="
cp out once
run "explain it again" 0 explain --spec=W5
cmp -s out once
ok "the same words" $?
run "explain a shape" 0 explain --spec=W4 --point=tiering,T=4,h=8,cache=0 --top=1
says "explain a shape" "T 4, K 3/3, 8 bits, no cache"
run "explain as JSON" 0 explain --spec='{"like":"W9","scan":[64]}' --json
says "explain as JSON" '"closed_forms"'
run "explain within" 0 explain --spec=W1 --space='T=4;K=1;Z=1;h=8;cache=0' --top=20
[ "$(grep -c '^[0-9]*\.  *T ' out)" = 1 ]
ok "one shape there is, one is shown" $?
run "explain no shape" 2 explain --spec=W1 --space='h=64;cache=95'
run "explain too many" 2 explain --spec=W1 --top=21
run "explain a workload that is none" 2 explain --spec=W99
run "explain two things" 2 explain db --spec=W1
run "explain no database" 3 explain nowhere
run "explain with no model" 3 explain --spec=W1 --model=nowhere.omtm
tells "explain with no model" "tune learn"
printf 'no model' >bad.omtm
run "explain with a bad model" 4 explain --spec=W1 --model=bad.omtm

"$omendb" bench --db=db --benchmarks=fillrandom,readrandom --num=20000 --value_size=100 \
    --memory_bytes=4M >out 2>err
run "explain a database" 0 explain db
says "explain a database" "lies  T 6"
run "explain a database as JSON" 0 explain db --json
says "explain a database as JSON" '"live": true'

# -- a small campaign
run "a grid" 0 grid g --workloads=W1,W5 --n=4000 --ops=400 --bits=300 --work="$work/w" \
    --space='T=2,6,10;K=1,T-1;Z=1,T-1;h=10;cache=0'
run "choices" 0 compare g --recorded --seeds=2 --budget=4,8 --methods=random,lcb
run "report" 0 report g
says "report" "# Tuning report"
says "report" "## Cost by workload and method"
cp out once
run "report again" 0 report g
cmp -s out once
ok "the same report" $?
run "report as pages" 0 report g --html=g.html --md=g.md
cmp -s once g.md
ok "the same in a file" $?
holds "the page" g.html "</html>"
holds "the page" g.html '<section id="F3">'
[ "$(grep -c '<svg' g.html)" = "$(grep -c '</svg>' g.html)" ]
ok "charts end" $?
! grep -qE '<script|src=|url\(' g.html
ok "the page needs nothing else" $?
run "findings as JSON" 0 report g --json
says "findings as JSON" '"finding"'
run "report nowhere" 3 report nowhere
run "report into nowhere" 3 report g --html=nowhere/g.html
tells "report into nowhere" "nowhere/g.html"

# -- figures
for figure in F1 F2 F3 F5 heat scatter amp tail; do
    run "figure $figure" 0 figure $figure g
    [ -s $figure.csv ] && [ -s $figure.svg ]
    ok "files of $figure" $?
done
run "figure F4" 0 figure F4 g g
holds "figure F4" F4.csv "W5,0,0"
run "figure F4 of one scale" 2 figure F4 g
run "figure F8" 0 figure F8 --space='T=2,8;K=1,T-1;Z=1,T-1;h=8;cache=0' --draws=500
says "figure F8" "robust to rho 1"
run "figure F8 of a campaign" 2 figure F8 g
run "a figure without labels for it" 3 figure F10 g
run "a figure that is none" 2 figure F99 g
run "a figure into nowhere" 3 figure F1 g --out=nowhere

# -- acceptance
run "a row that is none" 2 accept --id=A1,A99
tells "a row that is none" "A99"
run "A6 of what is recorded" 0 accept --id=A6 --labels=g --seeds=3 --ledger=ledger.md --commit=abc123
says "A6 of what is recorded" "A6 mean regret"
holds "the ledger" ledger.md '| abc123 | `omendb tune accept --id A6` | mean regret'
"$omendb" tune accept --id=A11 --labels=g --json >out 2>err
[ $? -le 1 ]
ok "A11 is measured, whatever it is" $?
says "A11 as JSON" '"verdict"'
run "A8 without its labels" 3 accept --id=A8 --labels=g --work=acc
tells "A8 without its labels" "--labels-s1"
run "accept with labels from nowhere" 3 accept --id=A6 --labels=nowhere

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
