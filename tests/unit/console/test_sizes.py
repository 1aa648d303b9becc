"""What a browser loads for each screen stays small, and the lists' scripts arrive at once."""

from __future__ import annotations

import re

import pytest

from service.console import site

LISTS = ("pipelines", "runs", "schedules", "files", "accounts", "system")
OTHERS = ("pipeline", "run", "data", "sql", "new_pipeline")
KB = 1000


def screens() -> list[str]:
    return [one for one in re.findall(r'"(console/screens/[^"]+)"', page()) if one.count("/") == 2]


def page() -> str:
    return site.page().content.decode()


def script(specifier: str) -> str:
    """The name of the file that the import map leads to."""
    found = re.search(rf'"{specifier}":"{site.ROOT}/assets/([^"]+)"', page())
    assert found is not None, specifier
    return found[1]


def parts(screen: str) -> list[str]:
    """A screen and all that it imports, also later, when somebody does the most that there is to do."""
    found, waiting = {"console/app"}, [screen]
    while waiting:
        one = waiting.pop()
        for module in site.modules(one):
            if module not in found or module == one:
                found.add(module)
                text = site.assets()[script(module)].content.decode()
                waiting += [name for name in re.findall(r'import\("([^"]+)"\)', text) if name not in found]
    return site.modules(*found)


def size(modules: list[str]) -> int:
    """The bytes of scripts and styles, as they are sent."""
    names = [script(module) for module in modules]
    names += [name for name in site.assets() if name.endswith(".css")]
    return sum(len(site.compressed(name, "gzip")) for name in names)


def test_every_screen_is_measured() -> None:
    names = {one.rpartition("/")[2] for one in screens()} - {"sign_in"}
    assert names == {*LISTS, *OTHERS}


@pytest.mark.parametrize("screen", LISTS)
def test_a_list_takes_less_than_60_kb(screen: str) -> None:
    found = size(site.modules("console/app", f"console/screens/{screen}"))
    print(screen, found)
    assert found < 60 * KB


@pytest.mark.parametrize("screen", OTHERS)
def test_every_other_screen_takes_less_than_400_kb(screen: str) -> None:
    found = size(parts(f"console/screens/{screen}"))
    print(screen, found)
    assert found < 400 * KB


def test_scripts_of_the_first_screen_are_asked_for_at_once() -> None:
    preloaded = set(re.findall(r'rel="modulepreload" href="/console/assets/([^"]+)"', page()))
    wanted = {script(one) for one in site.modules("console/app", "console/screens/pipelines")}
    assert preloaded == wanted


def test_files_are_compressed_well() -> None:
    name = script("codemirror")
    whole = len(site.assets()[name].content)
    assert len(site.compressed(name, "zstd")) < len(site.compressed(name, "gzip")) < whole / 2
