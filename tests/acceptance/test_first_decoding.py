"""Types that several threads decode for the first time at once: what msgspec alone does not stand."""

from __future__ import annotations

import subprocess
import sys

_RACE = """
import sys, threading
import msgspec
from service.kit import struct_types

sys.setswitchinterval(1e-6)

def made(number):
    rows = [
        msgspec.defstruct(f"Row{number}_{place}", [(f"f{field}", "int | None", None) for field in range(12)])
        for place in range(6)
    ]
    return msgspec.defstruct(f"Table{number}", [(f"a{place}", list[row], []) for place, row in enumerate(rows)])

def decode(kind, barrier):
    barrier.wait()
    msgspec.json.decode(b'{"a0": [{"f1": 1}], "a5": [{"f11": 2}]}', type=kind)

for number in range(200):
    kind, barrier = made(number), threading.Barrier(6)
    struct_types.prepare()
    threads = [threading.Thread(target=decode, args=(kind, barrier)) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
print("all of them")
"""


def test_threads_may_decode_new_types_at_once() -> None:
    ended = subprocess.run([sys.executable, "-c", _RACE], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "all of them\n"), ended.stderr
