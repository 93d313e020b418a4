"""A client that is careful: one connection, kept open; what fails because the connection was closed is sent once more on a new one;
and all that it did and was told is written down for the checker (docs/VERIFY.md).

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import http.client
import itertools
import json

from moments import now_ms
from stack import TERMINAL

CLOSED = (http.client.RemoteDisconnected, http.client.IncompleteRead, http.client.BadStatusLine, ConnectionResetError, BrokenPipeError)


class Client:
    def __init__(self, stack, name):
        self.host, self.port = stack.address("gateway-1").rsplit(":", 1)
        self.name = name
        self.numbers = itertools.count(1)
        self.lines = []
        self.retried = 0
        self.connection = None

    def ask(self, method, path, body=None, headers=None):
        """One request on the open connection; raises what went wrong. Returns (status, headers, body)."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        try:
            self.connection.request(method, path, body, headers or {})
            response = self.connection.getresponse()
            content = response.read()
            if response.will_close:
                self.close()
            return response.status, response.headers, content
        except OSError:
            self.close()
            raise
        except http.client.HTTPException:
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def again(self, ask):
        """ask(), and once more when the connection was closed."""
        try:
            return ask()
        except CLOSED:
            self.retried += 1
            return ask()

    def tell(self, **line):
        self.lines.append({name: value for name, value in line.items() if value is not None})

    def submit(self, job_type, payload, key=None, **members):
        """Returns (status, the answer's JSON). Without a key it is not sent again."""
        body = json.dumps({"type": job_type, "payload": payload, **members})

        def once():
            request, begin = f"{self.name}-{next(self.numbers)}", now_ms()
            headers = {"Content-Type": "application/json", "X-Request-Id": request, **({"Idempotency-Key": f'"{key}"'} if key else {})}
            self.tell(do="submit", request=request, key=key, begin=begin)
            told = {"do": "submitted", "request": request, "begin": begin, "status": 0}
            try:
                status, _, content = self.ask("POST", "/v1/jobs", body, headers)
                answer = json.loads(content)
                told.update(status=status, id=answer.get("id"), code=answer.get("code"))
                return status, answer
            finally:
                self.tell(end=now_ms(), **told)
        return self.again(once) if key else once()

    def read(self, job_id, wait_s=0):
        """Returns (status, the answer's JSON)."""
        begin = now_ms()
        status, headers, content = self.again(lambda: self.ask("GET", f"/v1/jobs/{job_id}?wait={wait_s}"))
        answer = json.loads(content)
        state, etag = answer.get("state") if status == 200 else None, headers.get("ETag", "").strip('"')
        self.tell(do="read", id=job_id, begin=begin, end=now_ms(), status=status, state=state, code=answer.get("code"),
                  version=int(etag) if etag.isdigit() else None,
                  digest=hashlib.blake2b(content, digest_size=8).hexdigest() if state in TERMINAL else None)
        return status, answer
