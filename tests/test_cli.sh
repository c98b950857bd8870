#!/bin/sh
# The command line: every mistake is one line on stderr, names what is wrong, and ends with status 2; what is not a
# mistake works; every shipped table can be read. SPDX-License-Identifier: Apache-2.0
# usage: test_cli.sh PATH/TO/tripass
set -u
tripass=$1
problem=mb1ic16ih14oc16kh3ph1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0
failures=0

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/    stderr: /' "$dir/err" | head -5
}

# bad WORD ARGUMENT...: a mistake whose line has WORD in it.
bad() {
    word=$1
    shift
    count=$((count + 1))
    "$tripass" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ $status -eq 2 ] || fail "tripass $*: status $status, not 2"
    [ "$(wc -l <"$dir/err")" -eq 1 ] || fail "tripass $*: not one line on stderr"
    grep -q '^tripass: .*: .*; try .' "$dir/err" || grep -q '^tripass: .*; try .' "$dir/err" ||
        fail "tripass $*: not 'tripass: what: why; try X'"
    grep -qF -- "$word" "$dir/err" || fail "tripass $*: no '$word' in the line"
    [ -s "$dir/out" ] && fail "tripass $*: a mistake, and yet data on stdout"
}

# good PATTERN ARGUMENT...: status 0, and a line of stdout matches PATTERN.
good() {
    pattern=$1
    shift
    count=$((count + 1))
    "$tripass" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ $status -eq 0 ] || fail "tripass $*: status $status, not 0"
    grep -q -e "$pattern" "$dir/out" || fail "tripass $*: nothing like '$pattern' on stdout"
}

# rows N ARGUMENT...: --dry-run plans N points.
rows() {
    wanted=$1
    shift
    good '^impl,' run --dry-run --impl=reference "$@"
    found=$(($(wc -l <"$dir/out") - 1))
    [ "$found" -eq "$wanted" ] || fail "tripass run $*: $found points, not $wanted"
}

# ---- mistakes ----
printf '%s\n\n# comment\n  ic1ih1oc1kh1  \nic5\n' "$problem" >"$dir/bad.txt"
printf '# nothing\n' >"$dir/empty.txt"
printf 'ic1ih1oc1kh1\000x\n' >"$dir/binary.txt"
head -c 100000 /dev/zero | tr '\0' x >"$dir/long.txt"

bad command
bad run rum
bad help zzzzzz
bad 'no problem' run
bad 'no problem' check
bad 'oc is missing' run ic16
bad "unknown token at 'x3'" run ic16ih5oc16x3
bad '99999999999' check ic99999999999ih5oc16kh3
bad 'too large to count' check mb2147483647ic2147483647ih60000oc1kh1
bad 'ic16?ih5' run "ic16
ih5"
bad --impl=reference run "$problem" --impl=refrence
bad 'tripass list' run "$problem" --impl='zz*'
bad 'no such implementation' run "$problem" --impl=
bad fwd,bwd,upd run "$problem" --pass=fwd,both
bad 'may use' run "$problem" --threads=99999
bad 'less than 1' run "$problem" --threads=0
bad 'not a list' run "$problem" --threads=two
bad 'no such instruction set' run "$problem" --isa=sse
bad 'list of CPU numbers' run "$problem" --policy=near
bad 'may not use it' run "$problem" --policy=0,99999
bad firsttouch run "$problem" --numa=local
bad 'not a list' run "$problem" --mb=
bad 'not a list' run "$problem" --mb=1,
bad 'not a list' run "$problem" --mb=-1
bad 'not a list' run "$problem" --mb=1:
bad 'ends before' run "$problem" --ic=8:1
bad step run "$problem" --hw=1:8:2
bad factor run "$problem" --oc=1:8:x1
bad 10000 run "$problem" --mb=1:2147483647
bad 'too large' run "$problem" --mb=2147483648
bad 'too large to count' run "$problem" --mb=2147483647 --ic=2147483647
bad 10000 run "$problem" --mb=1:200 --ic=1:200
bad groups run g2ic16ih14oc16kh3 --ic=3
bad fit run ic16ih14oc16kh3 --hw=2
bad '--samples=10' run "$problem" --samples=0
bad --samples=2 run "$problem" --samples=1.5
bad number run "$problem" --samples=nan
bad time run "$problem" --max-time=0
bad time run "$problem" --max-time=1e999
bad time run "$problem" --budget=soon
bad whole run "$problem" --seed=-1
bad whole run "$problem" --seed=0x10
bad number run "$problem" --samples=' 5'
bad number run "$problem" --samples=0x10
bad number run "$problem" --lr=+1
bad '1 byte' run "$problem" --memory=0.5
bad time run "$problem" --budget=10x
bad time run "$problem" --max-time=5mm
bad time run "$problem" --timeout=' 5m'
bad 'from 1 to' run "$problem" --budget=3000h
bad 'N at most' run "$problem" --shard=1/1000000000
bad 'one more' help run extra
bad 'repeats too often' list "$problem" --match='(((((((((((a{1,255}){1,255}){1,255}){1,255}))))))))'
bad 'repeats too often' list "$problem" --match='((((((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+'
bad number run "$problem" --lr=inf
bad number run "$problem" --reps=0
bad number run "$problem" --retry-noisy=-1
bad time check "$problem" --timeout=0
bad size run "$problem" --memory=8Q
bad size run "$problem" --memory=-8G
bad cold run "$problem" --cache=hot
bad expression run "$problem" --match='['
bad matches run "$problem" --match=zz
for command in run list; do # the line advises nothing that the command does not have
    bad '--match=kh3' $command "$problem" --match=zz
    grep -q -e --dry-run "$dir/err" && fail "$command --match advises --dry-run"
done
bad resnet50-v1 run --batch=resnet50
bad "$dir/bad.txt:5: ic5" run --batch="$dir/bad.txt"
bad 'no problem in it' run --batch="$dir/empty.txt"
bad "$dir/binary.txt:1" run --batch="$dir/binary.txt"
bad "$dir/long.txt:1" run --batch="$dir/long.txt"
bad 'neither a file' run --batch="$dir"
bad regular run --batch=/dev/null
bad --samples run "$problem" --sampels=3
bad 'tripass run --help' run "$problem" --zzzzzzzz
bad 'takes no argument' run "$problem" --force=3
bad 'is missing' run "$problem" --samples
bad 'is missing' run "$problem" -o
bad empty run "$problem" -o ''
bad 'no directory' run "$problem" --resume
bad 'one of them' run "$problem" --resume --force -o "$dir/out"
bad '--shard=1/4' run "$problem" --shard=5/4
bad '--shard=1/4' run "$problem" --shard=0/4
bad '--shard=1/4' run "$problem" --shard=1/4x
bad 'only 1 problems' run "$problem" --shard=2/4
bad 'no such implementation' run "$problem" --impl=direct --aa=im2col
bad '--ci=2' run "$problem" --ci=-1
bad 'no such option of run' run "$problem" -x
bad 'no such option of check' check "$problem" --samples=3
bad 'no such option of list' list --threads=1
bad 'takes no problem' info "$problem"
bad '0 problems given' explain
bad '2 problems given' explain "$problem" mb1ic1ih3oc1kh3
bad 'times the 128' explain mb1ic1ih12oc1kh3ph1
bad 'without g2' explain g2ic2ih3oc2kh3
bad 'no such format' explain --format=pdf mb1ic1ih3oc1kh3
bad '13.4 times' gradcheck mb8ic64ih64oc64kh1
bad 'not smooth' gradcheck --act=relu "$problem"
bad 'no such activation' gradcheck --act=swish "$problem"
bad 'no data given' train
bad 'takes no problem' train --data="$dir" "$problem"
bad 'No such file' train --data="$dir"
bad 'no such activation' run --act=swish "$problem"

# Data that are no IDX, cut short, or do not belong together.
bytes() { # NUMBER...
    for number in "$@"; do printf '%b' "\\0$(printf %o "$number")"; done
}
idx_labels() { # N: labels 0, 1, 0, 1 ...
    bytes 0 0 8 1 0 0 0 "$1"
    for i in $(seq "$1"); do bytes $((i % 2)); done
}
idx_images() { # N: black images of 4 x 4
    bytes 0 0 8 3 0 0 0 "$1" 0 0 0 4 0 0 0 4
    head -c $((16 * $1)) /dev/zero
}
data() { # what training gets for its images, and for its labels
    mkdir -p "$dir/data"
    $1 >"$dir/data/train-images.idx"
    $2 >"$dir/data/train-labels.idx"
    idx_images 2 >"$dir/data/test-images.idx"
    idx_labels 2 >"$dir/data/test-labels.idx"
}
data 'echo words' 'idx_labels 4'
bad 'train-images.idx: not an IDX file' train --data="$dir/data"
data 'idx_images 4' 'idx_labels 3'
bad '3 labels for 4 images' train --data="$dir/data"
data 'idx_labels 20' 'idx_labels 4'
bad 'not a list of images' train --data="$dir/data"
data 'idx_images 4' 'idx_images 4'
bad 'not a list of labels' train --data="$dir/data"
data 'idx_images 4' 'idx_labels 4'
head -c 40 "$dir/data/train-images.idx" >"$dir/cut" && mv "$dir/cut" "$dir/data/train-images.idx"
bad 'train-images.idx: truncated' train --data="$dir/data"
data 'idx_images 4' 'idx_labels 4'
bad 'a batch of 5' train --data="$dir/data" --mb=5
bad 'no such implementation' train --data="$dir/data" --mb=2 --impl=fwd:direct,bwd:nobody
bad 'not PASS:NAME' train --data="$dir/data" --mb=2 --impl=all:direct
bad 'not a points.csv' train --data="$dir/data" --mb=2 --impl=best:"$dir/data/test-labels.idx"
bad 'another file' train --data="$dir/data" --mb=2 -o "$dir/none/curve.csv"

"$tripass" list >/dev/full 2>"$dir/err"
[ $? -eq 2 ] || fail "a full stdout is not status 2"
TRIPASS_SHAPES=$dir/none "$tripass" list --shapes >/dev/null 2>"$dir/err"
[ $? -eq 2 ] || fail "no tables is not status 2"

# ---- what works ----
printf '%s\n' "$problem" >"$dir/good.txt"
printf 'ic16ih14oc16kh1n"second*2"\r\n' >"$dir/more.txt"
good '^tripass [0-9]' --version
good '^Usage: tripass COMMAND' help
good '^Usage: tripass COMMAND' --help
for command in run check list info explain gradcheck train; do
    good "^Usage: tripass $command" help $command
    good "^Usage: tripass $command" $command --help
done
good '^reference .* fwd,bwd,upd ' list
good '^  reference  *bwd  yes' list "$problem"
good ',1,relu,.*,OK,' check --bias --act=relu --impl=direct,onednn "$problem"
good 'epoch     loss' train --data="$dir/data" --mb=2 --epochs=1
good '^allowed CPUs' info --threads=1

rows 3 "$problem"
rows 1 "$problem" --pass=BWD_W
rows 3 "$problem" --pass=BWD_D,fwd,bwd,FWD_D,upd
rows 2 "$problem" --pass=fwd --mb=1,2,1
rows 6 "$problem" --pass=fwd --ic=16:512:x2 --oc=ic
rows 36 "$problem" --pass=fwd --ic=16:512:x2 --oc=16:512:x2
rows 4 "$problem" --pass=fwd --hw=7:28:+7
rows 1 "$problem" --pass=fwd "$problem" # the same problem twice is one thing to measure
rows 2 --pass=fwd --batch="$dir/good.txt,$dir/more.txt"
rows 1 --pass=fwd --batch="$dir/good.txt,$dir/more.txt" --match='^second$'
rows 2 --pass=fwd --mb=1:8 --shard=4/4 "$problem"
good ',mb8ic16' run --dry-run --mb=1:8 --shard=4/4 "$problem"
good '^direct:aa,fwd,' run --dry-run --pass=fwd --impl=direct,im2col --aa='d*' "$problem"
good ',SKIP,its tensors exceed' run --dry-run --memory=1K "$problem"
good '^impl,' run --dry-run --budget=1.5h --timeout=90s --max-time=1m --memory=8.5G --lr=1e-3 "$problem"
good ',777$' check --pass=fwd --impl=direct --seed=0777 "$problem"
good ',max_time,' run --pass=fwd --impl=direct --threads=1 --reps=1 --ci=0 --samples=2000 --max-time=0.5 -o - mb1ic1ih3oc1kh1

# Nothing is executed by --dry-run: oneDNN would say so.
export ONEDNN_VERBOSE=1
good '^onednn,upd,' run --dry-run --impl=onednn "$problem"
unset ONEDNN_VERBOSE
grep -q -e ',exec,' "$dir/out" "$dir/err" && fail "--dry-run executes a convolution"

# A layer keeps what makes it special: depthwise stays depthwise, one more row of padding below stays.
rows 1 --pass=fwd --ic=24 --hw=7 g16mb1ic16ih14oc16oh15kh3ph1
grep -q ',g24mb1ic24ih7oc24oh8kh3ph1,' "$dir/out" || fail "a depthwise layer's sweep"

# ---- the shipped tables ----
tables=0
for table in $("$tripass" list --shapes | awk 'NR > 1 { print $1 }'); do
    tables=$((tables + 1))
    good '  reference  *fwd  yes' list --impl=reference --batch="$table"
    good '  reference  *fwd  yes' list --impl=reference --batch="$table.txt"
done
[ $tables -ge 10 ] || fail "only $tables shipped tables"

echo "$count command lines, $failures failures"
[ $failures -eq 0 ]
