/* See audit.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/audit.h"

#include "schemas/json_out.h"

void audit_json(const struct audit_entry *entry, struct buf *out)
{
    buf_add_text(out, "{\"schema\":\"" AUDIT_SCHEMA "\"");
    json_out_text(out, "id", entry->id);
    json_out_instant(out, "at", entry->at_ms);
    json_out_text(out, "action", entry->action);
    json_out_text(out, "phase", entry->phase);
    json_out_text(out, "by", entry->by);
    json_out_text(out, "who", entry->who);
    json_out_text(out, "why", entry->why);
    json_out_json(out, "what", entry->what);
    json_out_json(out, "counts", entry->counts);
    buf_add_char(out, '}');
}
