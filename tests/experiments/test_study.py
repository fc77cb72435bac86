"""Studies: what is fixed before running, the tasks and their ids, and mistakes that are refused."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments import RECIPES
from qlstm_qiskit.experiments.runs.load import load_spec
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import STUDIES, Chain, Derive, Study, load_study, studies
from qlstm_qiskit.search import DERIVATIONS, STRATEGIES
from tests.experiments.studied import SMALL


def test_tasks_are_the_cells_of_the_table() -> None:
    tasks = SMALL.tasks()
    assert len(tasks) == 5 * (2 + 1) == len({task.id for task in tasks})
    first = next(task for task in tasks if task.row == "circuit")
    assert first.work == RunSpec(
        data=DataSpec(dataset="damped_shm", window=2), model="config1", hidden_size=1, depth=1, epochs=2, batch_size=40, seed=0
    )
    chain = next(task.work for task in tasks if task.row == "derived")
    assert isinstance(chain, Chain)
    assert chain.search.search is not None
    assert chain.search.search.name == "softmax"
    assert chain.tune == {"epochs": 3, "batch_size": 40, "lr": 0.005}, "what is common to all is for the last training too"


def test_a_search_and_the_training_after_it_have_backends_of_their_own(tmp_path: Path) -> None:
    rows = {}
    for name, backend in (("search", "exact-shots"), ("training", "statevector")):
        rows[name] = {"search": SMALL.rows["derived"].search | {"backend": backend}, "run": {"epochs": 1}}
        rows[name]["run"] |= {"backend": "exact-shots"} if name == "training" else {}
    content = SMALL.model_dump() | {"rows": rows, "families": {}, "published": {}, "seeds_of": {}, "seeds": 1}
    study = Study.model_validate(content | {"datasets": {"damped_shm": {"window": 2}}})
    run_study(study, tmp_path)
    found = {
        task.row: [load_spec(tmp_path / "runs" / task.id / stage) for stage in ("search", "tuned")] for task in study.tasks()
    }
    assert {row: [spec.backend for spec in own] for row, own in found.items()} == {
        "search": ["exact-shots", "statevector"],
        "training": ["statevector", "exact-shots"],
    }
    assert all(spec.backend_options.name == spec.backend for own in found.values() for spec in own)


def test_an_id_is_a_hash_of_what_is_done_alone() -> None:
    renamed = SMALL.model_copy(
        update={"name": "x", "rows": {"other name": SMALL.rows["circuit"]}, "families": {}, "published": {}}
    )
    ids = {task.id for task in SMALL.tasks() if task.row == "circuit"}
    assert {task.id for task in renamed.tasks()} == ids
    changed = SMALL.model_copy(update={"common": SMALL.common | {"epochs": 3}})
    assert not ids & {task.id for task in changed.tasks()}


def test_ids_leave_out_defaults_which_therefore_must_stay() -> None:
    """Another default would give records that are there to what they are not of. New fields may be added."""
    run = {
        "model": "diffqas",
        "hidden_size": 5,
        "depth": None,
        "n_qubits": None,
        "genotype": None,
        "search": None,
        "start": None,
    }
    run |= {
        "input_map": "identity",
        "mixing": "linear",
        "num_layers": 1,
        "dropout": 0.0,
        "angle_std": 0.01,
        "valid_fraction": 0.0,
    }
    run |= {"epochs": 100, "batch_size": 10, "optimizer": "rmsprop", "lr": None, "schedule": "constant", "patience": 0}
    run |= {"backend": "statevector", "spsa_eps": 0.15, "spsa_resamplings": 1, "seed": 0, "dtype": "float64"}
    known: dict[type[BaseModel], dict[str, object]] = {
        RunSpec: run,
        DataSpec: {"window": 4, "horizon": 1, "train_fraction": 0.67, "features": None, "season": None},
        Control: {"seed": 0, "units": 100, "spectral_radius": 0.9, "input_scaling": 1.0},
        Chain: {"derive": Derive(strategy="perturbation", top_k=1, refit=True), "tune": {}, "scratch": False},
        STRATEGIES["shrinking"]: {"keep": 1, "begin": 0.3, "end": 0.7, "factor": 0.5, "convex": False},
        STRATEGIES["gumbel-softmax"]: {"start": 1.0, "end": 0.1, "straight_through": False},
        STRATEGIES["best-of-random"]: {"k": 36},
    }
    for kind, defaults in known.items():
        assert {name: kind.model_fields[name].default for name in defaults} == defaults, kind.__name__


def test_every_strategy_has_ids_of_its_own(tmp_path: Path) -> None:
    def ids(row: dict) -> set[str]:
        study = Study.model_validate({"name": "s", "datasets": {"narma5": {}}, "rows": {"row": row}, "seeds": 1})
        return {task.id for task in study.tasks()}

    rows = [{"run": {"search": {"name": name}, "valid_fraction": 0.2}} for name in STRATEGIES]
    rows += [{"search": {"search": {"name": name}, "valid_fraction": 0.2}, "run": {}} for name in STRATEGIES]
    assert len(set().union(*map(ids, rows))) == len(rows)


def test_the_content_of_a_file_is_part_of_an_id(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    found = set()
    for text in ("v\n1\n2\n", "v\n1\n3\n"):
        path.write_text(text)
        rows = {"row": {"run": {"model": "lstm"}}, "control": {"control": {"control": "ridge"}}}
        study = Study.model_validate({"name": "s", "datasets": {"mine": {"csv": str(path), "target": "v"}}, "rows": rows})
        found |= {task.id for task in study.tasks() if task.seed == 0}
    assert len(found) == 4


def test_a_recipe_is_for_what_is_compared_and_not_for_searches() -> None:
    tuned = SMALL.model_copy(update={"recipe": "tuned", "common": {"hidden_size": 1}})
    works = {task.row: task.work for task in tuned.tasks()}
    for key, value in RECIPES["tuned"].items():
        assert getattr(works["circuit"], key) == value
        assert getattr(works["lstm"], key) == (0.01 if key == "angle_std" else value), "it has no angles"
    assert works["derived"].search.optimizer == "rmsprop"
    assert works["derived"].tune == dict(RECIPES["tuned"]) | {"epochs": 3, "lr": 0.005}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": {"a": {}}}, "exactly one of run and control"),
        ({"rows": {"a": {"run": {}, "control": {"control": "ridge"}}}}, "exactly one"),
        ({"rows": {"a": {"control": {"control": "ridge"}, "search": {}}}}, "no search"),
        ({"families": {"f": [["circuit", "nobody"]]}}, "unknown row 'nobody'"),
        ({"published": {"circuits": {}}}, "Did you mean 'circuit'"),
        ({"published": {"circuit": {"narma": 0.1}}}, "unknown series 'narma'. Did you mean 'narma5'"),
        ({"seeds_of": {"narma": 1}}, "unknown series 'narma'. Did you mean 'narma5'"),
        ({"shorter": {"narma": 2}}, "unknown series 'narma'. Did you mean 'narma5'"),
        ({"shorter": {"narma5": 0}}, "shorter.narma5"),
        ({"rows": {"a": {"run": {}, "scratch": True}}}, "has no search, which derive and scratch go with"),
        ({"rows": {"a": {"run": {}, "derive": {"top_k": 3}}}}, "has no search"),
        ({"rows": {}}, "rows: Dictionary should have at least 1 item"),
        ({"datasets": {}}, "datasets: Dictionary should have at least 1 item"),
        ({"recipe": "secret"}, "unknown recipe 'secret'"),
        ({"seeds": 0}, "seeds"),
        ({"primary": "best_mse"}, "primary"),
        ({"row": {}}, "row"),
    ],
)
def test_mistakes_in_a_study_are_one_line(tmp_path: Path, content: dict, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(SMALL.model_dump(mode="json") | content))
    with pytest.raises(OptionError, match=message):
        load_study(path)


def test_a_field_that_no_run_has(tmp_path: Path) -> None:
    study = Study.model_validate(SMALL.model_dump() | {"common": {"hiden_size": 1}})
    with pytest.raises(OptionError, match="row 'circuit' of the study 'small': hiden_size"):
        run_study(study, tmp_path / "out")
    rows = SMALL.model_dump()["rows"]
    rows["derived"]["run"] = {"epoch": 5}
    with pytest.raises(OptionError, match="row 'derived' of the study 'small': epoch"):
        run_study(Study.model_validate(SMALL.model_dump() | {"rows": rows}), tmp_path / "out")
    datasets = SMALL.model_dump()["datasets"] | {"narma5": {"windows": 3}}
    with pytest.raises(OptionError, match="series 'narma5' of the study 'small': windows"):
        run_study(Study.model_validate(SMALL.model_dump() | {"datasets": datasets}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "row", "message"),
    [
        ({"primary": "valid_mse"}, "ridge", "row 'ridge' of the study 'small' has no valid_mse"),
        ({"primary": "valid_mse"}, "circuit", "row 'circuit' of the study 'small' has no valid_mse"),
        ({"primary": "valid_mse"}, "derived", "row 'derived' of the study 'small' has no valid_mse"),
        ({"steps": 2}, "circuit", "rolling out"),
    ],
)
def test_what_cannot_end_in_a_table_is_not_begun(tmp_path: Path, changes: dict, row: str, message: str) -> None:
    """narma5 is predicted from another series, and nothing else has a validation part in its last training."""
    study = Study.model_validate(SMALL.model_dump() | changes).part(rows=[row])
    with pytest.raises(OptionError, match=message):
        run_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", studies())
def test_packaged_studies_are_sound(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    tasks = study.tasks()
    assert len({task.id for task in tasks}) == len(tasks), "no row is another one under a second name"
    for dataset in study.datasets:
        study.data(dataset).load()
    assert (STUDIES / f"{name}.yaml").read_text().startswith("#")


def test_a_series_may_have_shorter_trainings() -> None:
    """Those of a row, of a search and of what follows it, also where no number of epochs is given; no other series has."""
    rows = SMALL.model_dump()["rows"] | {"silent": {"run": {"model": "lstm"}}}
    rows["derived"] |= {"search": rows["derived"]["search"] | {"epochs": 7}, "run": {}}
    whole = Study.model_validate(SMALL.model_dump() | {"rows": rows, "common": {"hidden_size": 1}, "recipe": "tuned"})
    study = Study.model_validate(whole.model_dump() | {"shorter": {"narma5": 3}})
    works = {task.row: task.work for task in study.tasks() if task.dataset == "narma5"}
    assert works["circuit"].epochs == works["silent"].epochs == RECIPES["tuned"]["epochs"] // 3 == 16
    assert (works["derived"].search.epochs, works["derived"].tune["epochs"]) == (2, 16)
    paper = Study.model_validate(study.model_dump() | {"recipe": "paper"})
    (derived,) = (task.work for task in paper.tasks() if (task.row, task.dataset) == ("derived", "narma5"))
    assert derived.tune["epochs"] == RunSpec.model_fields["epochs"].default // 3
    assert {task.work.epochs for task in study.with_epochs(2).tasks() if task.row == "silent"} == {1, 2}, "at least one"
    ids = [{task.id for task in one.tasks() if task.dataset == "damped_shm"} for one in (whole, study)]
    assert ids[0] == ids[1], "ids of other series are what they were"
    assert study.part(datasets=["damped_shm"]).shorter == {}


def test_the_study_of_searches_has_every_strategy_at_its_budget() -> None:
    tasks = {(task.row, task.dataset): task.work for task in load_study("search").tasks() if task.seed == 0}
    chains = {key: work for key, work in tasks.items() if isinstance(work, Chain)}
    assert {work.search.search.name for work in chains.values() if work.search.search is not None} == set(STRATEGIES)
    assert {work.derive.strategy for work in chains.values()} == set(DERIVATIONS)
    for (row, dataset), work in tasks.items():
        budget = (33, 20, 66) if dataset == "delayed_quantum_control" else (100, 60, 200)
        first = work.search if isinstance(work, Chain) else work
        assert (first.model, first.hidden_size, first.depth, first.optimizer) == ("diffqas", 5, 2, "rmsprop")
        if isinstance(work, Chain):
            assert (first.epochs, work.tune["epochs"], first.valid_fraction) == (*budget[1:], 0.2)
        else:
            assert (row, first.epochs, first.valid_fraction) == ("full", budget[0], 0.0)


def test_a_study_of_recipes_takes_none() -> None:
    with pytest.raises(OptionError, match="for choosing a recipe"):
        load_study("recipe", "tuned")


def test_unknown_study() -> None:
    with pytest.raises(OptionError, match="unknown study 'tabel2'.*table2"):
        load_study("tabel2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lstm: {run: {model: lstm}}", "circuit: {run: {model: lstm}}"), "'circuit' stands in lines 5 and 6; rename"),
        (("{model: lstm}", "{model: lstm, model: gru}"), "'model' stands in lines 6 and 6; rename"),
        (("[circuit, lstm]", "[lstm, lstm]"), "the row 'lstm' is compared with itself; give two rows"),
    ],
)
def test_what_would_be_gone_without_a_word_is_refused(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = """name: own
title: Own
datasets: {narma5: {}}
rows:
  circuit: &first {run: {model: config1, depth: 1}}
  lstm: {run: {model: lstm}}
  deeper: {<<: *first, note: the same again}
families: {all: [[circuit, lstm]]}
"""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    assert list(load_study(str(path)).rows) == ["circuit", "lstm", "deeper"]
    path.write_text(text.replace(*change))
    with pytest.raises(OptionError, match=message):
        load_study(str(path))


def test_a_part_of_a_study() -> None:
    part = SMALL.part(rows=["circuit", "lstm"], datasets=["narma5"], seeds=4)
    assert [(task.row, task.seed) for task in part.tasks()] == [("circuit", 0), ("lstm", 0)]
    assert part.families == {"all": [("circuit", "lstm")]}
    assert part.published == {"circuit": {}}
    assert SMALL.part(datasets=["damped_shm"]).seeds_of == {}
    assert Study.model_validate(part.model_dump()) == part
    with pytest.raises(OptionError, match="unknown series 'narma'. Did you mean 'narma5'"):
        SMALL.part(datasets=["narma"])


def test_rows_with_maps_in_place_of_circuits_and_seeds_from_another_one_on() -> None:
    rows = {"config1": {"run": {"model": "config1"}}, "tanh": {"run": {"model": "config1", "bank": "tanh"}}}
    study = Study.model_validate({"name": "x", "datasets": {"narma5": {}}, "seeds": 2, "first_seed": 40, "rows": rows})
    tasks = study.tasks()
    assert [(task.row, task.seed, task.work.bank, task.work.seed) for task in tasks if isinstance(task.work, RunSpec)] == [
        ("config1", 40, "circuits", 40),
        ("tanh", 40, "tanh", 40),
        ("config1", 41, "circuits", 41),
        ("tanh", 41, "tanh", 41),
    ]
    assert "first_seed" not in SMALL.model_dump(mode="json", exclude_defaults=True)
