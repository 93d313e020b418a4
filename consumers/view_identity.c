/* See view_identity.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/view_identity.h"

#include "infra/topics.h"
#include "schemas/buf.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS 3000
#define AGAIN_MS       300

struct view_identity {
    struct loop *loop;
    const struct config *config;
    struct kafka_admin *admin;
    struct loop_timer *again;
    void (*known)(void *arg);
    void *arg;
    char text[128];
    struct err why;
    bool asking, freed;
    /* written by the pool thread while `asking` */
    char found[128];
    struct err found_err;
    enum err_code found_code;
};

/* thread: pool */
static void ask(void *arg)
{
    struct view_identity *identity = arg;
    char cluster[64];
    char generation[33];
    struct err *err = &identity->found_err;
    struct kafka_admin *admin = identity->admin;
    identity->found_code = kafka_cluster_id_sync(admin, ASK_TIMEOUT_MS, cluster, err);
    if (identity->found_code == ERR_OK)
        identity->found_code = topics_generation_sync(admin, identity->config, generation, err);
    kafka_admin_end(admin);
    if (identity->found_code)
        return;
    struct buf text = BUF_INIT(sizeof identity->found - 1);
    view_identity_join(&text, cluster, generation);
    snprintf(identity->found, sizeof identity->found, "%s", text.data);
    buf_free(&text);
}

static void on_asked(void *arg)
{
    struct view_identity *identity = arg;
    identity->asking = false;
    if (identity->freed) {
        free(identity);
        return;
    }
    if (identity->found_code) {
        identity->why = identity->found_err;
        loop_timer_start(identity->again, AGAIN_MS, 0);
        return;
    }
    memcpy(identity->text, identity->found, sizeof identity->text);
    identity->known(identity->arg);
}

static void on_again(void *arg)
{
    struct view_identity *identity = arg;
    identity->asking = true;
    kafka_admin_begin(identity->admin);
    loop_work(identity->loop, ask, on_asked, identity);
}

struct view_identity *view_identity_new(struct loop *loop, const struct config *config,
                                        struct kafka_admin *admin, void (*known)(void *arg),
                                        void *arg)
{
    struct view_identity *identity = MEM_NEW(*identity);
    *identity = (struct view_identity){
        .loop = loop, .config = config, .admin = admin, .known = known, .arg = arg
    };
    err_set(&identity->why, ERR_KAFKA, "not asked yet");
    identity->again = loop_timer_new(loop, on_again, identity);
    loop_timer_start(identity->again, 0, 0);
    return identity;
}

void view_identity_free(struct view_identity *identity)
{
    if (!identity)
        return;
    loop_timer_free(identity->again);
    identity->again = NULL;
    identity->freed = true;
    if (!identity->asking)
        free(identity);
}

const char *view_identity_text(const struct view_identity *identity)
{
    return identity->text;
}

const char *view_identity_why(const struct view_identity *identity)
{
    return identity->why.text;
}
