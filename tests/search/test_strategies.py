"""Search strategies: what each changes, against closed forms and steps made by hand."""

import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.nn import MIXINGS, CircuitBank
from qlstm_qiskit.search import STRATEGIES, DeviceCost, make_strategy
from qlstm_qiskit.search.carry import carry
from qlstm_qiskit.search.strategy import distribution, importance
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training import QLSTMRegressor
from qlstm_qiskit.training.fitting import Fit, Seeds
from qlstm_qiskit.training.searching import SearchLoop
from tests.search.models import SMALL, N, bank_of, fitted, layer_of, regressor, same, series, state_of
from tests.speed import slow_but

NEEDS = {"bilevel": {"valid_fraction": 0.25}, "best-of-random": {"valid_fraction": 0.25}}
OPTIONS = {"best-of-random": {"k": 2}}


def bank(mixing: str = "linear") -> CircuitBank:
    generator = torch.Generator().manual_seed(0)
    return CircuitBank(SMALL.candidates(3, 1), 4, 2, mixing=mixing, angle_std=1.0, generator=generator)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_trains_to_the_same_bits_and_names_its_source(name: str) -> None:
    strategy = make_strategy(name, OPTIONS.get(name))
    assert len(strategy.reference) > 10
    models = [fitted(search=strategy, **NEEDS.get(name, {})) for _ in range(2)]
    assert same(*models)
    assert [row["train_loss"] for row in models[0].history_] == [row["train_loss"] for row in models[1].history_]
    assert len(models[0].history_) == 3
    again = type(strategy).model_validate_json(strategy.model_dump_json())
    assert again == strategy


def test_the_weighted_sum_is_what_the_paper_does_and_the_default() -> None:
    assert same(fitted(), fitted(search="weighted-sum"))
    assert same(fitted(mixing="softmax"), fitted(search="softmax"))
    assert not same(fitted(), fitted(search="softmax"))


def test_a_search_decides_the_mixing_and_without_one_the_option_does() -> None:
    """They cannot contradict each other: whoever gives both is told which mixing the strategy sets."""
    for mixing in MIXINGS:
        assert own_mixing(regressor(mixing=mixing)) == mixing
    strategies = [make_strategy(name) for name in STRATEGIES] + [
        make_strategy(name, {option: True})
        for name, strategy in STRATEGIES.items()
        for option in ("convex", "straight_through")
        if option in strategy.model_fields
    ]
    assert {strategy.mixing for strategy in strategies} == set(MIXINGS)
    for strategy in strategies:
        needs = NEEDS.get(strategy.name, {})
        assert own_mixing(regressor(search=strategy, **needs)) == strategy.mixing
        for mixing in set(MIXINGS) - {"linear"}:
            message = f"'{strategy.name}' sets the mixing itself, to '{strategy.mixing}'; leave out mixing='{mixing}'"
            with pytest.raises(OptionError, match=message):
                regressor(search=strategy, mixing=mixing, **needs).check_options()


def own_mixing(model: QLSTMRegressor) -> str:
    """The mixing of the bank that a model is trained with."""
    module = model.build_module(1, 1)
    assert module.circuits is not None
    return next(module.circuits.layers()).bank.mixing


def test_controls_hold_still_what_they_say() -> None:
    start = regressor().build_module  # the same start for all of them
    with torch.random.fork_rng():
        torch.manual_seed(Seeds.of(regressor().seed).model)
        before = start(1, 1).state_dict()
    name = "recurrent.cells.0.bank."
    uniform, frozen = state_of(fitted(search="uniform")), state_of(fitted(search="frozen"))
    assert torch.equal(uniform[name + "structural_weights"], torch.full((4, N), 1 / N, dtype=torch.float64))
    assert not torch.equal(uniform[name + "angles"], before[name + "angles"])
    assert torch.equal(frozen[name + "angles"], before[name + "angles"])
    assert not torch.equal(frozen[name + "structural_weights"], before[name + "structural_weights"])
    assert same(fitted(search="frozen"), fitted(model="reservoir"))


def test_a_random_choice_is_one_candidate_a_gate_with_weight_one_at_the_start() -> None:
    found = set()
    for seed in range(6):
        model = fitted(search="random", seed=seed, lr=1e-12)
        own = layer_of(model).gates[0]
        assert [len(gate) for gate in own] == [1] * 4
        torch.testing.assert_close(bank_of(model).structural_weights, torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-9)
        found |= {gate[0] for gate in own}
    assert found == set(SMALL.names)


def test_the_best_of_random_is_the_trial_with_the_lowest_validation_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = regressor(search=make_strategy("best-of-random", {"k": 4}), valid_fraction=0.25)
    losses, train = [], Fit._train

    def recording(self, *args):
        fitted = train(self, *args)
        losses.append(fitted.history[-1]["valid_loss"])
        return fitted

    monkeypatch.setattr(Fit, "_train", recording)
    model.fit(*series())
    assert len(losses) == 5
    assert losses[-1] == min(losses[:4])
    assert len(set(losses[:4])) > 1


def test_penalties_are_their_closed_forms() -> None:
    entropy, l1 = make_strategy("entropy", {"strength": 0.5}), make_strategy("l1", {"strength": 0.5})
    module = bank()
    assert entropy.penalty(module, 1.0).item() == pytest.approx(0.5 * math.log(N), rel=1e-14)
    assert l1.penalty(module, 0.5).item() == pytest.approx(0.25, rel=1e-14)
    assert entropy.penalty(module, 0.0).item() == 0
    with torch.no_grad():
        module.structural_weights.copy_(torch.tensor([[3.0, -1.0, 0.0, 0.0]] * 4))
    expected = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert entropy.penalty(module, 1.0).item() == pytest.approx(0.5 * expected, rel=1e-14)
    assert l1.penalty(module, 1.0).item() == pytest.approx(2.0, rel=1e-14)
    entropy.penalty(module, 1.0).backward()
    assert bool(torch.isfinite(module.structural_weights.grad).all())


@pytest.mark.parametrize("name", ["entropy", "l1"])
def test_a_penalty_acts_on_the_weights_and_is_not_in_the_recorded_loss(name: str) -> None:
    plain, pressed = fitted(max_epochs=1), fitted(max_epochs=1, search=make_strategy(name, {"strength": 1e3}))
    assert plain.history_[0]["train_loss"] == pressed.history_[0]["train_loss"], "progress is 0 in the first epoch"
    plain = fitted(max_epochs=8)
    pressed = fitted(max_epochs=8, search=make_strategy(name, {"strength": 10.0}))
    assert max(row["train_loss"] for row in pressed.history_) < 2, "ten times the penalty would be above"
    sizes = [distribution(bank_of(m)).detach() for m in (plain, pressed)]
    if name == "l1":
        sums = [bank_of(m).coefficients().detach().abs().sum() for m in (plain, pressed)]
        assert sums[1] < 0.5 * sums[0]
    else:
        assert torch.special.entr(sizes[1]).sum() < torch.special.entr(sizes[0]).sum()


def test_gumbel_draws_a_relaxed_choice_in_training_and_the_likeliest_in_evaluation() -> None:
    strategy = make_strategy("gumbel-softmax", {"start": 2.0, "end": 0.5})
    assert [strategy.temperature(p) for p in (0, 0.5, 1)] == pytest.approx([2, 1, 0.5])
    torch.manual_seed(0)
    soft, hard = bank("gumbel-softmax"), bank("gumbel-straight-through")
    logits = torch.tensor([[0.5, 1.5, -1.0, 0.0]] * 4, dtype=torch.float64)
    for module in (soft, hard):
        with torch.no_grad():
            module.structural_weights.copy_(logits)
    draws = torch.stack([soft.coefficients().detach() for _ in range(4000)])
    torch.testing.assert_close(draws.sum(-1), torch.ones(4000, 4, dtype=torch.float64))
    assert not torch.equal(draws[0], draws[1])
    choices = torch.stack([hard.coefficients().detach() for _ in range(4000)])
    assert set(choices.round(decimals=12).unique().tolist()) == {0.0, 1.0}
    error = 5 * (0.25 / 16000) ** 0.5  # of the share of a choice among 16000, five standard deviations at most
    assert (choices.mean(dim=(0, 1)) - torch.softmax(logits[0], dim=0)).abs().max() < error
    hard.coefficients()[0, 1].backward()
    assert float(hard.structural_weights.grad[0].abs().sum()) > 0
    soft.eval(), hard.eval()
    assert torch.equal(soft.coefficients(), torch.softmax(logits, dim=-1))
    assert hard.coefficients().tolist() == [[0, 1, 0, 0]] * 4
    soft.temperature.fill_(0.1)
    assert torch.equal(soft.coefficients(), torch.softmax(logits / 0.1, dim=-1))
    model = fitted(search=strategy)
    assert float(bank_of(model).temperature) == 0.5, "kept with the parameters"


def test_stages_of_shrinking() -> None:
    strategy = make_strategy("shrinking", {"keep": 1, "begin": 0.2, "end": 0.8})
    assert [strategy._allowed(36, p) for p in (0, 0.19, 0.2, 0.35, 0.5, 0.65, 0.8, 1)] == [36, 36, 18, 9, 4, 2, 1, 1]
    assert make_strategy("shrinking", {"keep": 3})._allowed(36, 1) == 3
    assert make_strategy("shrinking", {"keep": 36})._allowed(36, 1) == 36
    assert make_strategy("shrinking", {"keep": 2, "begin": 0.5, "end": 0.5})._allowed(4, 0.5) == 2
    importance = torch.tensor([[0.1, 0.4, 0.3, 0.2]] * 4)
    assert strategy.survivors(bank(), 0.5, importance) == [[1, 2]] * 4
    assert strategy.survivors(bank(), 0.9, importance) == [[1]] * 4
    assert strategy.survivors(bank(), 0.1, importance) is None
    model = fitted(search=make_strategy("shrinking", {"keep": 2}), max_epochs=10)
    assert [len(gate) for gate in layer_of(model).gates[0]] == [2] * 4
    assert layer_of(model).n_circuits == 8


def test_dropping_what_has_no_effect_changes_nothing_and_the_optimiser_goes_on() -> None:
    """Two of the four are identically zero: their importance is 0, and without them the curve is the same."""
    space = SearchSpace.product(["H-RY", "H-RX"], ["linear-RY", "linear-RX"])  # H-RX|linear-RX is zero, H-RX|linear-RY blind
    space = SearchSpace.from_circuits(
        [*space.candidates(3, 1)[:2], *SearchSpace.product(["H-RX"], ["linear-RX", "linear-RZ"]).candidates(3, 1)]
    )
    options = {"space": space, "depth": None, "max_epochs": 12}
    whole = fitted(**options)
    shrunk = fitted(**options, search=make_strategy("shrinking", {"keep": 2, "begin": 0.4, "end": 0.4}))
    assert layer_of(shrunk).gates[0] == (("H-RY|linear-RY", "H-RY|linear-RX"),) * 4
    curves = [[row["train_loss"] for row in model.history_] for model in (whole, shrunk)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-9)


def test_importance_is_that_of_the_loss_without_the_devices_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    shrinking = STRATEGIES["shrinking"]
    monkeypatch.setattr(shrinking, "survivors", lambda self, bank, progress, importance: seen.append(importance))
    for device in (None, {"backend": "fake-manila", "strength": 10.0}):
        fitted(search=make_strategy("shrinking", {"device": device}), batch_size=40, max_epochs=1)
    assert torch.equal(*seen)
    model = regressor()
    with torch.random.fork_rng():
        torch.manual_seed(Seeds.of(model.seed).model)
        module = model.build_module(1, 1)
    x, y = (torch.as_tensor(part) for part in series())
    nn.functional.mse_loss(module(x), y).backward()
    weights = next(module.recurrent.arch_parameters())
    start = torch.full((4, N), 1 / N, dtype=torch.float64)
    moved = fitted(batch_size=40, max_epochs=1).module_.recurrent.cells[0].bank.structural_weights
    assert not torch.equal(moved, start), "the weights have moved since"
    torch.testing.assert_close(seen[0], (start * weights.grad).square(), rtol=1e-9, atol=0)


def test_importance_of_convex_weights_is_the_effect_of_taking_a_part_away() -> None:
    """A share p becomes (1 - e) p and the others grow to a sum of 1: the loss changes by e times the root of the importance."""
    model = regressor(search="softmax")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = model.build_module(1, 1)
        own = module.recurrent.cells[0].bank
        with torch.no_grad():
            own.structural_weights.copy_(torch.randn(4, N))
            own.angles.copy_(torch.randn_like(own.angles))
    x, y = (torch.as_tensor(part) for part in series())
    loss = nn.functional.mse_loss(module(x), y)
    loss.backward()
    shares, found, e = own.coefficients().detach(), importance(own), 1e-6
    for gate in range(4):
        for place in range(N):
            table = shares.clone()
            table[gate] *= 1 + e * shares[gate, place] / (1 - shares[gate, place])
            table[gate, place] = (1 - e) * shares[gate, place]
            assert float(table[gate].sum()) == pytest.approx(1, abs=1e-12)
            own.mixing, own.structural_weights.data = "linear", table
            with torch.no_grad():
                change = float(nn.functional.mse_loss(module(x), y) - loss) / e
            assert float(found[gate, place]) == pytest.approx(change**2, rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("name", slow_but(["entropy", "shrinking"], [name for name in STRATEGIES if STRATEGIES[name].weighs]))
def test_the_devices_cost_goes_with_every_strategy_that_trains_weights(name: str) -> None:
    device = {"device": {"backend": "fake-manila", "strength": 0.1}}
    found = fitted(search=make_strategy(name, device), **NEEDS.get(name, {}))
    plain = fitted(search=name, **NEEDS.get(name, {}))
    assert not torch.equal(bank_of(found).structural_weights, bank_of(plain).structural_weights)


def test_what_is_not_weighed_takes_no_cost() -> None:
    for name in ("random", "best-of-random", "uniform"):
        with pytest.raises(OptionError, match="leave device out"):
            make_strategy(name, {"device": {"backend": "fake-manila"}})
    with pytest.raises(OptionError, match="stages begin before they end"):
        make_strategy("shrinking", {"begin": 0.9, "end": 0.1})


def test_a_single_epoch_is_enough_to_shrink() -> None:
    assert layer_of(fitted(search="shrinking", max_epochs=1)).n_circuits == 4


def test_ctrl_c_ends_all_trials_and_one_that_diverges_is_not_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, begun, begin = make_strategy("best-of-random", {"k": 3}), [], SearchLoop.on_epoch_begin

    def interrupting(self, net, **kwargs):
        begin(self, net, **kwargs)
        begun.append(self)
        if len(begun) == 5:  # in the second trial
            raise KeyboardInterrupt

    monkeypatch.setattr(SearchLoop, "on_epoch_begin", interrupting)
    with pytest.raises(KeyboardInterrupt):
        fitted(search=strategy, valid_fraction=0.25)
    assert len(set(map(id, begun))) == 2
    monkeypatch.setattr(SearchLoop, "on_epoch_begin", begin)
    train, seeds = Fit._train, []

    def diverging(self, *args):
        seeds.append(args[0])
        if len(seeds) == 1:
            raise TrainingError("diverged")
        return train(self, *args)

    monkeypatch.setattr(Fit, "_train", diverging)
    fitted(search=strategy, valid_fraction=0.25)
    assert len(seeds) == 4
    assert seeds[3] in seeds[1:3]

    def always(self, *args):
        raise TrainingError("diverged")

    monkeypatch.setattr(Fit, "_train", always)
    with pytest.raises(TrainingError, match="all 3 trials diverged"):
        fitted(search=strategy, valid_fraction=0.25)


def test_ctrl_c_while_candidates_are_dropped_leaves_the_epoch_before(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = make_strategy("shrinking", {"keep": 1, "begin": 0.4, "end": 0.8})
    restrict, calls = CircuitBank.restrict, []
    for stage, left in ((1, 4), (2, 2)):
        calls.clear()

        def interrupted(self, gates, stage=stage):
            changed = restrict(self, gates)
            calls.append(1)
            if len(calls) == stage:
                raise KeyboardInterrupt
            return changed

        monkeypatch.setattr(CircuitBank, "restrict", interrupted)
        model = fitted(search=strategy, max_epochs=10)
        monkeypatch.setattr(CircuitBank, "restrict", restrict)
        epochs = len(model.history_)
        assert model.interrupted_
        assert {len(gate) for gate in layer_of(model).gates[0]} == {left}
        prediction = model.predict(series()[0])
        assert np.isfinite(prediction).all()
        # the same training, ended before that epoch by a callback of the user
        ended = fitted(search=strategy, max_epochs=10, callbacks=[Ending(epochs)])
        assert same(model, ended)


class Ending(Callback):
    """Ctrl-C at the beginning of the epoch after some."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == self.epochs + 1:
            raise KeyboardInterrupt


def test_optimisers_keep_their_state_of_what_is_kept() -> None:
    module = bank()
    optimizer = torch.optim.RMSprop(module.parameters(), lr=0.01, momentum=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.rand(5, 3, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
    before = {p: {k: v.clone() for k, v in optimizer.state[p].items()} for p in module.parameters()}
    names = {p: name for name, p in module.named_parameters()}
    carry(optimizer, module.restrict([[0, 3], [1], [1, 2, 3], [3]]))
    wanted = torch.tensor([[place in own for place in range(4)] for own in ([0, 3], [1], [1, 2, 3], [3])])
    for old, state in before.items():
        new = dict(module.named_parameters())[names[old]]
        mask = wanted if names[old] == "structural_weights" else wanted.repeat_interleave(3, dim=1)
        assert old not in optimizer.state
        for key in ("square_avg", "momentum_buffer"):
            assert torch.equal(optimizer.state[new][key], state[key][mask])
        assert optimizer.state[new]["step"] == state["step"]
    optimizer.zero_grad()
    module(torch.rand(5, 3, dtype=torch.float64)).square().sum().backward()
    optimizer.step()


def test_a_bilevel_step_moves_the_weights_on_validation_and_the_rest_on_training_windows() -> None:
    x, y = series(16)
    model = regressor(search=make_strategy("bilevel", {"lr": 0.02}), valid_fraction=0.5, batch_size=8, max_epochs=1).fit(x, y)
    ours = regressor()
    with torch.random.fork_rng():
        torch.manual_seed(Seeds.of(ours.seed).model)
        module = ours.build_module(1, 1)
    windows, targets = torch.as_tensor(x), torch.as_tensor(y)
    weights = list(module.recurrent.arch_parameters())
    others = [p for p in module.parameters() if all(p is not w for w in weights)]
    for parameters, part, lr in ((weights, slice(8, 16), 0.02), (others, slice(0, 8), 0.01)):
        optimizer = torch.optim.RMSprop(parameters, lr=lr, alpha=0.99, eps=1e-8)
        module.zero_grad()
        nn.functional.mse_loss(module(windows[part]), targets[part]).backward()
        optimizer.step()
    for name, value in module.state_dict().items():
        torch.testing.assert_close(model.module_.state_dict()[name], value, rtol=0, atol=1e-12)
    assert all(p.requires_grad for p in model.module_.parameters())


def test_the_device_term_lowers_the_expected_cost() -> None:
    strategy = make_strategy("softmax", {"device": {"backend": "fake-manila", "strength": 0.5}})
    cost = strategy.device.costs(SMALL.candidates(3, 1), 2)
    assert max(cost) == 1
    assert min(cost) < 0.6, "a cyclic entangler closes a ring that a line of qubits does not have"
    plain, cheap = fitted(search="softmax", max_epochs=8), fitted(search=strategy, max_epochs=8)
    shares = [distribution(bank_of(m)).detach() for m in (plain, cheap)]
    expected = [float((share @ torch.tensor(cost, dtype=torch.float64)).mean()) for share in shares]
    assert expected[1] < expected[0] - 0.05
    success = DeviceCost(backend="fake-manila", measure="log-success").costs(SMALL.candidates(3, 1), 2)
    assert all(0 < value <= 1 for value in success)
    with pytest.raises(OptionError, match="statevector"):
        fitted(search=make_strategy("weighted-sum", {"device": {"backend": "statevector"}}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search": "softmx"}, "Did you mean 'softmax'"),
        ({"search": "bilevel"}, "give valid_fraction"),
        ({"search": "best-of-random"}, "give valid_fraction"),
        ({"search": "l1", "optimizer": "spsa"}, "use the optimizer rmsprop"),
        ({"search": "shrinking", "optimizer": "spsa"}, "use the optimizer rmsprop"),
        ({"search": "softmax", "mixing": "softmax"}, "leave out mixing='softmax'"),
        ({"search": "softmax", "space": SearchSpace.handcrafted(1)}, "single candidate"),
        ({"search": "l1", "space": SearchSpace.handcrafted(1)}, "one circuit per gate or none"),
        ({"search": "l1", "model": "lstm", "space": None, "depth": None}, "one circuit per gate or none"),
        ({"valid_fraction": 1.0}, "below 1"),
        ({"valid_fraction": 0.001}, "leave no validation part"),
        ({"model": "derived", "space": None}, "qlstm derive"),
        ({"start": {}}, "another model"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fitted(**options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("entropy", {"strength": 0}, "greater than 0"),
        ("shrinking", {"keep": 0}, "keep"),
        ("gumbel-softmax", {"temperature": 1}, "It has the options: device, start, end, straight_through"),
        ("weighted-sum", {"device": {"backend": "fake-fez", "measure": "swaps"}}, "device.measure"),
    ],
)
def test_options_that_a_strategy_does_not_have_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_strategy(name, options)


def test_a_validation_part_does_not_train() -> None:
    x, y = series()
    changed = y.copy()
    changed[30:] = 100.0
    first, second = regressor(valid_fraction=0.25).fit(x, y), regressor(valid_fraction=0.25).fit(x, changed)
    assert same(first, second)
    assert second.history_[-1]["valid_loss"] > 100 > first.history_[-1]["valid_loss"]
    assert same(first, regressor().fit(x[:30], y[:30]))
