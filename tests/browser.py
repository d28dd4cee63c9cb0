"""A headless Chromium that looks at a page: the WebDriver protocol over HTTP, no more than the tests need."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how the protocol names an element


def missing() -> str:
    """Why there is no browser to test with, or nothing."""
    found = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return (
        f"{' and '.join(found)} not installed (Debian: chromium, chromium-driver)" if found else ""
    )


class Browser:
    """One window."""

    def __init__(self, port: int, folder: str, size: tuple[int, int], dark: bool):
        self._root, self._session = f"http://127.0.0.1:{port}", ""
        flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"]
        flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
        options = {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags},
        }
        self._session = f"/session/{self._ask('POST', '/session', {'capabilities': {'alwaysMatch': options}})['sessionId']}"

    def open(self, path) -> None:
        self._ask("POST", "/url", {"url": f"file://{path}"})

    def visit(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": strokes}
        self._ask("POST", "/actions", {"actions": [keyboard]})

    def run(self, script: str, *arguments):
        """The value that JavaScript returns; its `arguments` may be elements that were found."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str):
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def count(self, selector: str) -> int:
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def click(self, selector: str) -> None:
        self.drag(selector, 0, 0)

    def drag(self, selector: str, right: int, down: int) -> None:
        """Press the mouse in the middle of an element, move it, and let go."""
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        moves = [
            {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": self.find(selector)},
            {"type": "pointerDown", "button": 0},
        ]
        moves += [
            {"type": "pointerMove", "duration": 20, "x": right, "y": down, "origin": "pointer"}
        ] * bool(right or down)
        self._act([*moves, {"type": "pointerUp", "button": 0}])

    def hover(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self._act(
            [{"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": self.find(selector)}]
        )

    def errors(self) -> list[str]:
        """What the console said and nobody wants to read."""
        return [
            line["message"]
            for line in self._ask("POST", "/se/log", {"type": "browser"})
            if line["level"] in ("SEVERE", "WARNING")
        ]

    def as_on_paper(self) -> None:
        """Show the page as it is printed."""
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print"}}
        self._ask("POST", "/goog/cdp/execute", command)

    def screenshot(self, path) -> None:
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._ask("GET", "/screenshot")))

    def _act(self, actions: list) -> None:
        self._ask(
            "POST",
            "/actions",
            {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]},
        )

    def _ask(self, method: str, path: str, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._root + self._session + path,
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None


@contextmanager
def browser(size=(1280, 1000), dark=False):
    """A window of its own, with an empty profile; gone at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = open(f"{folder}/log", "w+")
        driver = subprocess.Popen(
            [shutil.which("chromedriver"), "--port=0"], stdout=log, stderr=subprocess.STDOUT
        )
        window = None
        try:
            window = Browser(_port(folder), f"{folder}/profile", size, dark)
            yield window
        finally:
            if window:
                window._ask("DELETE", "")
            driver.terminate()
            driver.wait()
            log.close()


def _port(folder: str) -> int:
    """The port that the driver chose, from what it says when it is ready."""
    for _ in range(600):
        with open(f"{folder}/log") as log:
            said = log.read()
        if "started successfully on port" in said:
            return int(said.split("started successfully on port ")[1].split(".")[0])
        time.sleep(0.05)
    raise AssertionError(f"chromedriver did not start: {said}")
