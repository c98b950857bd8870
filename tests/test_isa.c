/* The list of instruction sets is consistent, and the register kernel of each is the plain triple loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/brgemm.h"
#include "random.h"
#include "support.h"

#include <stdlib.h>
#include <string.h>

static void test_list(void **state)
{
    (void)state;
    assert_true(isa_supported(ISA_GENERIC));
    assert_true(isa_supported(isa_best()));
    for (enum isa isa = 0; isa < ISAS; isa++) {
        assert_int_equal(isa_supported(isa), isa <= isa_best()); /* each set includes those below */
        for (enum isa other = 0; other < isa; other++)
            assert_string_not_equal(isa_name(isa), isa_name(other));
        const struct brgemm_kernel *kernel = brgemm_kernel(isa);
        assert_true(kernel->run && kernel->vlen > 0 && kernel->tall.rows >= kernel->wide.rows &&
                    kernel->wide.rows > 0 && kernel->wide.vectors >= kernel->tall.vectors &&
                    kernel->tall.vectors > 0);
    }
}

enum { SEGMENTS = 5 };

struct product {
    const struct brgemm_kernel *kernel;
    struct brgemm_shape shape;
    int segments;
    struct brgemm_segment segment[SEGMENTS];
    struct guarded a, b, c, initial;
};

/* Strides as the users have them (A with k or rows side by side, B and C in blocks or in rows). The matrices fill
 * their memory to the last float. */
static struct brgemm_shape random_shape(const struct brgemm_kernel *kernel, uint64_t *random)
{
    struct brgemm_shape s = {.rows = random_below(random, 41),
                             .vectors = 1 + random_below(random, kernel->wide.vectors),
                             .depth = random_below(random, 41),
                             .a_row = 1,
                             .a_k = 1,
                             .accumulate = random_below(random, 2)};
    const int width = s.vectors * kernel->vlen;
    const bool rows_innermost = random_below(random, 2);
    if (rows_innermost)
        s.a_k = s.rows + 1;
    else
        s.a_row = s.depth + 1;
    s.b_block = (s.depth + 1) * BRGEMM_BLOCK;
    s.c_row = BRGEMM_BLOCK;
    s.c_block = (s.rows + 1) * BRGEMM_BLOCK;
    if (random_below(random, 2)) {
        s.c_row = width + random_below(random, 3);
        s.c_block = BRGEMM_BLOCK;
    }
    return s;
}

static struct guarded filled(ptrdiff_t floats, uint64_t *random, enum side side)
{
    struct guarded memory = guarded_make((size_t)floats * sizeof(float), side);
    fill_tensor((float *)memory.data, (size_t)floats, FILL_EXACT, 1, random_next(random), 1);
    return memory;
}

static ptrdiff_t column_at(int column, ptrdiff_t block)
{
    return column / BRGEMM_BLOCK * block + column % BRGEMM_BLOCK;
}

static struct product random_product(const struct brgemm_kernel *kernel, uint64_t *random)
{
    struct product p = {.kernel = kernel,
                        .shape = random_shape(kernel, random),
                        .segments = random_below(random, SEGMENTS + 1)};
    const struct brgemm_shape *s = &p.shape;
    const int width = s->vectors * kernel->vlen;
    const bool empty = s->rows == 0 || s->depth == 0;
    const ptrdiff_t a = empty ? 0 : (s->rows - 1) * s->a_row + (s->depth - 1) * s->a_k + 1,
                    b = s->depth == 0 ? 0
                                      : (s->depth - 1) * BRGEMM_BLOCK + column_at(width - 1, s->b_block) + 1,
                    c = s->rows == 0 ? 0 : (s->rows - 1) * s->c_row + column_at(width - 1, s->c_block) + 1;
    for (int t = 0; t < p.segments; t++) { /* the last one first, so that offsets fall as well as rise */
        p.segment[t].a = a * (p.segments - 1 - t);
        p.segment[t].b = b * t;
    }
    const uint64_t same = random_next(random);
    const enum side side = random_below(random, 2);
    p.a = filled(a * p.segments, random, side);
    p.b = filled(b * p.segments, random, side);
    p.c = filled(c, &(uint64_t){same}, side);
    p.initial = filled(c, &(uint64_t){same}, AT_START);
    return p;
}

/* What C must hold: the product where the kernel writes, the initial values elsewhere. */
static void multiply(const struct product *p)
{
    const struct brgemm_shape *s = &p->shape;
    const float *a = (const float *)p->a.data, *b = (const float *)p->b.data;
    for (int i = 0; i < s->rows; i++)
        for (int j = 0; j < s->vectors * p->kernel->vlen; j++) {
            float *c = (float *)p->initial.data + i * s->c_row + column_at(j, s->c_block), sum = 0;
            for (int t = 0; t < p->segments; t++)
                for (int k = 0; k < s->depth; k++)
                    sum += a[p->segment[t].a + i * s->a_row + k * s->a_k] *
                           b[p->segment[t].b + k * BRGEMM_BLOCK + column_at(j, s->b_block)];
            *c = s->accumulate ? *c + sum : sum;
        }
}

static void test_brgemm(void **state)
{
    const struct brgemm_kernel *kernel = brgemm_kernel(*(enum isa *)*state);
    uint64_t random = test_seed();
    for (int i = 0; i < test_count(4000); i++) {
        struct product p = random_product(kernel, &random);
        const struct brgemm_shape *s = &p.shape;
        kernel->run(s, p.segments, p.segment, (float *)p.a.data, (float *)p.b.data, (float *)p.c.data);
        multiply(&p);
        if (memcmp(p.c.data, p.initial.data, p.c.bytes) || !guarded_intact(&p.c))
            fail_msg("product %d of seed %llu: rows %d vectors %d depth %d segments %d a %td,%td b %td c "
                     "%td,%td%s",
                     i, (unsigned long long)test_seed(), s->rows, s->vectors, s->depth, p.segments, s->a_row,
                     s->a_k, s->b_block, s->c_row, s->c_block, s->accumulate ? " accumulate" : "");
        guarded_free(&p.a);
        guarded_free(&p.b);
        guarded_free(&p.c);
        guarded_free(&p.initial);
    }
}

int main(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(test_list)};
    int failures = cmocka_run_group_tests(list, NULL, NULL);
    for (enum isa isa = 0; isa <= isa_best(); isa++) {
        const struct CMUnitTest brgemm[] = {{isa_name(isa), test_brgemm, NULL, NULL, &isa}};
        failures += cmocka_run_group_tests_name("brgemm", brgemm, NULL, NULL);
    }
    return failures;
}
