"""How far the memory of this process grows while something runs."""

import resource
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Growth:
    """`with Growth() as growth: ...`, then `growth.megabytes`: the largest resident set above that at the start.

    On Linux the high-water mark is put back to the present size first. Elsewhere what took more before is not seen
    again: then this is a lower bound.
    """

    megabytes = 0.0

    def __enter__(self) -> "Growth":
        try:
            RESET.write_text("5")
        except OSError:
            pass
        self._before = _megabytes("VmRSS")
        return self

    def __exit__(self, *error) -> None:
        self.megabytes = max(0.0, _megabytes("VmHWM") - self._before)


def _megabytes(line: str) -> float:
    """VmRSS, the resident set, or VmHWM, its high-water mark; where there is no /proc both are that mark."""
    if STATUS.exists():
        return (
            next(
                int(text.split()[1])
                for text in STATUS.read_text().splitlines()
                if text.startswith(line)
            )
            / 1e3
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
