"""A real browser without a screen: Chromium, driven by chromedriver over the W3C WebDriver protocol, which is JSON."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")
#: It fetches nothing and tells nobody anything; --no-sandbox: a test may run as root.
ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--lang=en",
)
#: The key of an element in the protocol (W3C WebDriver, section 12.1).
ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
STARTED: Final = re.compile(r"started successfully on port (\d+)")
PATIENCE_S: Final = 10.0


class Browser:
    """A window. Elements are named by XPath; what has to be there is waited for."""

    def __init__(self, port: int, session: str) -> None:
        self._port = port
        self._base = f"/session/{session}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        return request(self._port, method, f"{self._base}{path}", body)

    def open(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def resize(self, width: int, height: int) -> None:
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """Run JavaScript in the page, as a test does; return what it returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def find(self, path: str) -> str:
        return str(self.call("POST", "/element", {"using": "xpath", "value": path})[ELEMENT])

    def click(self, path: str) -> None:
        self.call("POST", f"/element/{self.find(path)}/click", {})

    def press(self, button: str) -> None:
        """Press a button by its label."""
        page = self.run("return performance.timeOrigin")
        self.click(f"//button[normalize-space()='{button}']")
        self._leave(page)

    def follow(self, link: str) -> None:
        """Click a link that leads to another page."""
        page = self.run("return performance.timeOrigin")
        self.click(f"//a[normalize-space()='{link}']")
        self._leave(page)

    def _leave(self, page: float) -> None:
        """Wait until another page is there, whole."""
        end = time.monotonic() + PATIENCE_S
        while self.run("return document.readyState === 'complete' && performance.timeOrigin") in {False, page}:
            assert time.monotonic() < end, "the page stays"
            time.sleep(0.02)

    def type(self, label: str, text: str, form: str) -> None:
        """Type into the field with a label, in the form that ends in this button."""
        element = self.find(f"{_form(form)}//label[starts-with(normalize-space(), '{label}')]/input")
        self.call("POST", f"/element/{element}/clear", {})
        self.call("POST", f"/element/{element}/value", {"text": text})

    def choose(self, label: str, option: str, form: str) -> None:
        """Choose an option by its text."""
        field = f"{_form(form)}//label[starts-with(normalize-space(), '{label}')]/select"
        self.click(f"{field}/option[normalize-space()='{option}']")

    @property
    def text(self) -> str:
        """What is to be read on the page, one blank between words."""
        return " ".join(str(self.run("return document.body ? document.body.innerText : ''")).split())

    def expect(self, text: str) -> None:
        """Wait until the page has a text."""
        end = time.monotonic() + PATIENCE_S
        while text not in (shown := self.text):
            assert time.monotonic() < end, f"{text!r} is not on the page: {shown}"
            time.sleep(0.05)


def _form(button: str) -> str:
    return f"//form[.//button[normalize-space()='{button}']]"


def request(port: int, method: str, path: str, body: dict[str, Any] | None) -> Any:  # noqa: ANN401 - JSON
    """Send a command to the driver; return its value."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        value = json.loads(connection.getresponse().read())["value"]
    finally:
        connection.close()
    assert not (isinstance(value, dict) and "error" in value), f"{path}: {value.get('message', value)[:500]}"
    return value


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start driver and browser, with a profile of their own; what is downloaded is put into the folder."""
    assert DRIVER, "chromedriver is not installed"
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            assert driver.stdout
            found = next(filter(None, map(STARTED.search, driver.stdout)))
            port = int(found[1])
            session = request(port, "POST", "/session", _capabilities(folder))["sessionId"]
            try:
                yield Browser(port, session)
            finally:
                request(port, "DELETE", f"/session/{session}", None)
        finally:
            driver.terminate()


def _capabilities(folder: Path) -> dict[str, Any]:
    profile = folder / "profile"
    profile.mkdir()
    options = {
        "binary": CHROMIUM,
        "args": [*ARGUMENTS, f"--user-data-dir={profile}", "--window-size=1280,900"],
        "prefs": {"download.default_directory": str(folder), "download.prompt_for_download": False},
    }
    waits = {"implicit": int(PATIENCE_S * 1000)}  # for an element, while the page before it is still there
    return {
        "capabilities": {"alwaysMatch": {"browserName": "chrome", "timeouts": waits, "goog:chromeOptions": options}}
    }
