"""`qlstm backends` as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHIPPED = [
    *("statevector", "exact-shots", "exact-noise-torino", "exact-noise-fez"),
    *("aer-exact", "aer-shots", "aer-noise-torino", "aer-noise-fez"),
    *("fake-manila", "fake-fez", "fake-nighthawk", "ibm", "ibm-local"),
]


def test_the_list_names_every_backend(qlstm) -> None:
    code, out, err = qlstm("backends", "list")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines() if line.strip()][3:]
    assert [row[0] for row in rows] == SHIPPED
    lines = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line.strip()}
    assert lines["statevector"] == "statevector statevector exact exact interpreter, autograd"
    assert lines["aer-noise-fez"] == "aer-noise-fez aer fez 1024 shots Qiskit Aer, device noise"
    expected = "exact-noise-fez statevector fez 1024 shots exact interpreter, autograd, device noise, gaussian shots"
    assert lines["exact-noise-fez"] == expected
    assert lines["ibm"] == "ibm ibm least busy 4096 shots IBM Runtime's sampler, job mode"


def test_as_json_with_the_users_own(qlstm) -> None:
    Path("mine.yaml").write_text("mine: {kind: provider, provider: 'a.b:device'}\naer-shots: {shots: 7}")
    code, out, err = qlstm("backends", "list", "--backends", "mine.yaml", "--json")
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)["backends"]}
    assert list(rows) == [*SHIPPED, "mine"]
    assert rows["aer-shots"]["shots"] == 7
    assert rows["mine"] == {
        "name": "mine",
        "kind": "provider",
        "device": "a.b:device",
        "shots": 4096,
        "exact": False,
        "local": False,
        "about": "any Qiskit backend, sampler",
    }
    Path("backends.yaml").write_text("found: {kind: statevector}")
    assert "found" in qlstm("backends", "list")[1]


def test_a_mistake_is_one_line_with_file_and_line(qlstm) -> None:
    Path("backends.yaml").write_text("ibm:\n  shots: 10\n  toke: x\n")
    code, out, err = qlstm("backends", "list")
    assert (code, out) == (2, "")
    assert err.startswith("error: backends.yaml:3: ibm: unknown option 'toke'. Did you mean 'token_env'?")
    assert err.count("\n") == 1
    Path("backends.yaml").write_text("ibm:\n  token: hunter2\n")
    code, out, err = qlstm("backends", "list", "--json")
    assert (code, out) == (2, "")
    assert "backends.yaml:2" in err
    assert "hunter2" not in err
    assert qlstm("backends", "list", "--backends", "none.yaml")[0] == 2


@pytest.mark.slow
def test_a_dead_device_is_named_in_one_line_by_whatever_uses_it(qlstm) -> None:
    Path("backends.yaml").write_text("dead: {kind: fake, device: kyoto, shots: 8}")
    Path("wave.csv").write_text("value\n" + "\n".join(str(abs(k % 7 - 3)) for k in range(12)))
    said = (
        "warning: fake_kyoto: the estimated success is 0; 144 of 144 couplers are marked dead (error 1). Values will be noise"
    )
    data = ("--csv", "wave.csv", "--target", "value", "--model", "config1", "--hidden-size", 1, "--depth", 1, "--epochs", 1)
    for command in (
        ("train", *data, "--backend", "dead", "--optimizer", "spsa", "--out", "run"),
        ("evaluate", "run"),
        ("backends", "plan", "run", "--backend", "dead"),
        ("transpile", "run", "--backend", "dead"),
        ("backends", "check", "dead"),
    ):
        code, out, err = qlstm(*command)
        assert code == 0, err
        if command[0] in {"transpile", "backends"} and command[1] != "plan":
            assert "144 of 144 couplers are marked dead (error 1)" in out
        else:
            assert err.count(said) == 1, command
            assert ".py" not in err


TOKEN = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9nO2qR"


@pytest.mark.slow
def test_a_token_in_the_place_of_a_name_is_never_repeated(qlstm, monkeypatch) -> None:
    Path("run").mkdir()
    secret = "known-to-the-environment-1"
    monkeypatch.setenv("MY_LAB_TOKEN", secret)
    for token in (TOKEN, TOKEN[:20], "0a1b2c3d" * 8, "a1b2c3d4e5f6g7h8i9j0k1", "AKIA2B3C4D5E6F7G8H9J"):
        for text in (
            f"mine: {{kind: fake, device: {token}}}",
            f"mine: {{kind: {token}}}",
            f"mine: {{kind: provider, provider: 'lab:{token}'}}",
            f"mine: {{kind: aer, noise: {{device: {token}}}}}",
            f"mine: {{kind: aer, method: {token}}}",
            f"mine: {{kind: ibm, tags: [{token}]}}",
            f"{token}: {{kind: aer}}",
        ):
            Path("mine.yaml").write_text(text)
            code, out, err = qlstm("backends", "list", "--backends", "mine.yaml", "--json")
            assert (code, out) == (2, "")
            assert token not in err
            assert "token_env" in err, text
    for token in (TOKEN, secret):
        for command in (
            ("backends", "check", token),
            ("evaluate", "run", "--backend", token),
            ("backends", "plan", "run", "--backend", "ibm", "--device", token),
        ):
            code, out, err = qlstm(*command)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert token not in err
            assert token.lower() not in err


def test_help_is_light_and_has_an_example(qlstm) -> None:
    code, out, _ = qlstm("backends")
    assert code == 2
    assert "list" in out
    script = (
        "import sys\nfrom qlstm_qiskit.cli import main\n"
        "try: main(['backends', 'list', '--help'])\nexcept SystemExit as e: assert not e.code\n"
        "print([name for name in ('torch', 'qiskit', 'numpy', 'yaml') if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    assert "Example: qlstm backends list" in result.stdout
