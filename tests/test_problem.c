/* Problem strings: what is accepted means what benchdnn means by it, everything else is refused with the token
 * that is at fault; and the counts that follow from a problem. SPDX-License-Identifier: Apache-2.0 */
#include "problem_string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char why[PROBLEM_STRING_MAX];

/* What each string means, written out: g mb ic ih iw oc oh ow kh kw sh sw ph pw dh dw. */
static const struct {
    const char *text;
    struct conv_problem problem;
    const char *name;
    int multiplicity;
} accepted[] = {
    {"ic16ih5oc16oh5kh3ph1n\"x\"", {1, 2, 16, 5, 5, 16, 5, 5, 3, 3, 1, 1, 1, 1, 0, 0}, "x", 1},
    {"mb8ic64ih56oc64oh56kh3ph1n\"res2b*3\"",
     {1, 8, 64, 56, 56, 64, 56, 56, 3, 3, 1, 1, 1, 1, 0, 0},
     "res2b",
     3},
    /* output from padding, padding from output, neither */
    {"mb1ic3ih7oc4kh3ph1sh2", {1, 1, 3, 7, 7, 4, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0}, "", 1},
    {"mb1ic3ih7oc4kh3oh7", {1, 1, 3, 7, 7, 4, 7, 7, 3, 3, 1, 1, 1, 1, 0, 0}, "", 1},
    {"mb1ic3ih7oc4kh3", {1, 1, 3, 7, 7, 4, 5, 5, 3, 3, 1, 1, 0, 0, 0, 0}, "", 1},
    /* a 1x1 of stride 2 ends before the border: the deduced padding rounds to 0 */
    {"mb1ic256ih56oc512oh28kh1sh2", {1, 1, 256, 56, 56, 512, 28, 28, 1, 1, 2, 2, 0, 0, 0, 0}, "", 1},
    /* dilation widens the kernel */
    {"mb1ic1ih9oc1kh3dh1", {1, 1, 1, 9, 9, 1, 5, 5, 3, 3, 1, 1, 0, 0, 1, 1}, "", 1},
    {"mb1ic1ih9oc1oh9kh3dh1", {1, 1, 1, 9, 9, 1, 9, 9, 3, 3, 1, 1, 2, 2, 1, 1}, "", 1},
    /* the axes deduce apart; order and underscores do not matter; g anywhere */
    {"kw1_kh5iw8_ih9oc6pw0ic4g2mb3", {2, 3, 4, 9, 8, 6, 5, 8, 5, 1, 1, 1, 0, 0, 0, 0}, "", 1},
    /* asymmetric padding through oh and ow, negative on the right too */
    {"mb1ic1ih5oc1oh5ph2iw5kw3kh3ow2pw0", {1, 1, 1, 5, 5, 1, 5, 2, 3, 3, 1, 1, 2, 0, 0, 0}, "", 1},
    /* only w: one row */
    {"mb1ic2iw10oc2kw3", {1, 1, 2, 1, 10, 2, 1, 8, 1, 3, 1, 1, 0, 0, 0, 0}, "", 1},
    /* ONEDNN_VERBOSE, benchdnn's canonical form, and a depth that says nothing */
    {"mb1_ic3oc64_ih224oh112kh7sh2dh0ph3_iw224ow112kw7sw2dw0pw3",
     {1, 1, 3, 224, 224, 64, 112, 112, 7, 7, 2, 2, 3, 3, 0, 0},
     "",
     1},
    {"g1mb50ic3ih224iw224oc64oh112ow112kh7kw7sh2sw2ph3pw3n\"resnet_50:conv1\"",
     {1, 50, 3, 224, 224, 64, 112, 112, 7, 7, 2, 2, 3, 3, 0, 0},
     "resnet_50:conv1",
     1},
    {"mb1ic1id1ih3oc1od1kd1kh1sd1pd0dd0", {1, 1, 1, 3, 3, 1, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0}, "", 1},
    /* names: no quotes, tokens inside, a star that is no multiplicity, digits only */
    {"mb1ic1ih1oc1kh1nconv1/7x7_s2*12", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, "conv1/7x7_s2", 12},
    {"mb1ic1ih1oc1kh1n\"a*b ic5\"", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, "a*b ic5", 1},
    {"mb1ic1ih1oc1kh1n42", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, "42", 1},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        struct layer layer;
        const char *reason = problem_string_parse(accepted[i].text, &layer, why);
        if (reason)
            fail_msg("%s: %s", accepted[i].text, reason);
        if (memcmp(&layer.problem, &accepted[i].problem, sizeof layer.problem)) {
            char text[PROBLEM_STRING_MAX];
            problem_string_print(&layer.problem, text, sizeof text);
            fail_msg("%s means %s", accepted[i].text, text);
        }
        assert_string_equal(layer.name, accepted[i].name);
        assert_int_equal(layer.multiplicity, accepted[i].multiplicity);
    }
}

/* A bad string and a part of the reason that must be given. */
static const char *const refused[][2] = {
    {"", "ic is missing"},
    {"ic16", "oc is missing"},
    {"ic16oc16", "ih is missing"},
    {"ic16oc16ih5", "kh is missing"},
    {"ic16oc16kh5", "ih is missing"},
    {"ic16oc16ih5kh3iw5", "kw is missing"},
    {"ic16oc16ih5kh3pw1", "iw is missing"},
    {"ic16ih5oc16kh3xx3", "unknown token at 'xx3'"},
    {"ic16ih5oc16kh3 ", "unknown token at ' '"},
    {"IC16ih5oc16kh3", "unknown token at 'IC16"},
    {"icih5oc16kh3", "ic needs a number, found 'ih5"},
    {"ic-16ih5oc16kh3", "ic needs a number, found '-16"},
    {"ic+16ih5oc16kh3", "ic needs a number"},
    {"ic 16ih5oc16kh3", "ic needs a number"},
    {"ic16ih5oc16kh", "kh needs a number, found ''"},
    {"ic16ih5oc16kh3.5", "unknown token at '.5'"},
    {"ic0x10ih5oc16kh3", "ic is 0, at least 1"},
    {"ic16ih5oc16kh3sh0", "sh is 0, at least 1"},
    {"ic16ih5oc16kh3oh0", "oh is 0, at least 1"},
    {"mb0ic16ih5oc16kh3", "mb is 0, at least 1"},
    {"ic16ic16ih5oc16kh3", "ic is given twice"},
    {"mb2147483648ic16ih5oc16kh3", "mb2147483648"},
    {"mb99999999999999999999999ic16ih5oc16kh3", "is too large"},
    {"ic16ih2oc16kh3", "does not fit"},
    {"ic16ih2oc16kh3sh2", "does not fit"},
    {"ic16ih9oc16kh3oh2", "ph is missing and would be -2"},
    {"ic1ih2147483647oc1kh1ph2147483647", "oh would be"},
    {"ic1ih1oc1kh2147483647dh2147483647oh2147483647", "ph is missing and would be"},
    {"g3ic16ih5oc16kh3", "channels are not divisible by groups"},
    {"mb2147483647ic2147483647ih60000oc1kh1", "too large to count"},
    {"ic16id4ih5oc16kh3", "only 2D"},
    {"ic16ih5oc16kh3pd1", "only 2D"},
    {"ic16ih5oc16kh3n\"x", "quote is not closed"},
    {"ic16ih5oc16kh3n\"", "quote is not closed"},
    {"ic16ih5oc16kh3n\"a\"b\"", "quote"},
    {"ic16ih5oc16kh3nx\ny", "control character"},
    {"ic16ih5oc16kh3n\"x*0\"", "multiplicity"},
    {"ic16ih5oc16kh3n\"x*99999999999\"", "multiplicity"},
    {"ic16ih5oc16kh3n0123456789012345678901234567890123456789012345678901234567890123", "longer than 63"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct layer layer;
        const char *reason = problem_string_parse(refused[i][0], &layer, why);
        if (!reason)
            fail_msg("accepted: '%s'", refused[i][0]);
        if (!strstr(reason, refused[i][1]))
            fail_msg("'%s': said '%s', expected '%s'", refused[i][0], reason, refused[i][1]);
    }
}

static unsigned long seed;

static int random_int(int low, int high)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return low + (int)((seed >> 33) % (unsigned long)(high - low + 1));
}

/* Sizes, strides and paddings in every relation to each other; square in two cases of three. */
static struct conv_problem random_problem(void)
{
    int g = random_int(1, 3);
    struct conv_problem p = {
        .g = g,
        .mb = random_int(1, 3),
        .ic = g * random_int(1, 3),
        .oc = g * random_int(1, 3),
        .ih = random_int(1, 9),
        .iw = random_int(1, 9),
        .oh = random_int(1, 9),
        .ow = random_int(1, 9),
        .kh = random_int(1, 4),
        .kw = random_int(1, 4),
        .sh = random_int(1, 3),
        .sw = random_int(1, 3),
        .ph = random_int(0, 4),
        .pw = random_int(0, 4),
        .dh = random_int(0, 2),
        .dw = random_int(0, 2),
    };
    if (random_int(0, 2))
        p.iw = p.ih, p.ow = p.oh, p.kw = p.kh, p.sw = p.sh, p.pw = p.ph, p.dw = p.dh;
    return p;
}

static void test_round_trip(void **state)
{
    (void)state;
    seed = 1;
    for (int i = 0; i < 20000; i++) {
        struct conv_problem p = random_problem();
        char text[PROBLEM_STRING_MAX];
        int length = problem_string_print(&p, text, sizeof text);
        assert_int_equal(length, strlen(text));
        struct layer layer;
        const char *reason = problem_string_parse(text, &layer, why);
        if (reason || memcmp(&layer.problem, &p, sizeof p))
            fail_msg("%s comes back %s", text, reason ? reason : "different");
    }
    char small[4];
    assert_true(problem_string_print(&accepted[0].problem, small, sizeof small) > 3);
    assert_string_equal(small, "mb2");
}

/* The largest numbers fit the room that is promised. */
static void test_longest(void **state)
{
    (void)state;
    struct conv_problem p;
    for (size_t i = 0; i < sizeof p / sizeof(int); i++)
        ((int *)&p)[i] = 2000000000 + (int)i;
    char text[PROBLEM_STRING_MAX];
    assert_in_range(problem_string_print(&p, text, sizeof text), 180, sizeof text - 1);
}

/* Random strings of valid and broken tokens: no crash, and what is accepted is sound and round-trips. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const pieces[] = {"g",  "mb", "ic", "id",         "ih",          "iw", "oc",   "oh",
                                         "ow", "kh", "kw", "sh",         "sw",          "ph", "pw",   "dh",
                                         "dw", "n",  "_",  "\"",         "*",           "-",  "0",    "1",
                                         "2",  "3",  "16", "2147483647", "99999999999", " ",  "\xff", "\n"};
    seed = 2;
    int sound = 0;
    for (int i = 0; i < 200000; i++) {
        char text[512] = "";
        if (random_int(0, 1)) /* half of them start well */
            strcpy(text, "ic1oc1ih3kh1");
        for (int n = random_int(0, 12); n > 0; n--)
            strcat(text, pieces[random_int(0, (int)(sizeof pieces / sizeof *pieces) - 1)]);
        struct layer layer, again;
        if (problem_string_parse(text, &layer, why))
            continue;
        sound++;
        assert_null(conv_problem_unsound(&layer.problem));
        assert_true(layer.multiplicity >= 1);
        problem_string_print(&layer.problem, text, sizeof text);
        assert_null(problem_string_parse(text, &again, why));
        assert_memory_equal(&layer.problem, &again.problem, sizeof layer.problem);
    }
    assert_true(sound > 1000);
}

/* Valid operations counted tap by tap. */
static void test_flop_valid(void **state)
{
    (void)state;
    seed = 3;
    for (int i = 0; i < 5000; i++) {
        struct conv_problem p = random_problem();
        long taps = 0;
        for (int oh = 0; oh < p.oh; oh++)
            for (int ow = 0; ow < p.ow; ow++)
                for (int kh = 0; kh < p.kh; kh++)
                    for (int kw = 0; kw < p.kw; kw++) {
                        int ih = oh * p.sh - p.ph + kh * (p.dh + 1), iw = ow * p.sw - p.pw + kw * (p.dw + 1);
                        taps += ih >= 0 && ih < p.ih && iw >= 0 && iw < p.iw;
                    }
        assert_true(conv_flop_valid(&p) == 2.0 * p.mb * p.oc * (p.ic / p.g) * (double)taps);
        assert_true(conv_flop_nominal(&p) == 2.0 * p.mb * p.oc * (p.ic / p.g) * p.oh * p.ow * p.kh * p.kw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_longest),  cmocka_unit_test(test_hostile), cmocka_unit_test(test_flop_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
