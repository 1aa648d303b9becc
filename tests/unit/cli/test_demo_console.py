"""The demo's console is for this machine and its own data, and a second start changes only where the shop is."""

from __future__ import annotations

import json
import socket

import pytest

from service.cli import commands, demo_console, demo_site
from service.kit import errors


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "localhost.example.com", ""])
def test_it_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(errors.Invalid, match=r"listens on this machine only.*'penstock serve'") as caught:
        demo_console.serve("unused", host=host, port=None, browser=False)
    assert caught.value.details["field"] == "host"


@pytest.mark.parametrize("name", ["PENSTOCK_CATALOG_URL", "PENSTOCK_WAREHOUSE_URL"])
def test_it_leaves_an_installation_of_several_machines_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PENSTOCK_CATALOG_URL", "postgresql://nobody@127.0.0.1:1/none")
    if name == "PENSTOCK_WAREHOUSE_URL":
        monkeypatch.delenv("PENSTOCK_CATALOG_URL")
        monkeypatch.setenv(name, "file:///nowhere")
    with pytest.raises(errors.Invalid, match=f"^{name}: the demo keeps its data in a directory of its own"):
        demo_console.serve("unused", host="127.0.0.1", port=None, browser=False)


@pytest.mark.parametrize("flags", [["--port", "0"], ["--no-browser"], ["--host", "::1"]])
def test_flags_of_the_console_need_it(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.penstock.main(["demo", *flags])
    assert ended.value.code == 2
    assert "are for --serve" in capsys.readouterr().err


def test_a_moved_shop_is_the_only_change() -> None:
    before = demo_site.pipeline("http://127.0.0.1:1111")
    before["description"] = "see http://127.0.0.1:1111/ and http://example.com:1111/api/products"
    after = json.loads(demo_site.moved(json.dumps(before).encode(), "http://127.0.0.1:2222"))
    assert after == {**demo_site.pipeline("http://127.0.0.1:2222"), "description": before["description"]}


def test_the_shop_takes_another_port_where_its_own_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo_site.serve(port) as address:
            assert address != f"http://127.0.0.1:{port}"
