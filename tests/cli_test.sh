#!/bin/sh
# cli_test.sh - the omendb commands: results, exit codes, bad input.
# usage: tests/cli_test.sh [PATH-OF-OMENDB]; the last line says "N passed, N failed".
omendb=${1:-${OMENDB:-build/release/omendb}}
case $omendb in */*) ;; *) omendb=$(command -v "$omendb") ;; esac
omendb=$(cd "$(dirname "$omendb")" && pwd)/$(basename "$omendb")
[ -x "$omendb" ] || { echo "cli_test: no program $omendb"; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/omendb-cli.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0
failed=0

# check NAME WANTED-EXIT WANTED-STDOUT COMMAND...   ("*": any output)
check() {
    name=$1 want_rc=$2 want=$3
    shift 3
    got=$("$@" 2>err </dev/null)
    rc=$?
    if [ "$rc" = "$want_rc" ] && { [ "$want" = "*" ] || [ "$got" = "$want" ]; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: exit $rc (wanted $want_rc), output: $got (wanted $want)"
        sed 's/^/  stderr: /' err
    fi
}
# said NAME TEXT: what the last check's command said on stderr
said() {
    if grep -qF -e "$2" err; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1: stderr does not say: $2"
        sed 's/^/  stderr: /' err
    fi
}
# piped NAME WANTED-EXIT WANTED-STDOUT INPUT COMMAND...   INPUT goes through printf %b
piped() {
    name=$1 want_rc=$2 want=$3 input=$4
    shift 4
    got=$(printf '%b' "$input" | "$@" 2>err)
    rc=$?
    if [ "$rc" = "$want_rc" ] && [ "$got" = "$want" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name: exit $rc (wanted $want_rc), output: $got (wanted $want)"
        sed 's/^/  stderr: /' err
    fi
}
tab=$(printf '\t')
nl='
'

# -- the tool itself
check version 0 "*" "$omendb" --version
check help 0 "*" "$omendb" --help
for c in get put del scan count import export stats levels filter tier doctor verify repair compact bench ycsb lab; do
    check "help of $c" 0 "*" "$omendb" $c --help
done
for c in index filter; do
    check "help of lab $c" 0 "*" "$omendb" lab $c --help
done
check "lab filter" 0 "*" "$omendb" lab filter --gen B --num 20000 --samples 1000 --drift
check "lab filter as JSON" 0 "*" "$omendb" lab filter --gen D1 --num 20000 --fpr 0.01 --json
check "lab filter of too few keys" 0 "*" "$omendb" lab filter --gen A --num 1 --samples 0
check "lab filter at a price" 0 "*" "$omendb" lab filter --gen E --num 3000 --price 1e-7 --nodeny
check "lab filter accepts" 0 "*" "$omendb" lab filter --accept=8 --num 20000
check "lab filter without keys" 2 "" "$omendb" lab filter
check "lab filter of no shape" 2 "" "$omendb" lab filter --gen F
said "lab filter of no shape names them" "C1.2 D1 D2 D3 E"
check "lab filter of no check" 2 "" "$omendb" lab filter --accept=8,99
check "lab filter of a bad floor" 1 "" "$omendb" lab filter --gen A --num 3000 --floor=2
printf '%s\n' apple banana cherry damson >lab-keys
printf '%s\n' apricot banana blueberry coconut >lab-lookups
check "lab filter of files" 0 "*" "$omendb" lab filter --keys lab-keys --queries lab-lookups
check "lab filter beside keys of a file" 0 "*" "$omendb" lab filter --keys lab-keys
check "lab filter of a missing file" 1 "" "$omendb" lab filter --keys nowhere
check "help as a word" 0 "*" "$omendb" help get
check "no command" 2 "" "$omendb"
check "unknown command" 2 "" "$omendb" scann
said "unknown command names the nearest" "did you mean scan?"
check "unknown flag" 2 "" "$omendb" get --hexx d k
said "unknown flag names the nearest" "did you mean --hex?"
check "flag without its value" 2 "" "$omendb" scan d --from
said "flag without its value" "needs a value"
check "bad number" 2 "" "$omendb" scan d --limit=ten
said "bad number" "whole number"

# -- single keys
check "get without a database" 3 "" "$omendb" get nowhere k
said "get without a database" "holds no database"
check "put makes the database" 0 "" "$omendb" put d k1 v1
check "get" 0 "v1" "$omendb" get d k1
check "get of nothing" 1 "" "$omendb" get d k2
said "get of nothing" "no such key"
check "quiet get of nothing" 1 "" "$omendb" get --quiet d k2
check "put over" 0 "" "$omendb" put --sync d k1 v1b
check "get of several" 0 "k1${tab}v1b${nl}k1${tab}v1b" "$omendb" get d k1 --raw k1 --noraw
check "put in hex" 0 "" "$omendb" put --hex d 00ff 6162
check "get in hex" 0 "6162" "$omendb" get --hex d 00FF
check "get in base64" 0 "YWI=" "$omendb" get --base64 d AP8=
check "get as JSON" 0 '{"key_base64":"AP8=","found":true,"value":"ab"}' "$omendb" get --hex --json d 00ff
check "bad hex" 2 "" "$omendb" get --hex d 0g
said "bad hex" "no hex digit"
check "two forms at once" 2 "" "$omendb" get --hex --base64 d 00
check "put with escapes" 0 "" "$omendb" put --escape d 'a\tb' 'x\ny'
check "get with escapes" 0 'x\ny' "$omendb" get --escape d 'a\tb'
piped "put from stdin" 0 "" 'l1\nl2' "$omendb" put --stdin d big
check "value from stdin" 0 'l1\nl2' "$omendb" get --escape d big
check "empty value" 0 "" "$omendb" put d empty ""
check "get of an empty value" 0 "" "$omendb" get d empty
check "del" 0 "" "$omendb" del d k1 never-there
check "get after del" 1 "" "$omendb" get d k1
check "put with a word too few" 2 "" "$omendb" put d k
check "unknown library option" 2 "" "$omendb" put --options=no_such_option=1 d k v

# -- ranges
piped "import" 0 "" 'a1\t1\na2\t2\nb1\t3\nb2\t4\nc\t5\n' "$omendb" import r
check "count" 0 5 "$omendb" count r
check "count of a prefix" 0 2 "$omendb" count --prefix=b r
check "scan of a prefix" 0 "a1${tab}1${nl}a2${tab}2" "$omendb" scan --prefix a r
check "scan from and to" 0 "a2${nl}b1${nl}b2" "$omendb" scan --from=a2 --to=c --keys_only r
check "scan backwards" 0 "5${nl}4" "$omendb" scan --reverse --limit=2 --values-only r
check "scan of nothing" 0 "" "$omendb" scan --prefix=zz r
check "scan escapes" 0 'a\tb'"${tab}"'x\ny' "$omendb" scan --prefix=a d
check "count as JSON" 0 "*" "$omendb" count --json r
check "scan as JSON lines" 0 '{"key":"c","value":"5"}' "$omendb" scan --jsonl --from=c r
check "scan flags that exclude each other" 2 "" "$omendb" scan --json --csv r
check "scan of two directories" 2 "" "$omendb" scan r d

# -- import and export
for form in "" --jsonl --csv --hex --base64 --escape; do
    rm -rf copy
    "$omendb" export $form r >out 2>err && "$omendb" import --quiet $form copy out 2>>err
    check "export and import ${form:-plain}" 0 "$("$omendb" scan r)" "$omendb" scan copy
done
check "plain export of what lines cannot hold" 3 "*" "$omendb" export d
said "plain export of what lines cannot hold" "--escape"
rm -rf copy
"$omendb" export --jsonl d >out 2>err && "$omendb" import --quiet --jsonl copy out 2>>err
check "bytes survive JSON lines" 0 "$("$omendb" scan --hex d)" "$omendb" scan --hex copy
"$omendb" export --csv --output=out d 2>err
rm -rf copy
"$omendb" import --quiet --csv copy out 2>>err
check "bytes survive CSV" 0 "$("$omendb" scan --hex d)" "$omendb" scan --hex copy
piped "bad line" 3 "" 'a\t1\nno tab\nb\t2\n' "$omendb" import bad
said "bad line is named" "stdin:2:"
check "what came before it is in" 0 1 "$omendb" count bad
piped "bad line passed" 1 "" 'a\t1\nno tab\nb\t2\n' "$omendb" import --skip_bad bad
check "what came after it is in" 0 2 "$omendb" count bad
piped "bad JSON" 3 "" '{"key":"a","value":"1"}\n{"key":\n' "$omendb" import --jsonl bad
said "bad JSON is named" "stdin:2:"
piped "JSON names are compared whole" 3 "" '{"key\\u0000x":"a","value":"1"}\n' "$omendb" import --jsonl bad
piped "JSON without a value" 3 "" '{"key":"a"}\n' "$omendb" import --jsonl bad
piped "JSON escapes and numbers" 0 "" '{"v":[1,{"a":"}"}],"key":"\\u00e9","value":5}\n' "$omendb" import --quiet --jsonl j
check "JSON escapes and numbers read" 0 "5" "$omendb" get j "$(printf '\303\251')"
piped "CSV quotes and header" 0 "" 'k,v\n"x,1","say ""hi""\nthere"\n' "$omendb" import --quiet --csv --header q
check "CSV quotes read" 0 'say "hi"\nthere' "$omendb" get --escape q x,1
piped "bad CSV" 3 "" 'a,b,c\n' "$omendb" import --csv bad
check "import of no file" 3 "" "$omendb" import bad no-such-file
piped "import of nothing" 0 "" '' "$omendb" import --quiet void
check "count of nothing" 0 0 "$omendb" count void

# -- looking and upkeep
check "stats" 0 "*" "$omendb" stats r
check "stats as JSON" 0 "*" "$omendb" stats --json r
check "stats as Prometheus text" 0 "*" "$omendb" stats --prometheus r
check "levels" 0 "*" "$omendb" levels --files r
check "levels as JSON" 0 "*" "$omendb" levels --files --json r
check "doctor of a directory" 0 "*" "$omendb" doctor "$dir"
check "doctor as JSON" 0 "*" "$omendb" doctor --json
check "doctor of no directory" 3 "" "$omendb" doctor nowhere
said "doctor of no directory says what to name" "name a directory"
check "doctor of two directories" 2 "" "$omendb" doctor a b
check "doctor leaves nothing behind" 0 "" find "$dir" -name ".omendb-doctor*"
check "tier" 0 "*" "$omendb" tier r --far=heap
check "tier of each table" 0 "*" "$omendb" tier r --far=heap --files
check "tier as JSON" 0 "*" "$omendb" tier r --json
check "tier without far memory" 0 "*" "$omendb" tier r --far=node:63
check "tier of what is none" 2 "" "$omendb" tier r --far=cxl
said "tier of what is none says what there is" "node:N"
check "filters" 0 "*" "$omendb" filter r
check "filters as JSON" 0 "*" "$omendb" filter --json r
check "filter of no table" 1 "" "$omendb" filter --table=999999 r
said "filter of no table" "no table 999999"
check "filter without a database" 3 "" "$omendb" filter nowhere
check "filter without a directory" 2 "" "$omendb" filter
if command -v jq >/dev/null 2>&1; then
    for c in "stats --json" "filter --json" "levels --files --json" "scan --json" "verify --json" "count --json"; do
        # shellcheck disable=SC2086
        "$omendb" $c d >out 2>err
        check "$c is JSON" 0 "*" jq . out
    done
fi
check "verify" 0 "*" "$omendb" verify r
check "quiet verify" 0 "" "$omendb" verify --quiet r
check "compact" 0 "*" "$omendb" compact r
check "compact of a range" 0 "" "$omendb" compact --quiet --from=a --to=b r
check "count after compact" 0 5 "$omendb" count r
check "compact without a database" 3 "" "$omendb" compact nowhere

# -- a database that is open elsewhere: a long put holds it
mkfifo pipe
"$omendb" import --quiet r <pipe 2>/dev/null &
holder=$!
exec 9>pipe
sleep 1
check "writing beside a writer" 5 "" "$omendb" put r k v
check "repair beside a writer" 5 "" "$omendb" repair r
check "dry run beside a writer" 5 "" "$omendb" repair --dry-run r
check "reading beside a writer" 0 5 "$omendb" count r
check "stats beside a writer" 0 "*" "$omendb" stats r
exec 9>&-
wait $holder

# -- damage
i=0
while [ $i -lt 2000 ]; do
    printf 'key%05d\tvalue-%d-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n' $i $i
    i=$((i + 1))
done >many
"$omendb" import --quiet d2 many 2>err && "$omendb" compact --quiet d2 2>>err
table=$(ls d2/*.sst 2>/dev/null | head -1)
if [ -n "$table" ]; then
    printf '\377\376\375\374' | dd of="$table" bs=1 seek=2000 conv=notrunc 2>/dev/null
    check "verify finds damage" 1 "*" "$omendb" verify d2
    said "verify names the next step" "omendb repair"
    ls d2 >before
    check "repair's dry run finds damage" 1 "*" "$omendb" repair --dry-run d2
    ls d2 >after
    check "repair's dry run changes nothing" 0 "" cmp before after
    check "verify still finds it" 1 "*" "$omendb" verify --quiet d2
    check "repair with a loss" 1 "*" "$omendb" repair d2
    check "the damaged table is kept" 0 "$table.bad" ls "$table.bad"
    check "verify after repair" 0 "" "$omendb" verify --quiet d2
    check "repair again" 0 "nothing to repair: $(ls d2/*.sst d2/*.log d2/MANIFEST-* | wc -l) files looked at, all sound" "$omendb" repair d2
    check "the rest is there" 0 "value-1999-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" "$omendb" get d2 key01999
fi
before=$("$omendb" count d2)
echo garbage >d2/CURRENT
check "a damaged CURRENT" 4 "" "$omendb" count d2
said "a damaged CURRENT names the next step" "omendb repair"
check "repair of CURRENT without a loss" 0 "*" "$omendb" repair d2
check "count after repair" 0 "$before" "$omendb" count d2
rm d2/CURRENT
check "no CURRENT" 4 "" "$omendb" count d2
said "no CURRENT names the next step" "omendb repair"
check "repair as JSON" 0 "*" "$omendb" repair --json d2
if command -v jq >/dev/null 2>&1; then
    cp -r d2 d3
    rm d3/MANIFEST-*
    "$omendb" repair --json d3 >out 2>err
    check "repair without a manifest" 0 "rebuilt" jq -r .manifest out
    check "count after a rebuild" 0 "$before" "$omendb" count d3
fi
check "repair of no database" 3 "" "$omendb" repair .
check "repair of no directory" 3 "" "$omendb" repair nowhere
said "repair of no directory" "no directory nowhere"
check "repair of two" 2 "" "$omendb" repair d2 d

# -- bench and ycsb
b="--db=$dir/b --num=2000 --progress_reports=0"
check "bench" 0 "*" "$omendb" bench $b --benchmarks=fillrandom,readrandom --verify_values --json=out.json
check "bench with a trace" 0 "*" "$omendb" bench $b --benchmarks=fillseq,readrandom,seekrandom --trace=trace
check "the trace is there" 0 "OMNTRACE" head -c 8 trace
check "bench into a trace that is there" 3 "*" "$omendb" bench $b --use_existing_db --benchmarks=readseq --trace=trace
check "stats of the workload" 0 "*" "$omendb" stats "$dir/b"
check "bench of a name unknown" 2 "*" "$omendb" bench $b --benchmarks=readrandon
said "bench of a name unknown" "did you mean readrandom"
check "bench flag unknown" 2 "" "$omendb" bench --nun=3
said "bench flag unknown" "--num"
check "bench flag without effect" 0 "*" "$omendb" bench $b --benchmarks=fillseq --num_levels=7
said "bench flag without effect" "note: --num_levels"
check "strict flags" 2 "" "$omendb" bench --strict_flags --num_levels=7
check "bench forms of flags" 0 "*" "$omendb" bench $b --benchmarks fillseq -threads 2 --nohistogram --sync=false
check "bench bad value" 2 "" "$omendb" bench --num=-5
printf -- '--num=500\n# note\n--value_size=20\n' >flagfile
check "bench flagfile and undefok" 0 "*" "$omendb" bench --undefok=abc --flagfile=flagfile --db="$dir/b" --abc=1 --benchmarks=fillseq
check "bench skips" 0 "*" "$omendb" bench $b --use_existing_db --benchmarks=fillseq,crc32c
ln -s "$omendb" db_bench
check "called as db_bench" 0 "*" ./db_bench $b --benchmarks=fillseq,readseq
for k in decimal ycsb uuid timeseries file:keys; do
    sed 's/\t.*//' many >keys
    check "bench with $k keys" 0 "*" "$omendb" bench $b --key_dist=$k --verify_values --benchmarks=filluniquerandom,readrandom,multireadrandom --batch_size=8 --json=out.json
    if command -v jq >/dev/null 2>&1; then
        check "all $k keys found" 0 true jq -c 'map(select(.name == "readrandom"))[0] | .found == .total' out.json
    fi
done
for w in a b c d e f; do
    check "ycsb load $w" 0 "*" "$omendb" ycsb load --fresh --workload=$w --db="$dir/y"
    check "ycsb run $w" 0 "*" "$omendb" ycsb run --workload=$w --db="$dir/y" -threads 2
done
printf 'recordcount=100\n# note\nrequestdistribution = latest\nreadproportion=1\nupdateproportion=0\n' >props
check "ycsb properties" 0 "*" "$omendb" ycsb run omendb -P props -p operationcount=50 -p omendb.dir="$dir/y"
check "ycsb bad property" 2 "" "$omendb" ycsb run -p recordcont=5
said "ycsb bad property" "did you mean recordcount"
check "ycsb bad proportions" 2 "" "$omendb" ycsb run -p readproportion=0.7

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
