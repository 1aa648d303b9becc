"""A person's browser: pages of a running service, and what went wrong in them that a person might not see."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.acceptance.served import PASSWORD, Served

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
PATIENCE = 20_000  # milliseconds that a page may take on a busy machine


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    place = shutil.which("chromium")
    assert place is not None, "no Chromium: apt-get install chromium"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])  # CI is root
        yield browser
        browser.close()


class Visits:
    """Opens pages of a service, each as a new browser would, and collects their faults.

    ``faults`` has errors of the console, of scripts, and requests that go anywhere but to the service. A test that
    means to cause one looks at it and clears the list.
    """

    def __init__(self, browser: Browser, served: Served) -> None:
        self.browser, self.served = browser, served
        self.faults: list[str] = []
        self.requests: list[Request] = []

    def open(
        self, path: str = "/", *, user: str | None = "admin", password: str = PASSWORD, phone: bool = False,
        dark: bool = False,
    ) -> Page:  # fmt: skip
        """A page at an address below ``/console``; ``user`` None has not signed in."""
        context = self.browser.new_context(
            base_url=self.served.address, viewport=PHONE if phone else DESKTOP, has_touch=phone,
            color_scheme="dark" if dark else "light", reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        if user is not None:
            answer = context.request.post("/api/v1/auth/session", data={"username": user, "password": password})
            assert answer.ok, answer.text()
        page = context.new_page()
        page.on("console", self._told)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("request", self._asked)
        page.goto(f"/console{path}")
        page.locator("main[aria-busy=false], main:not([aria-busy])").first.wait_for()
        return page

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"{message.location.get('url')}: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.served.address, "data:", "blob:")):
            self.faults.append(f"a request left the service: {request.url}")
