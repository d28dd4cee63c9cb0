"""`sxq explore`: the pages on a free port of this machine, until Ctrl-C."""

import secrets
import socket
import sys

import uvicorn

from sxq.errors import InvalidValue
from sxq.explorer.answers import Answers
from sxq.explorer.site import site

HOST = "127.0.0.1"


def serve(path: str, port: int = 0, write: bool = False) -> int:
    """Serve the answers of a database; prints the address. Raises StoreError, InvalidValue."""
    answers = Answers(path, write)
    try:
        token = secrets.token_urlsafe(24)
        with listening(port) as free:
            address = f"http://{HOST}:{free.getsockname()[1]}/{token}/"
            print(f"{address}\nCtrl-C ends it", file=sys.stderr, flush=True)
            server(answers, token).run([free])
        return 0
    finally:
        answers.close()


def server(answers: Answers, token: str) -> uvicorn.Server:
    """The server, before it runs; it writes no log, which would hold the token."""
    config = uvicorn.Config(
        site(answers, token),
        access_log=False,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=1,  # a page that follows an EXPLAIN keeps its request open
        ws="none",
        lifespan="off",
    )
    return uvicorn.Server(config)


def listening(port: int) -> socket.socket:
    """A socket that listens on this machine only; raises InvalidValue for a port that is taken."""
    free = socket.socket()
    free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        free.bind((HOST, port))
        free.listen()  # before the address is printed: someone may open it at once
    except OSError as error:
        free.close()
        raise InvalidValue(f"cannot listen on port {port}: {error.strerror}") from None
    return free
