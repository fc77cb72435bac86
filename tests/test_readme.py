"""What the README tells people to type works."""

import re
import shlex
from pathlib import Path

import pytest

from qlstm_qiskit.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_python_blocks_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert "Ry(x[0])" in capsys.readouterr().out


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every `qlstm` line in order, in an empty folder beside the examples; training for one epoch, tables of one series."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("qlstm ")]
    assert len(commands) >= 8
    for command in commands:
        arguments = shlex.split(command)[1:]
        if arguments[0] == "train":
            arguments += ["--epochs", "1"]
        if arguments[0] == "table":
            arguments += ["--epochs", "1", "--seeds", "1", "--datasets", "nile" if "real" in arguments else "narma5"]
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        streams = capsys.readouterr()
        assert not caught.value.code, f"{command}: {streams.err}"
    assert len((tmp_path / "next_cycle.csv").read_text().splitlines()) == 12


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
