"""`sxq explore` and `sxq mcp` on the command line, and what they must not cost others."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from sxq.__main__ import main


@pytest.mark.parametrize("name", ["explore", "mcp"])
def test_a_missing_database_is_wrong_usage(name, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, str(tmp_path / "none.duckdb")])
    assert ended.value.code == 2 and "there is no database" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_a_port_that_is_none(port, hostile, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explore", str(hostile), "--port", port])
    assert ended.value.code == 2 and "--port" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, library", [("explore", "uvicorn"), ("explore", "starlette"), ("mcp", "mcp")]
)
def test_a_missing_extra_is_told(name, library, hostile):
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        f"from sxq.__main__ import main; sys.exit(main([{name!r}, {str(hostile)!r}]))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 1 and f"pip install 'sxq[{name}]'" in found.stderr, found.stderr


def test_the_shell_does_not_load_the_servers():
    script = (
        "import sys; from sxq.__main__ import main; main(['-c', 'SELECT 1'])\n"
        "print(sorted({'starlette', 'uvicorn', 'mcp', 'httpx', 'sxq.explorer'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.endswith("[]\n"), found


@pytest.mark.slow
def test_explore_serves_until_ctrl_c(hostile):
    command = [sys.executable, "-m", "sxq", "explore", str(hostile)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stderr.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[-\w]{20,}/", address)
        with urllib.request.urlopen(address) as page:
            assert page.status == 200
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(re.sub(r"/[-\w]+/$", "/", address))
    finally:
        os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) in (0, 130)
