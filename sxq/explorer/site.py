"""The pages of `sxq explore` and their routes. Data reach a page as JSON; scripts show them as text nodes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sxq.errors import Error, InvalidValue, StoreError
from sxq.explorer.answers import Answers, shown
from sxq.explorer.guard import App, Guard
from sxq.explorer.questions import questions
from sxq.explorer.running import RunningExplain
from sxq.pictures.page import SCRIPTS, asset, script_json, served_page

HERE = Path(__file__).parent
ASSETS = {  # name -> its type, and whether it is the report's
    "style.css": ("text/css", True),
    **dict.fromkeys(SCRIPTS, ("text/javascript", True)),
    "explorer.css": ("text/css", False),
    "explorer.js": ("text/javascript", False),
}
MOST_BYTES = 1_000_000  # of a request
PAGES = {"": "queries", "compare": "compare", "sql": "sql", "explain": "explain"}


def site(answers: Answers, token: str) -> App:
    """The guarded app over the answers of a database."""
    return Guard(Starlette(routes=Site(answers, f"/{token}").routes()), token)


class Site:
    """The routes, and the EXPLAIN that runs."""

    def __init__(self, answers: Answers, root: str):
        self.answers = answers
        self.root = root
        self.running: RunningExplain | None = None

    def routes(self) -> list[Route]:
        """Pages and the data that their scripts ask for."""
        pages = [Route(f"/{path}", self._shell(name)) for path, name in PAGES.items()]
        return [
            *pages,
            Route("/assets/{name}", self.asset),
            Route("/query/{query:int}", self._shell("query")),
            Route("/query/{query:int}/target/{ordinal:int}", self.target),
            Route("/api/queries", self.api(lambda request: self.answers.queries())),
            Route("/api/query/{query:int}", self.api(self._query)),
            Route("/api/compare", self.api(self._compare)),
            Route("/api/questions", self.api(self._questions)),
            Route("/api/sql", self.api_post(self._sql), methods=["POST"]),
            Route("/api/explain", self.api_post(self._explain), methods=["POST"]),
            Route("/api/explain/stop", self.api_post(self._stop), methods=["POST"]),
            Route("/api/explain/events", self.events),
        ]

    # -- pages ---------------------------------------------------------------------------------

    def _shell(self, name: str) -> Callable[[Request], Response]:
        """A page whose script fills it."""

        def page(request: Request) -> Response:
            if name == "explain":
                self._require_write()
            data = {"explorer": self._about(name) | request.path_params}
            text = (HERE / "shell.html").read_text(encoding="utf-8")
            text = text.replace("<!--head-->", self._head())
            text = text.replace("<!--scripts-->", self._scripts("drawing.js", "explorer.js"))
            return _html(text.replace("/*data*/", script_json(data)))

        return page

    def target(self, request: Request) -> Response:
        """The page of one target: that of the report, with ways to the others."""
        query, ordinal = request.path_params["query"], request.path_params["ordinal"]
        try:
            result = self.answers.target(query, ordinal)
        except InvalidValue as error:
            raise HTTPException(404, str(error)) from None
        about = self._about("target") | {"query": query, "ordinal": ordinal}
        about |= self.answers.extent(query)
        scripts = self._scripts(*SCRIPTS, "explorer.js")
        return _html(served_page(result, self._head(), scripts, {"explorer": about}))

    def _about(self, name: str) -> dict[str, Any]:
        return {
            "page": name,
            "root": self.root,
            "file": Path(self.answers.path).name,
            "write": self.answers.write,
        }

    def _head(self) -> str:
        names = ("style.css", "explorer.css")
        return "\n".join(
            f'<link rel="stylesheet" href="{self.root}/assets/{name}">' for name in names
        )

    def _scripts(self, *names: str) -> str:
        return "\n".join(f'<script src="{self.root}/assets/{name}"></script>' for name in names)

    def asset(self, request: Request) -> Response:
        """A style or a script."""
        name = request.path_params["name"]
        if name not in ASSETS:
            raise HTTPException(404, "no such file")
        kind, shared = ASSETS[name]
        text = asset(name) if shared else (HERE / name).read_text(encoding="utf-8")
        return Response(text, media_type=kind)

    # -- data ----------------------------------------------------------------------------------

    def api(self, answer: Callable[[Request], Any]) -> Callable[[Request], Response]:
        """A route that answers in JSON; errors of ours as their text."""

        def route(request: Request) -> Response:
            return _json(lambda: answer(request))

        return route

    def api_post(self, answer: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
        """The same for a request that brings JSON."""

        async def route(request: Request) -> Response:
            body = await _body(request)
            return await run_in_threadpool(_json, lambda: answer(body))

        return route

    def _query(self, request: Request) -> Any:
        return self.answers.query_page(request.path_params["query"])

    def _compare(self, request: Request) -> Any:
        a, b = (_number(request, name) for name in "ab")
        return {"a": a, "b": b, "targets": self.answers.compare(a, b)}

    def _questions(self, request: Request) -> Any:
        return questions(_number(request, "query"))

    def _sql(self, body: dict[str, Any]) -> Any:
        return shown(self.answers.run(_text(body)))

    # -- EXPLAIN -------------------------------------------------------------------------------

    def _require_write(self) -> None:
        if not self.answers.write:
            raise HTTPException(404, "this explorer only reads; sxq explore --write runs EXPLAIN")

    def _explain(self, body: dict[str, Any]) -> Any:
        self._require_write()
        if self.running and not self.running.ended:
            raise StoreError("another EXPLAIN runs; stop it, or wait for its end")
        self.running = RunningExplain(self.answers.explaining(), _text(body))
        return {"started": True}

    def _stop(self, body: dict[str, Any]) -> Any:
        self._require_write()
        if self.running and not self.running.ended:
            self.running.stop()
        return {"stopped": bool(self.running)}

    def events(self, request: Request) -> Response:
        """The events of the EXPLAIN that runs, or of the last one, as they come."""
        self._require_write()
        return StreamingResponse(_stream(self.running), media_type="text/event-stream")


def _stream(running: RunningExplain | None) -> Iterator[str]:
    """Server-sent events."""
    if running is None:
        yield _event({"kind": "idle"})
        return
    for event in running.events():
        yield ": still here\n\n" if event is None else _event(event)


def _event(event: dict[str, Any]) -> str:
    return f"data: {json.dumps(event)}\n\n"


def _html(text: str) -> Response:
    return Response(text, media_type="text/html")


def _json(answer: Callable[[], Any]) -> Response:
    """An answer as JSON; an error of ours with status 400."""
    try:
        return JSONResponse(answer())
    except Error as error:
        return JSONResponse({"error": str(error)}, status_code=400)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON that a request brings; raises HTTPException."""
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise HTTPException(415, "expected JSON")  # a form of another site cannot send it
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES:,} bytes")
    try:
        body = json.loads(found or b"{}")
    except ValueError:
        raise HTTPException(400, "this is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "expected a JSON object")
    return body


def _text(body: dict[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InvalidValue("there is no statement")
    return text


def _number(request: Request, name: str) -> int:
    """A number of the query string; raises InvalidValue."""
    given = request.query_params.get(name, "")
    if not given.isdecimal() or len(given) > 15:
        raise InvalidValue(f"{name} = {given!r}; expected the number of a stored query")
    return int(given)
