"""Ten thousand connections, below the gateway's limit and beyond it: health checks are answered, who is too many is told
so, the gateway takes no more memory than its limits allow, and it passes by itself.

SPDX-License-Identifier: Apache-2.0
"""
import pytest
import requests

from beside import Beside
from chaos import RATE, Chaos, assert_clean
from crowd import Crowd
from memory import KIB, MIB, Watch
from waiting import wait_until

pytestmark = pytest.mark.loaded

DAEMONS = ("gateway-1", "worker-1", "recorder-1", "delayer-1")
LIMITS = {"send_queue": 2 * MIB, "connection_pool": 24 * KIB, "body_max": 132 * KIB, "senders": 8, "held_max": 4 * MIB,
          "in_flight": 0, "response_max": 0, "batch_max": 512 * KIB, "consumers": 7, "partitions": 7 * 2 * 8}
KINDS = [("probe.quick", {"subject": "a crowd", "seed": 1}, [], 1.0)]  # calls nobody
SEED = 61
CROWD = 10_000
SURPLUS = 64  # connections beyond connections_max that are held a while, to be told so
TYPES = b"GET /v1/types HTTP/1.1\r\nHost: test\r\n\r\n"


class Health(Beside):
    """Asks again and again, each time on a connection of its own, whether the gateway lives and is ready; use as a
    context, in which the answer must always be yes."""

    def __init__(self, stack):
        super().__init__()
        self.stack = stack
        self.asked = 0
        self.wrong = []

    def look(self):
        for path in ("/livez", "/readyz"):
            status = self._ask(path)
            self.asked += 1
            if status != 200:
                self.wrong.append((path, status))

    def judge(self):
        assert self.asked > 5 and not self.wrong, f"{len(self.wrong)} of {self.asked}: {self.wrong[:3]}"

    def _ask(self, path):
        """Once more on a connection that was closed: beyond the limit those that say nothing for long make room for new ones, and a slow
        client may be taken for one of them."""
        for again in (True, False):
            try:
                return requests.get(self.stack.url + path, timeout=5).status_code
            except requests.ConnectionError as error:
                if not again:
                    return repr(error)
            except requests.RequestException as error:
                return repr(error)
        return None


# proves P-18d
@pytest.mark.parametrize("connections_max", [12_000, 2_000])
def test_ten_thousand_connections_below_the_limit_and_beyond_it(fresh_stack, swift_bin, tmp_path, connections_max):
    limits = LIMITS | {"connections_max": connections_max}
    stack = fresh_stack("apache", programs=swift_bin, config={
        "kafka": {"send_queue": limits["send_queue"]},
        "worker": {"held_max": limits["held_max"]},
        "gateway": {"connections_max": connections_max, "body_max": "132KiB", "header_timeout": "60s"}})
    host, port = stack.url.removeprefix("http://").rsplit(":", 1)
    chaos = Chaos(stack, tmp_path, RATE, duration_s=120, seed=SEED, kinds=KINDS)
    with chaos, Watch(stack, DAEMONS) as memory:
        with Health(stack), Crowd((host, int(port)), CROWD) as crowd:
            held = min(CROWD, connections_max + SURPLUS)
            wait_until(lambda: crowd.look() or len(crowd.open) <= held, 20, "those beyond the limit are closed")
            assert len(crowd.open) > min(CROWD, connections_max) - 100, "all within the limit are held"
            told = crowd.say(TYPES, 30)
            assert told.count(200) > min(CROWD, connections_max) - 100, "and served"
            assert set(told) <= {200, 503, 0}
            if connections_max < CROWD:
                answer = requests.get(f"{stack.url}/v1/types", timeout=10)
                assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
                assert int(answer.headers["Retry-After"]) >= 1
            else:
                assert set(told) == {200}
        wait_until(lambda: chaos.ask().status_code == 202, 10, "there is room again")
        chaos.end_loads()
    print({name: most // MIB for name, most in memory.most.items()}, f"{chaos.rate():.0f} jobs/s")
    memory.assert_bounded(limits)
    assert_clean(chaos.verdict())
