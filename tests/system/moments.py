"""What time it is, and what one that is told as text is.

SPDX-License-Identifier: Apache-2.0
"""
import datetime
import time


def now_ms():
    """Since 1970."""
    return int(time.time() * 1000)


def instant(text):
    """Of a moment as the API tells it (RFC 3339): seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
