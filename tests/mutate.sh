#!/usr/bin/env bash
# The mutation trial: breaks one thing at a time in a scratch copy of the tree and sees that tests fail. A mutation that no
# longer applies, does not build, or survives is an error. It takes minutes, so it is run by hand, not by CTest.
#
#     tests/mutate.sh [REGEX]     only the mutations whose names match
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
only=${1:-.}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tests=(test_isa test_golden test_reference test_properties test_memory test_layer test_taps test_check test_sums)
export TRIPASS_TEST_PROBLEMS=${TRIPASS_TEST_PROBLEMS:-200} OMP_WAIT_POLICY=passive
bad=0

# mutate NAME IMPLEMENTATIONS FILE SED: IMPLEMENTATIONS is the pattern of the tests that should notice.
mutate() {
    local name=$1 pattern=$2 file=$copy/$3 expression=$4 failing=() test
    [[ $name =~ $only ]] || return 0
    cp "$file" "$copy/original"
    sed -i "$expression" "$file"
    if cmp -s "$file" "$copy/original"; then
        failing=("DOES NOT APPLY")
        bad=1
    elif ! ninja -C "$copy/build/release" "${tests[@]}" >"$copy/log" 2>&1; then
        failing=("DOES NOT BUILD")
        bad=1
    else
        for test in "${tests[@]}"; do
            TRIPASS_TEST_FILTER=$pattern timeout 600 "$copy/build/release/tests/$test" >"$copy/log" 2>&1 || failing+=("$test")
        done
    fi
    if [ ${#failing[@]} = 0 ]; then
        failing=("SURVIVES")
        bad=1
    fi
    printf '%-62s %s\n' "$name" "${failing[*]}"
    mv "$copy/original" "$file"
    touch "$file" # newer than what was built from the mutation
}

git -C "$root" ls-files -z | tar -C "$root" --null -T - -c | tar -C "$copy" -x
(cd "$copy" && cmake --preset release >/dev/null && ninja -C build/release "${tests[@]}" >/dev/null)

mutate 'register kernel: the last k of a segment' 'direct*' impls/kernels/brgemm.isa.c \
    's/k > 0; k--)/k > 1; k--)/'
mutate 'register kernel: C is never accumulated' 'direct*' impls/kernels/brgemm.isa.c \
    's/vec_load(to) + sum/sum/'

mutate 'direct: the first tap of fwd and bwd' 'direct*' impls/direct/strip.c \
    's/struct range r = {0, axis->taps}/struct range r = {axis->taps > 1, axis->taps}/'
mutate 'direct: the last column at the border' 'direct*' impls/direct/strip.c \
    's|(in->w - 1 - from) / step + 1|(in->w - 1 - from) / step|'
mutate 'direct: weights of bwd are not turned' 'direct bwd*' impls/direct/gather.c \
    's/(y->tap\[tap \/ x->taps\].k \* g->native.problem.kw + x->tap\[tap % x->taps\].k) \* B/tap * B/'
mutate 'direct: columns of bwd that lack a tap' 'direct bwd*' impls/direct/gather.c \
    's/s.a_row = f->strip.row;/s.a_row = f->strip.pixel;/'
mutate 'direct: the first blocks of upd' 'direct upd*' impls/direct/gradient.c \
    's/int n = 0; n < task->ibs/int n = task->ibs > 1; n < task->ibs/'
mutate 'direct: upd in the order of memory' 'direct upd*' impls/direct/gradient.c \
    's|width \* (g->in_order ? n / task->ibs : n % panels)|width * (n % panels)|'
mutate 'direct: the partial sums of the second thread' 'direct upd*' impls/direct/gradient.c \
    's/int other = 1; other < threads/int other = 2; other < threads/'
mutate 'direct: channels beyond the last of fwd and bwd' 'direct*' impls/direct/gather.c \
    's/memset(c + i \* s->c_row + B \/ 2, 0, /memset(c + i * s->c_row + B \/ 2, 1, /'
mutate 'direct: the last input channel of a tail' 'direct*' impls/direct/gather.c 's/tail ? f->tail :/tail ? f->tail - 1 :/'
mutate 'direct: channels beyond the last of upd' 'direct upd*' impls/direct/gradient.c \
    's/memset(dw + rows \* B, 0, /memset(dw + rows * B, 255, /'
mutate 'direct: merged groups are not separated' 'direct*' impls/direct/native.c \
    's|if (ic / icg != oc / ocg)|if (false)|'
mutate 'direct: the last column of depthwise taps' 'direct*' impls/kernels/depthwise.isa.c \
    's/, t, 0, t.columns, s/, t, 0, t.columns - (t.columns > 1), s/'
mutate 'direct: the last row of many depthwise taps' 'direct*' impls/kernels/depthwise.isa.c \
    's/row = 0; row < s->rows; row++)/row = 0; row < s->rows - 1; row++)/'
mutate 'direct: the last positions of many depthwise taps' 'direct*' impls/kernels/depthwise.isa.c '/POSITIONS(1)/d'
mutate 'direct: the last line of a depthwise piece' 'direct*' impls/kernels/depthwise.isa.c \
    's/int y = 0; y < s->lines;/int y = 0; y < s->lines - (s->lines > 1);/'
mutate 'direct: a depthwise border on the right' 'direct*' impls/kernels/depthwise.isa.c \
    's/t, 0, TAPS - 1, s/t, 0, TAPS, s/'
mutate 'direct: positions of depthwise that are left over' 'direct*' impls/kernels/depthwise.isa.c \
    's/for (; n > 0; n--)/for (; n > (t.stride > 0); n--)/'
mutate 'direct: what depthwise backward spreads to the next line' 'direct bwd*' impls/kernels/depthwise.isa.c \
    's/if (rows > 1 \&\& columns > 1)/if (false)/'
mutate 'direct: the second piece of a depthwise row' 'direct*' impls/direct/depthwise.c \
    's/last->taps.first == taps.first/true/'
mutate 'direct: the depthwise sums of the second chunk' 'direct upd*' impls/direct/depthwise.c \
    's/unit < (plane + 1) \* d->chunks/unit < plane * d->chunks + 1/'

mutate 'im2col, im2col-blas: the first tap' 'im2col*' impls/im2col/columns.isa.c \
    's/size_t tap = 0; tap < taps/size_t tap = taps > 1; tap < taps/'
mutate 'im2col, im2col-blas: the last column at the border' 'im2col*' impls/im2col/runs.c \
    's|(p->iw - 1 - iw) / p->sw + 1|(p->iw - 1 - iw) / p->sw|'
mutate 'im2col: fwd forgets all but the last block of channels' 'im2col fwd*' impls/im2col/im2col.c \
    's/accumulate = c > 0/accumulate = false/'
mutate 'im2col: all but the last steps of a long reduction' 'im2col *' impls/im2col/product.c \
    's/ || k.begin > 0//'
mutate 'im2col, im2col-blas: the mask of a joined gap' 'im2col*' impls/im2col/runs.c \
    's/keep\[i\] = 0/keep[i] = ~0/'
mutate 'im2col: the partial sums of the second thread' 'im2col upd*' impls/im2col/im2col.c \
    's/int o = 1; o < s->outer/int o = 2; o < s->outer/'
mutate 'im2col-blas: upd forgets all but the last image' 'im2col-blas upd*' impls/im2col/im2col_blas.c \
    's/mb > 0}/false}/'

mutate 'explicit-dense, explicit-csr: the last tap' 'explicit*' impls/explicit/matrix.c \
    's/k < extent\[CONV_WEI\]/k < extent[CONV_WEI] - (extent[CONV_WEI] > 1)/'
mutate 'explicit-dense, explicit-csr: the last pixel of an axis' 'explicit*' impls/explicit/matrix.c \
    's/i >= extent\[CONV_SRC\]/i >= extent[CONV_SRC] - 1/'
mutate 'explicit-dense: upd forgets all but the last image' 'explicit-dense upd*' impls/explicit/dense.c \
    's/accumulate = mb > 0/accumulate = false/'
mutate 'explicit-csr: the last entry of a row' 'explicit-csr*' impls/explicit/csr_row.isa.c \
    's/for (; e < entries; e++)/for (; e + 1 < entries; e++)/'
mutate 'explicit-csr: upd forgets all but the last image' 'explicit-csr upd*' impls/explicit/csr.c \
    's/scratch, mb > 0)/scratch, false)/'

mutate 'winograd-f2: data at all points but infinity off by 1 in 10000' 'winograd-f2*' impls/winograd/points.h \
    's/float r = 1;/float r = f->pairs == 1 ? 1.0001f : 1;/'
mutate 'winograd-f4: data at all points but infinity off by 1 in 10000' 'winograd-f4*' impls/winograd/points.h \
    's/float r = 1;/float r = f->pairs == 2 ? 1.0001f : 1;/'
mutate 'winograd-f6: data at all points but infinity off by 1 in 10000' 'winograd-f6*' impls/winograd/points.h \
    's/float r = 1;/float r = f->pairs == 3 ? 1.0001f : 1;/'
mutate 'winograd: the last point' 'winograd*' impls/winograd/image.c \
    's/point < w->points; point++)/point < w->points - 1; point++)/'
mutate 'winograd: weights of bwd are not turned' 'winograd-* bwd*' impls/winograd/image.c \
    's/(TAPS - 1 - tap)/tap/'
mutate 'winograd: the last column at the border' 'winograd*' impls/winograd/transform.isa.c \
    's/(unsigned)(w.w + j) < (unsigned)w.width/(unsigned)(w.w + j) < (unsigned)w.width - 1/'
mutate 'winograd: forgets all but the last chunk of channels' 'winograd*' impls/winograd/image.c \
    's/c += CHUNK, shape.accumulate = true/c += CHUNK/'
mutate 'winograd: the partial sums of the second thread' 'winograd-* upd*' impls/winograd/gradient.c \
    's/int other = 1; other < threads/int other = 2; other < threads/'

mutate 'layer: the bias of the first block everywhere' 'direct fwd*' impls/conv_layer.c \
    's/at % r->blocks \* r->block + lane/lane/'
mutate 'layer: what is left over after 16 elements' 'im2col*' impls/kernels/elementwise.isa.c \
    's/memcpy(y, rest, n \* sizeof \*y);/(void)rest;/'
mutate 'layer: relu passes everything' 'im2col*' impls/kernels/elementwise.isa.c \
    's/case ACTIVATION_RELU: return vec_where(z < .*/case ACTIVATION_RELU: return z;/'
mutate 'layer: the slope of tanh' 'im2col*' impls/kernels/elementwise.isa.c \
    's/one - y \* y/one - y/'
mutate 'layer: sigmoid fills the padding' 'direct*' impls/conv_layer.c \
    's/if (plan->layer.activation == ACTIVATION_SIGMOID)/if (false)/'
mutate 'layer: the gradient of the bias of the first image' 'direct upd*' impls/conv_layer.c \
    's/row += (size_t)blocks)/row += rows)/'
mutate 'layer: oneDNN takes dy for dz' 'onednn bwd*' impls/onednn/onednn.c \
    's/inputs\[CONV_DST\] = (float \*)(void \*)((char \*)scratch + slope_offset(state));/inputs[CONV_DST] = tensor[CONV_DST];/'

mutate 'check: bounds are believed' 'direct*' harness/check.c 's/!(bounds\[i\] <= CONV_BOUND_MOST)/false/'
mutate 'check: taps may err by anything' 'direct*' harness/check.c 's/if (!(\*err <= bound))/if (truth->fill == FILL_REAL \&\& !(*err <= bound))/'
mutate 'check: sums may be wrong' 'direct*' harness/check.c 's/return !verdict.wrong/return true/; s/if (verdict.wrong)/if (false)/'
mutate 'fill: an output meets two taps' 'direct*' harness/fill.c 's/int p = kernel + stride - 1/int p = 1/'
mutate 'sums: signs of the wrong axis' 'direct*' harness/sums.c 's/{OUTPUTS, INPUTS}/{INPUTS, OUTPUTS}/'

exit $bad
