/* Lists of sizes as they are typed: 1,2,8 and ranges a:b (each), a:b:+N (in steps), a:b:xN (in factors).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_INT_LIST_H
#define TRIPASS_INT_LIST_H

struct int_list {
    int *values; /* in the order given, each once */
    int count;
};

/* Adds what `text` lists. NULL, or a static reason why it is no list of numbers >= 1. */
const char *int_list_parse(const char *text, struct int_list *list);

#endif
