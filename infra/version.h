/* The version of this build.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_VERSION_H
#define INFRA_VERSION_H

/* "0.1.0", in release builds followed by the commit: "0.1.0+g89ec47d123". thread: any */
const char *version_text(void);

#endif
