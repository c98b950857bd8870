/* benchdnn's problem descriptors: tokens into a struct by a table, then deduction axis by axis.
 * SPDX-License-Identifier: Apache-2.0 */
#include "problem_string.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One spatial axis, and the depth that is checked and dropped. ABSENT marks what the text does not say. */
enum { ABSENT = -1 };
struct axis {
    int in, out, kernel, stride, pad, dilation;
};
struct parsed {
    int g, mb, ic, oc;
    struct axis d, h, w;
};

static const struct token {
    char name[3];
    size_t offset;
    int minimum;
} tokens[] = {
#define TOKEN(name, member, minimum)                                                                         \
    {                                                                                                        \
        name, offsetof(struct parsed, member), minimum                                                       \
    }
#define AXIS(letter, axis)                                                                                   \
    TOKEN("i" letter, axis.in, 1), TOKEN("o" letter, axis.out, 1), TOKEN("k" letter, axis.kernel, 1),        \
        TOKEN("s" letter, axis.stride, 1), TOKEN("p" letter, axis.pad, 0),                                   \
        TOKEN("d" letter, axis.dilation, 0)
    TOKEN("g", g, 1), TOKEN("mb", mb, 1), TOKEN("ic", ic, 1), TOKEN("oc", oc, 1),
    AXIS("d", d),     AXIS("h", h),       AXIS("w", w),
#undef AXIS
#undef TOKEN
};

__attribute__((format(printf, 2, 3))) static const char *explain(char why[PROBLEM_STRING_MAX],
                                                                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, PROBLEM_STRING_MAX, format, arguments);
    va_end(arguments);
    return why;
}

static const struct token *find_token(const char *text)
{
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (!strncmp(text, tokens[i].name, strlen(tokens[i].name)))
            return &tokens[i];
    return NULL;
}

/* Reads the token at *text into *parsed and moves *text behind it. */
static const char *parse_token(const char **text, struct parsed *parsed, char why[PROBLEM_STRING_MAX])
{
    const struct token *token = find_token(*text);
    if (!token)
        return explain(why, "unknown token at '%.20s'", *text);
    const char *digits = *text + strlen(token->name);
    if (*digits < '0' || *digits > '9')
        return explain(why, "%s needs a number, found '%.20s'", token->name, digits);
    char *end;
    errno = 0;
    long value = strtol(digits, &end, 10);
    if (errno == ERANGE || value > INT_MAX)
        return explain(why, "%.40s is too large, at most %d", *text, INT_MAX);
    if (value < token->minimum)
        return explain(why, "%s is %ld, at least %d", token->name, value, token->minimum);
    int *member = (int *)((char *)parsed + token->offset);
    if (*member != ABSENT)
        return explain(why, "%s is given twice", token->name);
    *member = (int)value;
    *text = end;
    return NULL;
}

/* text: what follows n. */
static const char *parse_name(const char *text, struct layer *layer, char why[PROBLEM_STRING_MAX])
{
    size_t length = strlen(text);
    if (*text == '"') {
        if (length < 2 || text[length - 1] != '"')
            return explain(why, "the name's quote is not closed: n%.40s", text);
        text++;
        length -= 2;
    }
    size_t digits = 0;
    while (digits < length && text[length - 1 - digits] >= '0' && text[length - 1 - digits] <= '9')
        digits++;
    if (digits > 0 && digits < length && text[length - 1 - digits] == '*') {
        errno = 0;
        long value = strtol(text + length - digits, NULL, 10);
        if (errno == ERANGE || value < 1 || value > INT_MAX)
            return explain(why, "the name's multiplicity is not in 1..%d: n%.40s", INT_MAX, text);
        layer->multiplicity = (int)value;
        length -= digits + 1;
    }
    if (length >= sizeof layer->name)
        return explain(why, "the name is longer than %zu characters: %.20s...", sizeof layer->name - 1, text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == '"')
            return explain(why, "the name has a quote or a control character: n%.40s", text);
    memcpy(layer->name, text, length);
    layer->name[length] = 0;
    return NULL;
}

static int64_t kernel_extent(int kernel, int dilation)
{
    return (kernel - 1LL) * (dilation + 1LL) + 1;
}

int64_t problem_deduce_output(int in, int kernel, int stride, int pad, int dilation)
{
    int64_t slack = in - kernel_extent(kernel, dilation) + 2LL * pad;
    return slack < 0 ? 0 : slack / stride + 1;
}

static bool axis_is_absent(const struct axis *a)
{
    return a->in == ABSENT && a->out == ABSENT && a->kernel == ABSENT && a->stride == ABSENT &&
           a->pad == ABSENT && a->dilation == ABSENT;
}

/* Completes one axis whose tokens end in `letter`. */
static const char *deduce_axis(struct axis *a, char letter, char why[PROBLEM_STRING_MAX])
{
    if (a->in == ABSENT || a->kernel == ABSENT)
        return explain(why, "%c%c is missing", a->in == ABSENT ? 'i' : 'k', letter);
    if (a->stride == ABSENT)
        a->stride = 1;
    if (a->dilation == ABSENT)
        a->dilation = 0;
    if (a->out == ABSENT) {
        if (a->pad == ABSENT)
            a->pad = 0;
        int64_t out = problem_deduce_output(a->in, a->kernel, a->stride, a->pad, a->dilation);
        if (out < 1)
            return explain(why,
                           "the kernel (k%c%d) does not fit the padded image (i%c%d), and o%c is missing",
                           letter, a->kernel, letter, a->in, letter);
        if (out > INT_MAX)
            return explain(why, "o%c would be %lld, at most %d", letter, (long long)out, INT_MAX);
        a->out = (int)out;
    } else if (a->pad == ABSENT) {
        int64_t pad = ((a->out - 1LL) * a->stride - a->in + kernel_extent(a->kernel, a->dilation)) / 2;
        if (pad < 0 || pad > INT_MAX)
            return explain(why, "p%c is missing and would be %lld, not in 0..%d", letter, (long long)pad,
                           INT_MAX);
        a->pad = (int)pad;
    }
    return NULL;
}

static const char *refuse_depth(const struct axis *d, char why[PROBLEM_STRING_MAX])
{
    if (d->in > 1 || d->out > 1 || d->kernel > 1 || d->stride > 1 || d->pad > 0 || d->dilation > 0)
        return explain(why,
                       "a depth token (id od kd sd pd dd) is not trivial, and only 2D convolution is done");
    return NULL;
}

/* Applies defaults and deduction to what was said. */
static const char *deduce(struct parsed *p, struct conv_problem *problem, char why[PROBLEM_STRING_MAX])
{
    if (p->ic == ABSENT || p->oc == ABSENT)
        return explain(why, "%s is missing", p->ic == ABSENT ? "ic" : "oc");
    const char *reason = refuse_depth(&p->d, why);
    if (reason)
        return reason;
    bool only_w = axis_is_absent(&p->h) && !axis_is_absent(&p->w);
    if (only_w)
        p->h = (struct axis){.in = 1, .out = 1, .kernel = 1, .stride = 1, .pad = 0, .dilation = 0};
    if ((reason = deduce_axis(&p->h, 'h', why)))
        return reason;
    if (axis_is_absent(&p->w))
        p->w = p->h;
    if ((reason = deduce_axis(&p->w, 'w', why)))
        return reason;
    *problem = (struct conv_problem){
        .g = p->g == ABSENT ? 1 : p->g,
        .mb = p->mb == ABSENT ? 2 : p->mb,
        .ic = p->ic,
        .ih = p->h.in,
        .iw = p->w.in,
        .oc = p->oc,
        .oh = p->h.out,
        .ow = p->w.out,
        .kh = p->h.kernel,
        .kw = p->w.kernel,
        .sh = p->h.stride,
        .sw = p->w.stride,
        .ph = p->h.pad,
        .pw = p->w.pad,
        .dh = p->h.dilation,
        .dw = p->w.dilation,
    };
    return conv_problem_unsound(problem);
}

const char *problem_string_parse(const char *text, struct layer *layer, char why[PROBLEM_STRING_MAX])
{
    const struct axis absent = {ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT};
    struct parsed parsed = {ABSENT, ABSENT, ABSENT, ABSENT, absent, absent, absent};
    *layer = (struct layer){.multiplicity = 1};
    const char *reason = NULL;
    while (!reason && *text)
        if (*text == '_') {
            text++;
        } else if (*text == 'n') {
            reason = parse_name(text + 1, layer, why);
            break;
        } else {
            reason = parse_token(&text, &parsed, why);
        }
    return reason ? reason : deduce(&parsed, &layer->problem, why);
}

int problem_string_print(const struct conv_problem *p, char *text, size_t size)
{
    /* Rows in the order of benchdnn: value along h, value along w, the default that may be left out. */
    const struct {
        char letter;
        int h, w, omitted;
    } rows[] = {
        {'i', p->ih, p->iw, ABSENT}, {'o', p->oh, p->ow, ABSENT}, {'k', p->kh, p->kw, ABSENT},
        {'s', p->sh, p->sw, 1},      {'p', p->ph, p->pw, ABSENT}, {'d', p->dh, p->dw, 0},
    };
    bool square = p->ih == p->iw && p->oh == p->ow && p->kh == p->kw && p->sh == p->sw && p->ph == p->pw &&
                  p->dh == p->dw;
    char line[PROBLEM_STRING_MAX];
    size_t n = 0;
    if (p->g != 1)
        n += (size_t)sprintf(line + n, "g%d", p->g);
    n += (size_t)sprintf(line + n, "mb%dic%d", p->mb, p->ic);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].letter == 'o')
            n += (size_t)sprintf(line + n, "oc%d", p->oc);
        if (rows[i].h == rows[i].omitted && rows[i].w == rows[i].omitted)
            continue;
        n += (size_t)sprintf(line + n, "%ch%d", rows[i].letter, rows[i].h);
        if (!square)
            n += (size_t)sprintf(line + n, "%cw%d", rows[i].letter, rows[i].w);
    }
    return snprintf(text, size, "%s", line);
}
