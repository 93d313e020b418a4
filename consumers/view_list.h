/* Reading the view's lists: jobs newest first, from a place on. The lists by state, tenant and type
 * (schemas/view.h) are merged in Redis by one Lua call, which reads the records and the certificate
 * as well, so that an answer is of one moment. What it costs grows with the entries that are looked
 * at and the number of lists, not with the number of jobs.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VIEW_LIST_H
#define CONSUMERS_VIEW_LIST_H

#include "consumers/view.h"
#include "schemas/job_filter.h"

#define VIEW_LIST_ENTRIES_MAX 500 /* of one question */
#define VIEW_LIST_BYTES_MAX                                                                        \
    ((size_t)1024 * 1024) /* of records: the one that passes it is the last */

struct view_list_question {          /* borrowed for the call */
    const struct job_filter *filter; /* of it tenant, type, states and since select lists; the rest
                                        is the caller's to look at */
    struct job_place after;
    size_t count; /* entries, 1 to VIEW_LIST_ENTRIES_MAX */
};
struct view_list_answer { /* borrowed for the callback */
    enum err_code code;   /* ERR_OK, or ERR_VIEW_UNAVAILABLE: then nothing else is set */
    bool certified;
    bool more;             /* behind `last` there are more entries */
    struct job_place last; /* the last entry that was looked at */
    size_t count;
    const struct job_record *const *records; /* in the list's order; forgotten ones left out */
};
typedef void (*view_list_fn)(void *arg, const struct view_list_answer *answer);
/* Called once, later. `use` is copied, what it points to borrowed until then. */
void view_list(const struct view_options *use, const struct view_list_question *question,
               view_list_fn fn, void *arg);

#endif
