#!/bin/sh
# tune_test.sh - omendb tune: each verb on small data, bad input, interruption, and determinism: the
# same seed gives the same labels, choices and model, by one process or two, in one go or resumed.
# usage: tests/tune_test.sh [PATH-OF-OMENDB]; the last line says "N passed, N failed".
# shellcheck disable=SC2086
omendb=${1:-${OMENDB:-build/release/omendb}}
omendb=$(cd "$(dirname "$omendb")" && pwd)/$(basename "$omendb")
[ -x "$omendb" ] || { echo "tune_test: no program $omendb"; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-tune-test.XXXXXX") || exit 1
work=$dir/work
# Throw-away databases: in memory where that can be had.
[ -d /dev/shm ] && [ -w /dev/shm ] && work=$(mktemp -d /dev/shm/omendb-tune-test.XXXXXX)
trap 'rm -rf "$dir" "$work"' EXIT
cd "$dir" || exit 1
passed=0
failed=0
small="--n=4000 --ops=400 --bits=300 --work=$work/w"

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
# says NAME TEXT: on stdout; tells: on stderr
says() { grep -qF -e "$2" out; ok "$1: stdout does not say: $2" $?; }
tells() { grep -qF -e "$2" err; ok "$1: stderr does not say: $2" $?; }
without_wall() { sed 's/,"wall":{.*/}/' "$1"; }

# -- help and usage
run "help" 0 --help
says "help" "first steps"
run "no verb" 2
run "a wrong verb" 2 lern
tells "a wrong verb" "did you mean learn"
for verb in calibrate observe sample grid learn compare replay apply; do
    run "help of $verb" 0 $verb --help
    says "help of $verb" "omendb tune $verb"
    run "$verb with a wrong flag" 2 $verb --nonsense
done

# -- specs
run "a spec with a wrong field" 2 sample --spec '{"like":"W1","thta":1}'
tells "a spec with a wrong field" 'line 1, column 21: unknown field "thta"'
run "a spec that is no JSON" 2 sample --spec '{"like":"W1",}'
tells "a spec that is no JSON" "line 1, column 14"
run "a workload that is none" 2 sample --workloads=W13
tells "a workload that is none" "W1 to W12"
run "a spec file that is not there" 2 sample --spec=@nowhere.json
tells "a spec file that is not there" "nowhere.json"
printf '{"like":"W1",\n  "n":"many"}' >bad.json
run "a spec file with a wrong value" 2 sample --spec=bad.json
tells "a spec file with a wrong value" "bad.json: line 2, column 7: n must be a whole number"
run "a point that does not fit" 2 sample --workloads=W1 --point=h=63,cache=90
tells "a point that does not fit" "leave no memtable"

# -- sample
run "sample" 0 sample --workloads=W1 $small
says "sample" "page reads an operation"
run "sample as JSON" 0 sample --spec '{"like":"W12","scan":[20]}' --json --by-kind --repeats=2 $small
[ "$(wc -l <out)" = 2 ]
ok "two repeats, two lines" $?
says "sample as JSON" '"repeat":1'
[ ! -e "$work/w" ]
ok "databases are removed" $?
run "sample of reads alone" 0 sample --workloads=C --point=leveling,T=4,h=8,cache=10 $small
run "sample with deletes" 0 sample --spec '{"like":"W8","deletes":0.3,"inserts":0.3}' $small
run "sample of phases" 0 sample --spec=square $small
run "an option of the library" 0 sample --workloads=W2 --options=filter=plain $small
run "an option that is none" 2 sample --workloads=W2 --options=filtr=plain $small
tells "an option that is none" "filter"

# -- grid, resumed
space='T=3,6;K=1,T-1;Z=1;h=8;cache=0'
run "grid" 0 grid g1 --workloads=W1,W5 --space "$space" $small
says "grid" "best configuration"
[ "$(wc -l <g1/labels.jsonl)" = 10 ] && [ "$(wc -l <g1/labels.csv)" = 11 ]
ok "a label for each point and workload, the default too" $?
run "grid where one is" 3 grid g1 --workloads=W1,W5 --space "$space" $small
tells "grid where one is" "--resume"
run "grid with other workloads" 3 grid g1 --resume --workloads=W2 --space "$space" $small
tells "grid with other workloads" "other workloads"
run "grid by two processes" 0 grid g2 --jobs=2 --workloads=W1,W5 --space "$space" $small
without_wall g1/labels.jsonl >a
without_wall g2/labels.jsonl >b
cmp -s a b
ok "two processes, the same labels" $?
mkdir g3
cp g1/campaign.json g3/
head -n 4 g1/labels.jsonl >g3/labels.jsonl
printf '{"workload":"W1","spe' >>g3/labels.jsonl
run "grid resumed after a torn line" 0 grid g3 --resume --workloads=W1,W5 --space "$space" $small
without_wall g3/labels.jsonl >b
cmp -s a b
ok "resumed, the same labels" $?
run "out of time" 1 grid g4 --time-limit=0.001 --workloads=W1,W5 --space "$space" $small
tells "out of time" "--resume goes on"
"$omendb" tune grid g5 --workloads=W1,W5 --n=60000 --space "$space" --work="$work/w" >out 2>err &
pid=$!
sleep 1
kill -INT $pid
wait $pid
[ $? = 1 ] && grep -q interrupted err
ok "interrupted" $?
echo broken >>g4/labels.jsonl
run "a damaged campaign" 3 grid g4 --resume --workloads=W1,W5 --space "$space" $small
tells "a damaged campaign" "labels.jsonl, line"
run "no campaign" 3 compare nowhere --recorded

# -- learn
learn="--workloads=W1,W5 --budget=5 --repeats=2 $small"
run "learn" 0 learn l1 $learn
says "learn" "configuration"
run "learn again by two processes" 0 learn l2 --jobs=2 $learn
without_wall l1/labels.jsonl >a
without_wall l2/labels.jsonl >b
cmp -s a b && cmp -s l1/choices.jsonl l2/choices.jsonl && cmp -s l1/model.omtm l2/model.omtm
ok "the same labels, choices and model" $?
mkdir l3
cp l1/campaign.json l3/
head -n 7 l1/labels.jsonl >l3/labels.jsonl
run "learn resumed" 0 learn l3 --resume $learn
without_wall l3/labels.jsonl >b
cmp -s a b && cmp -s l1/choices.jsonl l3/choices.jsonl && cmp -s l1/model.omtm l3/model.omtm
ok "resumed, the same labels, choices and model" $?
run "learn with another seed" 0 learn l4 --seed=2 $learn
without_wall l4/labels.jsonl >b
! cmp -s a b
ok "another seed, other labels" $?
for mode in decoupled random theory endure:0.5; do
    run "learn by $mode" 0 learn "l-$mode" --mode=$mode --workloads=W7 --budget=3 --repeats=0 --json $small
    says "learn by $mode" "\"method\":\"$mode\""
done
run "learn by nothing known" 2 learn l-x --mode=bo --workloads=W7 $small
tells "learn by nothing known" "lcb"
run "learn of what is recorded" 0 learn g1 --recorded --resume --workloads=W1,W5 --budget=3 --n=4000 --ops=400 --bits=300

# -- compare
run "compare recorded" 0 compare g1 --recorded --seeds=2 --budget=2,3
says "compare recorded" "mean regret"
cp out once
run "compare again" 0 compare g1 --recorded --seeds=2 --budget=2,3
cmp -s out once
ok "compare says the same again" $?
run "compare live" 0 compare c1 --methods=default,theory,lcb --budget=3 --workloads=W5 --json $small
says "compare live" '"method":"lcb"'
run "compare nothing" 2 compare g1 --recorded --budget=0

# -- replay
run "replay" 0 replay --spec=square $small
says "replay" "all"
run "replay by an oracle" 0 replay --spec=square --oracle --json $small
[ "$(wc -l <out)" = 6 ]
ok "a line a phase" $?
run "replay by a model" 0 replay --spec=square --oracle --from=l1 $small
"$omendb" bench --db=db --benchmarks=fillrandom,readrandom,readmissing,seekrandom --num=5000 \
    --seek_nexts=5 --trace=trace >/dev/null 2>&1
ok "bench records a trace" $?
run "replay of a trace" 0 replay --trace=trace --bits=300 --work="$work/w"
! grep -q "not found when recorded" out
ok "a trace is answered as it was" $?
run "sample of what is like a trace" 0 sample --spec=trace --ops=1000 --bits=300 --work="$work/w"
run "replay of what is no trace" 3 replay --trace=bad.json
head -c 2000 trace >torn
run "replay of a torn trace" 3 replay --trace=torn --bits=300 --work="$work/w"

# -- observe, apply
run "observe" 0 observe db
says "observe" "present keys"
! grep -q "nothing was asked" out
ok "what a short process asked is seen" $?
run "observe as a spec" 0 observe db --as-spec
cp out mine.json
run "the spec is taken" 0 sample --spec=mine.json --n=4000 --ops=300 --bits=300 --work="$work/w"
run "observe as JSON" 0 observe db --json
run "observe nothing" 3 observe nowhere
run "apply, dry" 0 apply db --point=T=8,K=3,h=8 --dry-run
says "apply, dry" "would be set"
run "still as it was" 0 apply db --point=T=8,K=3,h=8 --dry-run
says "still as it was" "6 -> 8"
run "apply" 0 apply db --point=T=8,K=3,h=8
run "applied" 0 apply db --point=T=8,K=3,h=8 --dry-run
says "applied" "8, as it is"
run "apply what was learned" 0 apply db --from=l1 --workload=W5 --json
run "apply what is not clear" 2 apply db --from=l1
tells "apply what is not clear" "--workload"
run "apply nothing" 2 apply db
"$omendb" get db 0000000000000001 >/dev/null 2>&1
"$omendb" verify db >out 2>&1
ok "the database verifies" $?

# -- calibrate
run "calibrate" 0 calibrate . --seconds=1 --size=16M --out=prices.json
says "calibrate" "read at random"
run "prices are taken" 0 sample --workloads=W3 --prices=prices.json $small
run "prices that are none" 2 sample --workloads=W3 --prices=mine.json $small
tells "prices that are none" "no price is called"
run "calibrate nowhere" 3 calibrate nowhere --seconds=1

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
