/* The table that infra/embed.sh generates and infra/embed.c searches.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_EMBED_TABLE_H
#define INFRA_EMBED_TABLE_H

struct embed_file {
    const char *name;
    const char *begin;
    const char *end;
};
/* Ends with a name of NULL. */
extern const struct embed_file embed_table[];

#endif
