"""Requests as no client would send them: well-formed ones and the shapes of test_walls.py, broken by chance, reproducibly
from a seed; and whether what comes back is HTTP that we have documented.

SPDX-License-Identifier: Apache-2.0
"""
import json
import random
import re
import socket

STATUSES = {200, 202, 204, 304, 400, 401, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415, 422, 429, 431, 501, 503, 505}
BY_LIBRARY = {400, 413, 414, 431, 501, 505}  # libmicrohttpd refuses some by itself, with a page of its own
HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) [ -~]*\r\n((?:[!#-'*+.0-9A-Z^-z|~-]+:[ \t]*[^\r\n\0]*\r\n)*)\r\n")
TOKENS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"%", b"%00", b"%2e%2e", b"/", b"?", b"&", b"=", b"\"", b"\\",
          b"{", b"[", b"-1", b"0", b"18446744073709551616", b"9" * 40, b"\xff", b"\xc3\x28", b"chunked", b"Content-Length: 0\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"HTTP/1.1", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
          b"Idempotency-Key: \"a\"\r\n", b"Prefer: wait=0\r\n", b"traceparent: 00-00-00-00\r\n", b"If-None-Match: *\r\n"]
LINES = [b"GET /v1/types HTTP/1.1\r\nHost: t\r\n\r\n", b"HEAD /v1/types HTTP/1.1\r\nHost: t\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n",
         b"GET /metrics HTTP/1.1\r\nHost: t\r\nAccept: text/plain\r\n\r\n", b"OPTIONS /v1/jobs HTTP/1.1\r\nHost: t\r\n\r\n",
         b"GET /v1/jobs/0193c0de-7000-7000-8000-00000000beef?wait=0 HTTP/1.1\r\nHost: t\r\n\r\n",
         b"DELETE /v1/jobs/0193c0de-7000-7000-8000-00000000beef HTTP/1.1\r\nHost: t\r\n\r\n",
         b"GET /v1/jobs/0193c0de-7000-7000-8000-00000000beef/result HTTP/1.1\r\nHost: t\r\nIf-None-Match: \"1\"\r\n\r\n"]


def posts():
    for body in (b'{"type":"sentence.make","payload":{"subject":"raw","seed":1}}', b'{"type":"colour.mix","payload":{"colours":["red"]},"delay":"1h"}',
                 b'{"type":"ledger.post","key":"k","payload":{"account":"1","cents":1},"labels":{"a":"b"},"deadline":"PT5M"}'):
        yield (b"POST /v1/jobs HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nIdempotency-Key: \"raw\"\r\n"
               b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


def seeds(shapes):
    return [*LINES, *posts(), *shapes]


def broken(chance, of):
    """One of them, with up to six things done to it."""
    data = chance.choice(of)
    for _ in range(chance.randrange(1, 7)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.randrange(1, 24))
        what = chance.randrange(8)
        if what == 0:
            data = data[:at] + chance.choice(TOKENS) + data[at:]
        elif what == 1:
            data = data[:at] + data[to:]
        elif what == 2:
            data = data[:to] + data[at:]
        elif what == 3:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1:]
        elif what == 4:
            lines = data.split(b"\r\n")
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            data = b"\r\n".join(lines)
        elif what == 5:
            lines = data.split(b"\r\n")
            chance.shuffle(lines)
            data = b"\r\n".join(lines)
        elif what == 6:
            data = data + chance.choice(of)
        else:
            data = data[:at] + data[at:to] * chance.randrange(2, 60) + data[to:]
    return data[:100_000]


def ask(address, data):
    """All that comes back until the other side closes; nothing more is sent after `data`."""
    answer = b""
    with socket.create_connection(address, timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        except TimeoutError:
            answer += b"(the connection stays open)"
    return answer


def wrong(answer):
    """What is wrong with the answers, or None. An answer to HEAD has a length and no body."""
    while answer:
        head = HEAD.match(answer)
        if not head:
            return f"no HTTP: {answer[:120]!r}"
        status = int(head[1])
        answer = answer[head.end():]
        if status == 100:
            continue
        if status not in STATUSES:
            return f"status {status} is not documented"
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head[2].split(b"\r\n") if line)}
        size = int(fields.get(b"content-length", b"0"))
        body = b"" if not answer or answer.startswith(b"HTTP/1.") else answer[:size]
        answer = answer[len(body):]
        if len(body) not in (0, size):
            return f"{len(body)} of {size} bytes came of a {status}"
        if status >= 400 and body:
            problem = fields.get(b"content-type") == b"application/problem+json"
            if problem and not json.loads(body).get("code"):
                return f"a problem without a code: {body[:120]!r}"
            if not problem and status not in BY_LIBRARY:
                return f"a {status} that is no problem+json: {body[:120]!r}"
    return None


def run(address, shapes, seed, count):
    """Sends `count` requests; [(request, what was wrong with the answer)]."""
    chance = random.Random(seed)
    of = seeds(shapes)
    found = []
    for _ in range(count):
        data = broken(chance, of)
        why = wrong(ask(address, data))
        if why:
            found.append((data, why))
    return found
