/* --help, from the tables in options.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_HELP_H
#define TRIPASS_HELP_H

/* The program and its commands, or one command and its options, to stdout. */
void help_program(void);
void help_command(int command);

#endif
