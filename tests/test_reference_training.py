"""Training of the float reference: what it reaches, when it stops, that it repeats."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference_data import blobs, dataset_of, digits, embeddings, model
from rich.console import Console

from spela_mcu.data.dataset import Split
from spela_mcu.errors import UserError
from spela_mcu.reference import training as training_module
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.training import online_learning_rates, train
from spela_mcu.spec.learning import Learning


def trained(spec, dataset, **options):
    return train(spec, dataset, embeddings(spec, dataset), progress=False, **options)


def assert_same_weights(one, other):
    for a, b in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)


# The bounds lie below the worst of several seeds: they find a broken rule, not a bad day.
@pytest.mark.parametrize(
    ("loss", "least"),
    [("margin", 0.94), ("softmax", 0.94), ("cosine", 0.90), ("log_cosine", 0.80)],
)
def test_digits_are_learned_with_the_default_rates(loss, least):
    dataset = digits()
    result = trained(model((64, 32), loss=loss, training={"epochs": 12}), dataset)
    accuracy = result.network.accuracy(dataset.test.x, dataset.test.y)
    assert min(accuracy) >= least, accuracy
    if loss == "margin":  # it spares work: most samples are learned in the end
        assert max(result.history[-1].updated) < 0.5
    else:
        assert all(record.updated == (1.0, 1.0) for record in result.history)


def test_training_repeats_bit_for_bit_whatever_the_number_of_threads():
    spec, dataset = model((16, 12), training={"epochs": 2}), digits()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first = trained(spec, dataset)
        assert torch.get_num_threads() == 2  # left as it was found
        torch.set_num_threads(1)
        second = trained(spec, dataset)
    finally:
        torch.set_num_threads(threads)
    assert first.history == second.history
    assert_same_weights(first.network, second.network)


@pytest.mark.parametrize("section", ["training", "network"])
def test_each_seed_makes_another_network(section):
    dataset = digits()
    spec = model((16, 12), training={"epochs": 1})
    seeded = getattr(spec, section).model_copy(update={"seed": 1})
    other = trained(spec.model_copy(update={section: seeded}), dataset)
    assert not np.array_equal(
        other.network.layers[0].weight, trained(spec, dataset).network.layers[0].weight
    )


def test_an_epoch_learns_every_sample_once_in_a_shuffled_order(monkeypatch):
    seen = []
    learn = FloatNetwork.learn

    def watched(self, x, y, learning_rate):
        seen.append((x.copy(), y.copy(), learning_rate))
        return learn(self, x, y, learning_rate)

    monkeypatch.setattr(FloatNetwork, "learn", watched)
    dataset = blobs(n=100)  # 50 to train on
    settings = {"epochs": 2, "batch_size": 16, "learning_rate": 0.5, "decay": 0.5}
    result = trained(model(training=settings), dataset)
    assert [len(y) for _, y, _ in seen] == [16, 16, 16, 2] * 2
    assert [rate for _, _, rate in seen] == [0.5] * 4 + [0.25] * 4
    assert [record.learning_rate for record in result.history] == [0.5, 0.25]
    orders = [np.concatenate([x for x, _, _ in seen[part]]) for part in (slice(4), slice(4, 8))]
    expected = dataset.train.x[np.lexsort(dataset.train.x.T)]
    for order in orders:
        assert not np.array_equal(order, dataset.train.x)
        np.testing.assert_array_equal(order[np.lexsort(order.T)], expected)
    assert not np.array_equal(*orders)


def history_of(monkeypatch, validation, **settings):
    """Trains with made-up validation accuracies, one per epoch, at the last exit."""
    script = iter(validation)

    def scripted(network, dataset, batches, epoch, learning_rate):
        network.layers[0].weight[:] = epoch
        exits = (1.0, next(script))  # the first exit must not decide
        return training_module.EpochRecord(epoch, learning_rate, exits, exits, exits)

    monkeypatch.setattr(training_module, "_train_epoch", scripted)
    result = trained(model((8, 8), training=settings), blobs())
    assert (result.network.layers[0].weight == result.best_epoch).all()
    return len(result.history), result.best_epoch


def test_it_stops_when_patience_is_spent_and_keeps_the_best_epoch(monkeypatch):
    validation = [0.5, 0.8, 0.7, 0.9, 0.6, 0.7, 0.8, 1.0]
    assert history_of(monkeypatch, validation, epochs=8, patience=3) == (7, 4)
    assert history_of(monkeypatch, validation, epochs=8, patience=4) == (8, 8)
    assert history_of(monkeypatch, validation, epochs=3, patience=9) == (3, 2)


def test_of_equal_epochs_the_last_is_kept_but_equal_is_no_progress(monkeypatch):
    assert history_of(monkeypatch, [0.9, 1.0, 1.0, 1.0, 1.0], epochs=5, patience=2) == (4, 4)
    assert history_of(monkeypatch, [0.0] * 5, epochs=5, patience=3) == (4, 4)


def test_the_kept_weights_are_those_of_the_best_epoch():
    spec, dataset = model((32, 24), training={"epochs": 6, "learning_rate": 5.0}), digits()
    result = trained(spec, dataset)
    best = result.history[result.best_epoch - 1]
    validation = result.network.accuracy(dataset.validation.x, dataset.validation.y)
    assert validation == best.validation_accuracy
    assert best.validation_accuracy[-1] == max(r.validation_accuracy[-1] for r in result.history)


def test_training_accuracy_is_counted_before_each_update():
    # One epoch of batches of one: the first sample of each is met by weights that never saw it.
    spec = model(training={"epochs": 1, "batch_size": 1, "learning_rate": 0.2})
    dataset = blobs()
    record = trained(spec, dataset).history[0]
    network = FloatNetwork.untrained(spec.network, 3, 3, embeddings(spec, dataset))
    order = np.random.default_rng(spec.training.seed).permutation(len(dataset.train))
    x, y = dataset.train.x[order], dataset.train.y[order]
    learned = network.learn_online(x, y, np.full(len(y), 0.2))
    assert record.train_accuracy == tuple((learned.predictions == y).mean(axis=1))
    assert record.updated == tuple(learned.updated.mean(axis=1))


def test_the_test_part_is_not_looked_at():
    dataset = blobs()
    spec = model(training={"epochs": 2})
    blind = replace(
        dataset, test=Split(np.full_like(dataset.test.x, np.nan), np.full_like(dataset.test.y, 99))
    )
    assert_same_weights(trained(spec, dataset).network, trained(spec, blind).network)


def test_overflow_is_said_and_mended():
    spec = model((8,) * 4)
    # Further than model.yaml lets a rate be: data of such a size would do it as well.
    training = spec.training.model_copy(update={"learning_rate": 1e38})
    with pytest.raises(UserError, match="overflowed in epoch 1") as caught:
        trained(spec.model_copy(update={"training": training}), blobs())
    assert caught.value.key == "training.learning_rate"
    assert "lower it" in caught.value.mend


@pytest.mark.parametrize("sizes", [(0, 10), (20, 0)])
def test_nothing_to_learn_or_validate_on(sizes):
    dataset = dataset_of(np.eye(30), np.arange(30) % 3, 3, sizes)
    with pytest.raises(UserError, match="part has no samples"):
        trained(model(), dataset)


def test_progress_is_shown_on_a_terminal_alone(monkeypatch, capsys):
    spec, dataset = model((8, 8), training={"epochs": 2}), blobs()
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    train(spec, dataset, embeddings(spec, dataset))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes standard error for a terminal
    monkeypatch.setattr("spela_mcu.progress.stderr", Console(stderr=True))
    result = train(spec, dataset, embeddings(spec, dataset))
    out, err = capsys.readouterr()
    assert not out
    first, last = result.history[-1].validation_accuracy
    assert "epoch 2/2" in err
    assert f"{first:.1%} / {last:.1%}" in err
    train(spec, dataset, embeddings(spec, dataset), progress=False)
    assert capsys.readouterr() == ("", "")


def test_learning_rates_of_the_device_are_halved_on_schedule():
    learning = Learning(learning_rate=0.5, halve_rate_every=3, rate_halvings=2)
    np.testing.assert_array_equal(
        online_learning_rates(learning, 14), [0.5] * 6 + [0.25] * 3 + [0.125] * 5
    )
    held = Learning(learning_rate=0.5, halve_rate_every=3, rate_halvings=0)
    np.testing.assert_array_equal(online_learning_rates(held, 14), [0.5] * 14)
    never = Learning(learning_rate=0.3, halve_rate_every=0)
    np.testing.assert_array_equal(online_learning_rates(never, 4), [0.3] * 4)
