"""backends.yaml: what is shipped, how files merge, and what a mistake says."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import qlstm_qiskit
from qlstm_qiskit.errors import OptionError, QLSTMError, SpecError
from qlstm_qiskit.hardware.config.file import EXACT, PACKAGED, find_spec, load_specs
from qlstm_qiskit.hardware.config.secrets import is_secret_key, is_variable_name, looks_like_token
from qlstm_qiskit.hardware.config.spec import DEFAULT_SHOTS, BackendSpec

TOKEN = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9nO2qR"
SHIPPED = {
    "statevector": ("statevector", None),
    "exact-shots": ("statevector", 1024),
    "exact-noise-torino": ("statevector", 1024),
    "exact-noise-fez": ("statevector", 1024),
    "aer-exact": ("aer", None),
    "aer-shots": ("aer", 1024),
    "aer-noise-torino": ("aer", 1024),
    "aer-noise-fez": ("aer", 1024),
    "fake-manila": ("fake", 4096),
    "fake-fez": ("fake", 4096),
    "fake-nighthawk": ("fake", 4096),
    "ibm": ("ibm", 4096),
    "ibm-local": ("ibm", 4096),
}


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a user's file into the working folder and read it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str) -> dict[str, BackendSpec]:
        Path("backends.yaml").write_text(text)
        return load_specs()

    return load


def test_the_packaged_file_is_the_one_at_the_top() -> None:
    top = Path(qlstm_qiskit.__file__).parents[1] / "backends.yaml"
    assert top.read_bytes() == PACKAGED.read_bytes()
    assert PACKAGED.parent.name == "hardware"


def test_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    specs = load_specs()
    assert {name: (spec.kind, spec.shots) for name, spec in specs.items()} == SHIPPED
    assert next(iter(specs)) == "statevector"
    assert all(spec.name == name for name, spec in specs.items())
    assert [specs[name].noise.device for name in ("aer-noise-torino", "aer-noise-fez")] == ["torino", "fez"]
    assert all(specs[name].noise.readout for name in ("aer-noise-torino", "aer-noise-fez"))
    assert [specs[name].device for name in ("fake-manila", "fake-fez", "fake-nighthawk")] == ["manila", "fez", "nighthawk"]
    ibm = specs["ibm"]
    assert (ibm.device, ibm.mode, ibm.pack, ibm.primitive, ibm.channel) == (
        None,
        "job",
        "auto",
        "sampler",
        "ibm_quantum_platform",
    )
    assert ibm.guard.max_qpu_seconds == 300
    assert not ibm.guard.confirm
    local = specs["ibm-local"]
    assert (local.channel, local.device) == ("local", "fez")
    assert local.pack == ibm.pack, "a rehearsal sends as many circuits as the real one"
    assert [spec.name for spec in specs.values() if not spec.local] == ["ibm"]
    assert [spec.name for spec in specs.values() if spec.exact] == ["statevector", "aer-exact"]
    assert specs["ibm"].about() == "IBM Runtime's sampler, job mode"
    assert specs["aer-noise-fez"].about() == "Qiskit Aer, device noise"


def test_all_that_the_file_suggests_is_accepted(users) -> None:
    """Each option that stands in a comment can be uncommented."""
    lines = PACKAGED.read_text().splitlines()
    ion = [line.removeprefix("# ") for line in lines[-4:]]
    assert ion[0] == "my-ion-trap:"
    specs = users("\n".join(ion))
    assert (specs["my-ion-trap"].provider, specs["my-ion-trap"].shots) == ("my_backends:device", 1000)
    specs = users("ibm: {device: ibm_fez, account: my-account, instance: 'crn:v1:a/b', primitive: estimator}")
    assert specs["ibm"].instance == "crn:v1:a/b"
    specs = users("ibm: {mitigation: {dynamical_decoupling: true, twirling: true}, token_env: QISKIT_IBM_TOKEN}")
    assert (specs["ibm"].mitigation.twirling, specs["ibm"].token_env) == (True, "QISKIT_IBM_TOKEN")
    specs = users("ibm: {primitive: estimator, mitigation: {resilience_level: 1}, guard: {dry_run: true, confirm: true}}")
    assert (specs["ibm"].guard.dry_run, specs["ibm"].guard.max_qpu_seconds) == (True, 300)


def test_a_users_file_is_merged_by_name(users) -> None:
    specs = users(
        """
        aer-shots: {shots: 200}
        aer-noise-fez: {noise: {readout: false}, shots: null}
        ibm: {device: ibm_torino, pack: off, guard: {max_qpu_seconds: 60}}
        mine: {kind: fake, device: torino, transpile: {layout: [3, 4, 5], seed: 7}}
        """
    )
    assert set(specs) == {*SHIPPED, "mine"}
    assert specs["aer-shots"].shots == 200
    assert (specs["aer-noise-fez"].noise.device, specs["aer-noise-fez"].noise.readout) == ("fez", False)
    assert specs["aer-noise-fez"].shots is None
    ibm = specs["ibm"]
    assert (ibm.device, ibm.pack, ibm.guard.max_qpu_seconds, ibm.guard.monthly_seconds) == ("ibm_torino", "off", 60.0, 600.0)
    assert (specs["mine"].shots, specs["mine"].transpile.layout) == (DEFAULT_SHOTS, (3, 4, 5))
    assert specs["aer-noise-torino"].shots == 1024  # untouched


def test_another_kind_replaces_the_entry(users) -> None:
    specs = users("ibm: {kind: aer}\naer-noise-fez: {kind: fake, device: fez}\naer-shots: {kind: aer}")
    assert specs["ibm"] == BackendSpec(name="ibm", kind="aer")
    assert specs["aer-noise-fez"].noise is None
    assert specs["aer-shots"].shots == 1024  # the same kind: merged


def test_the_name_of_the_exact_interpreter_is_reserved(users) -> None:
    assert users("statevector: {kind: statevector}\nmine: {kind: aer}")["statevector"] == EXACT
    assert users("statevector: {}")["statevector"] == EXACT
    for entry in (
        "{kind: aer}",
        "{kind: aer, shots: 10}",
        "{shots: 10}",
        "{kind: fake, device: manila}",
        "{kind: provider, provider: 'a:b'}",
    ):
        with pytest.raises(SpecError, match=r"backends.yaml:2: statevector is the exact interpreter.*another name"):
            users(f"mine: {{kind: aer}}\nstatevector: {entry}")
    assert find_spec("aer-exact").kind == "aer", "packaged entries that the file does not name need none of it"


def test_where_files_are_looked_for(users, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("theirs: {kind: aer, shots: 1e3}")
    with pytest.raises(SpecError, match=r"other.yaml:1: shots of theirs is 1000.0; it must be a valid integer"):
        load_specs(other)
    other.write_text("theirs: {kind: aer, shots: 1_000, seed: 3}")
    assert find_spec("theirs", other).shots == 1000
    assert "theirs" not in load_specs()
    assert "mine" in users("mine: {kind: statevector}")
    assert "mine" not in load_specs(str(other))  # a given path is read in place of the working folder's
    assert set(users("# nothing yet\n")) == set(SHIPPED)
    with pytest.raises(SpecError, match=r"nowhere.yaml cannot be read: No such file"):
        load_specs("nowhere.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_specs(tmp_path)


def test_find_spec_suggests() -> None:
    with pytest.raises(OptionError, match=r"unknown backend 'aer-shot'. Did you mean 'aer-shots'\? Allowed: aer-exact"):
        find_spec("aer-shot")


MISTAKES = [
    # unknown keys
    ("mine:\n  kind: fake\n  devise: fez", 3, "mine: unknown option 'devise'. Did you mean 'device'?"),
    ("mine:\n  kind: aer\n  noise:\n    readuot: true\n    device: fez", 4, "mine.noise: unknown option 'readuot'. Did you"),
    ("ibm:\n  guard: {max_pub: 3}", 2, "ibm.guard: unknown option 'max_pub'. Did you mean 'max_pubs'?"),
    ("ibm:\n  <<: {shots: 3}", 2, "unknown option '<<'"),
    ("ibm:\n  name: other", 2, "the name of a backend is the key of its entry"),
    # bad values
    ("mine: {kind: aerr}", 1, "mine: unknown kind 'aerr'. Did you mean 'aer'? Allowed: aer, fake, ibm, provider, statevector."),
    ("mine: {kind: [aer]}", 1, "kind of mine is ['aer']; it must be 'statevector', 'aer', 'fake', 'ibm' or 'provider'."),
    ("mine:\n  shots: 3", 1, "mine has no kind; add it."),
    ("mine:\n  kind: aer\n  noise: {}", 3, "noise is that of one device; name a fake one as device"),
    ("aer-shots:\n  shots: many", 2, "shots of aer-shots is 'many'; it must be a valid integer."),
    ("aer-shots:\n\n  shots: true", 3, "shots of aer-shots is True; it must be a valid integer."),
    ("aer-shots:\n  shots: -3", 2, "shots of aer-shots is -3; it must be greater than 0."),
    ("aer-noise-fez:\n  noise: {readout: on}", 2, "noise.readout of aer-noise-fez is 'on'; it must be a valid boolean."),
    ("ibm:\n  guard:\n    max_qpu_seconds: .inf", 3, "guard.max_qpu_seconds of ibm is inf; it must be a finite number."),
    ("ibm:\n  guard: 300", 2, "guard of ibm is 300; it must be a mapping of options."),
    ("ibm:\n  pack: some", 2, "pack of ibm is 'some'; it must be a valid integer or 'auto' or 'off'."),
    ("ibm:\n  tags: one", 2, "tags of ibm is 'one'; it must be a list."),
    ("ibm:\n  tags:\n    - one\n    - 2", 4, "tags.1 of ibm is 2; it must be a valid string."),
    ("ibm:\n  transpile: {level: 4}", 2, "transpile.level of ibm is 4; it must be 0, 1, 2 or 3."),
    ("fake-fez:\n  transpile: {layout: [1, 1]}", 2, "layout must name qubits of the device, each once."),
    ("'my device': {kind: aer}", 1, "a backend's name is made of letters"),
    # what would be ignored
    ("exact-shots:\n  method: statevector", 2, "kind statevector would ignore method, which goes with kind aer"),
    ("exact-shots:\n  shots: 0", 2, "shots of exact-shots is 0; it must be greater than 0."),
    ("mine: {kind: statevector, seed: 3}", 1, "no shot noise to seed"),
    ("mine: {kind: statevector, sampling: multinomial}", 1, "exact values are not sampled; give shots"),
    ("aer-exact:\n  device: fez", 2, "kind aer would ignore device, which goes with kind fake or ibm; leave it out."),
    ("aer-exact:\n  mitigation:\n    twirling: true", 2, "kind aer would ignore mitigation, which goes with kind ibm"),
    ("aer-exact: {guard: {max_circuits: 3}}", 1, "kind aer would ignore guard"),
    ("aer-exact:\n  transpile: {level: 3}", 2, "give noise a device"),
    ("aer-exact:\n  seed: 3", 2, "no shot noise to seed"),
    ("aer-noise-fez:\n  method: statevector", 2, "noise is simulated by density_matrix"),
    ("fake-fez:\n  noise: {device: fez}", 2, "kind fake would ignore noise, which goes with kind statevector or aer"),
    ("fake-fez:\n  guard:\n    max_execution_time: 9", 3, "max_execution_time is read by IBM Runtime on real devices only"),
    ("fake-fez:\n  pack: 4\n  transpile: {layout: [3]}", 3, "pack chooses qubits and would ignore layout"),
    ("fake-fez:\n  shots: null", 2, "kind fake always samples"),
    ("mine: {kind: fake}", 1, "device is missing"),
    ("ibm:\n  mitigation: {resilience_level: 1}", 2, "a sampler has no resilience_level"),
    ("ibm:\n  seed: 1", 2, "the shots of a real device have no seed"),
    ("ibm:\n  account: me\n  token_env: MY_TOKEN", 3, "two ways in"),
    ("ibm-local:\n  device: null", 2, "device is missing"),
    ("ibm-local:\n  mode: batch", 2, "local testing mode would ignore mode"),
    ("ibm-local:\n  account: me", 2, "local testing mode would ignore account"),
    ("ibm-local:\n  mitigation:\n    twirling: true", 3, "twirling is for real devices"),
    ("ibm-local:\n  mitigation: {dynamical_decoupling: true}", 2, "dynamical_decoupling is for real devices"),
    ("ibm-local:\n  primitive: estimator\n  mitigation: {resilience_level: 2}", 3, "resilience_level is for real devices"),
    ("mine: {kind: provider}", 1, "import path"),
    ("mine:\n  kind: provider\n  provider: os.system", 3, "import path"),
    ("mine:\n  kind: provider\n  provider: a:b\n  primitive: legacy-estimator", 4, "IBM Runtime's"),
    # the file
    ("- kind: aer", 1, "must be a mapping from names of backends"),
    ("just text", 1, "must be a mapping from names of backends"),
    ("mine: aer", 1, "'mine' must be a mapping of options"),
    ("ibm:", 1, "'ibm' must be a mapping of options"),
    ("ibm:\n  shots: 3\n  mode: job\n  shots: 4", 4, "'shots' is given twice (first at backends.yaml:2)"),
    ("ibm: {shots: 3}\nibm: {shots: 4}", 2, "'ibm' is given twice"),
    ("3: {kind: aer}", 1, "the key '3' must be text"),
    ("[a, b]: {kind: aer}", 1, "a key must be text"),
    ("ibm: {shots: 3", 1, "not valid YAML"),
    ("ibm:\n\tshots: 3", 2, "not valid YAML"),
    ("ibm: !!python/object/apply:os.system [ls]", 1, "not valid YAML"),
    ("a: &a {kind: aer}\nb: *a", 1, "anchors and aliases are not read"),
    ("a: &a\n  b: *a", 1, "anchors and aliases are not read"),
    ("a: {kind: aer}\n---\nb: {kind: aer}", 2, "not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_told_with_its_line(users, text: str, line: int, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        users(text)
    assert str(caught.value).startswith(f"backends.yaml:{line}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert issubclass(SpecError, QLSTMError)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \x00", b"a: !!int x", b"[" * 5000])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "backends.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"not valid YAML|not a text file"):
        load_specs(path)


LEAKS = [
    f"ibm:\n  token: {TOKEN}",
    f"ibm:\n  api_key: {TOKEN}",
    f"ibm: {{apiKey: {TOKEN}}}",
    f"ibm:\n  IBM-TOKEN: {TOKEN}",
    f"ibm:\n  guard:\n    password: {TOKEN}",
    f"token: {TOKEN}",
    f"mine: {{kind: provider, provider: a:b, options: {{nested: [{{secret: {TOKEN}}}]}}}}",
    f"ibm:\n  token: [{TOKEN}]",
    f"ibm:\n  token_env: {TOKEN}",
    f"ibm:\n  token_env: {TOKEN[:20]}",
    "ibm:\n  token_env: " + "0a1b2c3d" * 16,
    "ibm:\n  token_env: " + "0A1B2C3D" * 4,
    "ibm:\n  token_env: my-secret-word",
    f"ibm:\n  account: {TOKEN}",
    f"ibm:\n  instance: {TOKEN}",
    f"ibm:\n  tags: [fine, {TOKEN}]",
    f"ibm:\n  shots: {TOKEN}",
    f"ibm:\n  {TOKEN}: 3",
    f"{TOKEN}: {{kind: aer}}",
    f'ibm:\n  token: "{TOKEN}',
    f"ibm:\n  token: *{TOKEN}",
    f"ibm:\n  token: !{TOKEN} 3",
    f"ibm:\n  token: {TOKEN}: {TOKEN}",
    f"ibm: {TOKEN}",
    TOKEN,
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_credential_is_refused_and_never_shown(users, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        users(text)
    error = caught.value
    for value in (TOKEN, TOKEN[:20], "0a1b2c3d", "0A1B2C3D", "my-secret-word"):
        assert value not in str(error)
    assert str(error).startswith("backends.yaml:")
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    if '"' not in text and "*" not in text and "!" not in text and ": aB" not in text[20:] and text != TOKEN:
        assert "token_env" in str(error)  # the advice


@pytest.mark.parametrize("key", ["token", "Api-Key", "password", "client_secret", "QISKIT_IBM_TOKEN"])
@pytest.mark.parametrize(
    "text", ["ibm:\n  {key}: pass1", "{key}: pass1", "ibm:\n  guard: [[{{{key}: pass1}}]]", "ibm:\n  {key}: {{a: pass1}}"]
)
def test_a_key_that_asks_for_a_credential_is_refused_whatever_its_value(users, key: str, text: str) -> None:
    with pytest.raises(SpecError, match=f"'{key}' is refused; credentials must not stand in this file") as caught:
        users(text.format(key=key))
    assert "pass1" not in str(caught.value)


def test_a_credential_given_in_python_is_not_shown_either() -> None:
    for field, value in [(name, TOKEN) for name in ("token_env", "account", "instance", "token", "device", "name", "kind")] + [
        ("tags", (TOKEN,)),
        ("noise", {"device": TOKEN}),
        ("provider", f"lab:{TOKEN}"),
    ]:
        with pytest.raises(ValidationError) as caught:
            BackendSpec(**({"name": "ibm", "kind": "ibm"} | {field: value}))
        assert TOKEN not in str(caught.value)


def test_names_are_told_from_tokens() -> None:
    assert all(
        map(is_secret_key, ("token", "Token", "api_key", "apikey", "my-password", "client_secret", "accessKey", "auth_key"))
    )
    assert not any(map(is_secret_key, ("token_env", "shots", "device", "account", "instance", "tags", "pack", "name")))
    assert looks_like_token(TOKEN)
    assert looks_like_token(TOKEN[:20], named=True)
    for name in ("qiskit.providers.fake_provider:GenericBackendV2", "FakeJohannesburgV2", "ibm_fez", "my_lab.sim2024:Device5"):
        assert not looks_like_token(name, named=True)
    crn = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef0123456789abcdef:1f2e3d4c-0000::"
    assert not any(
        map(looks_like_token, (crn, "my-open-plan", "qlstm_damped_shm_seed_0_depth_2_hidden_5", "DiffQAS-QLSTM-run-17"))
    )
    assert all(map(is_variable_name, ("QISKIT_IBM_TOKEN", "MY_KEY_2", "_X")))
    assert not any(map(is_variable_name, ("", "2X", "my_token", "A" * 65, "A B")))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_spec_survives_being_written_down(name: str) -> None:
    spec = load_specs()[name]
    assert BackendSpec.model_validate(spec.model_dump()) == spec
    assert BackendSpec.model_validate_json(spec.model_dump_json()) == spec
    assert BackendSpec.model_validate(yaml.safe_load(yaml.safe_dump(spec.model_dump(mode="json")))) == spec
    with pytest.raises(ValidationError):
        spec.shots = 3


def test_a_file_that_has_nothing_to_do_with_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for content in ("services: [web]\npassword: x\n", "a: [", "- 1\n", "\x00"):
        (tmp_path / "backends.yaml").write_text(content)
        assert find_spec("aer-shots").shots == 1024
    (tmp_path / "backends.yaml").write_text("aer-shots: {shots: 7}\n")
    assert find_spec("aer-shots").shots == 7


@pytest.mark.parametrize("name", ["statevector", "aer-exact", "aer-noise-torino", "fake-manila", "ibm"])
def test_a_confirmed_backend_can_be_written_down_and_read_again(name: str) -> None:
    confirmed = find_spec(name).confirmed()
    assert type(confirmed).model_validate(confirmed.model_dump(mode="json")) == confirmed
