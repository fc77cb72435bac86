"""Output that cannot be written, in processes of their own: one line and an exit code, never a traceback."""

import os
import subprocess
import sys

import pytest

MAIN = f"{sys.executable} -c 'from qlstm_qiskit.cli import main; main()'"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", ["--version", "--help", "backends list", "backends list --json"])
def test_a_full_output_is_one_line(arguments: str) -> None:
    done = shell(f"{MAIN} {arguments} >/dev/full")
    assert (done.returncode, done.stderr) == (2, "error: cannot write the output: No space left on device.\n")


@pytest.mark.parametrize("arguments", ["--version", "backends list"])
def test_a_closed_output_is_one_line(arguments: str) -> None:
    done = shell(f"{MAIN} {arguments} >&-")
    assert (done.returncode, done.stderr) == (2, "error: cannot write the output: Bad file descriptor.\n")


@pytest.mark.parametrize("arguments", ["--help", "backends list", "backends list --json"])
def test_a_reader_that_goes_away_ends_it_quietly(arguments: str) -> None:
    done = shell(f"{MAIN} {arguments} | exec true")
    assert done.stderr == ""
    assert done.returncode in {0, 141}, "0 where all of it was written before the reader went away"


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full"])
def test_the_exit_code_says_it_where_standard_error_cannot(where: str) -> None:
    done = shell(f"{MAIN} backends lst {where}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    done = shell(f"{MAIN} --version {where}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.1.0\n", "")


ENVIRONMENTS = [{"PYTHONIOENCODING": "ascii"}, {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "LC_ALL": "C"}]


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_encoding_lacks_is_replaced(environment: dict[str, str]) -> None:
    done = shell(f"{MAIN} backends list && {MAIN} space show --n-qubits 1 --draw 'RX|linear-RZ'", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "statevector" in done.stdout
    assert "Rx(x[0])" in done.stdout
    assert done.stdout.isascii()
