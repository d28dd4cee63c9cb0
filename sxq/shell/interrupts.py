"""Ctrl-C while the shell runs: it raises KeyboardInterrupt where that is caught, and is ignored elsewhere."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sxq.started import AS_PROGRAM


class Interrupts:
    """The signal handler of Ctrl-C, which raises KeyboardInterrupt only while it is `armed`.

    Python runs signal handlers at calls and loops. An assignment to `armed` is neither, so a block

        try:
            interrupts.armed = True
            ...
            interrupts.armed = False
        except KeyboardInterrupt:
            interrupts.armed = False

    lets no KeyboardInterrupt out, however fast the key is pressed again.
    """

    def __init__(self) -> None:
        self.armed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.armed:
            raise KeyboardInterrupt

    def install(self) -> None:
        """Become the handler; an editor may have put its own in place."""
        signal.signal(signal.SIGINT, self)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Be the handler, and put the one before back; a program that ends keeps this one."""
        before = signal.getsignal(signal.SIGINT)
        self.install()
        try:
            yield
        finally:
            if not AS_PROGRAM:
                signal.signal(signal.SIGINT, before)
