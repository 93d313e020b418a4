/* UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_UTF8_H
#define SCHEMAS_UTF8_H

#include "schemas/span.h"

/* Bytes of the character that `text` begins with (1 to 4); 0 when it is invalid or `text` is empty.
 */
size_t utf8_width(struct span text);
/* True when `text` is valid UTF-8 throughout and holds no NUL. */
bool utf8_is_text(struct span text);

#endif
