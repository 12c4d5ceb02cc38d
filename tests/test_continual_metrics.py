"""The figures of continual learning, worked by hand, and the streams that they are measured on."""

import numpy as np
import pytest

from spela_mcu.continual.metrics import AccuracyMatrix
from spela_mcu.continual.stream import INSTANCE_EXPERIENCES, Shape, make_stream
from spela_mcu.continual.yardsticks import ClassMeans, NearestNeighbours, Reservoir
from spela_mcu.data.dataset import Dataset, InputScaling, Split
from spela_mcu.errors import UserError

ROWS = np.array([[0.9, 0.3, 0.2], [0.6, 0.8, 0.4], [0.7, 0.5, 0.6]])
UNTRAINED = np.array([0.1, 0.2, 0.1])
TESTED = np.array([40, 20, 20])


def matrix(rows=ROWS, *, new_classes=False, tested=TESTED):
    count = len(rows)
    return AccuracyMatrix(np.asarray(rows), UNTRAINED[:count], tested[:count], new_classes)


def test_average_accuracy_is_that_of_lopez_paz_and_ranzato():
    assert matrix().average == pytest.approx((0.7 + 0.5 + 0.6) / 3)


def test_backward_transfer_is_that_of_lopez_paz_and_ranzato():
    assert matrix().backward_transfer == pytest.approx(((0.7 - 0.9) + (0.5 - 0.8)) / 2)


def test_forward_transfer_is_that_of_lopez_paz_and_ranzato():
    assert matrix().forward_transfer == pytest.approx(((0.3 - 0.2) + (0.4 - 0.1)) / 2)


def test_forgetting_is_that_of_chaudhry_and_others():
    # the maxima over the rows before the last: 0.9 and 0.8
    assert matrix().forgetting == pytest.approx(((0.9 - 0.7) + (0.8 - 0.5)) / 2)


def test_forgetting_counts_from_the_best_which_may_be_before_the_experience_itself():
    rows = np.array([[0.9, 0.8, 0.0], [0.9, 0.6, 0.0], [0.9, 0.5, 0.6]])
    assert matrix(rows).forgetting == pytest.approx((0.0 + 0.3) / 2)
    assert matrix(rows).backward_transfer == pytest.approx((0.0 - 0.1) / 2)


def test_what_was_learned_later_can_help_what_was_learned_earlier():
    rows = np.array([[0.5, 0.0], [0.75, 0.9]])
    assert matrix(rows).forgetting == pytest.approx(-0.25)
    assert matrix(rows).backward_transfer == pytest.approx(0.25)


def test_seen_weighs_experiences_by_their_samples():
    seen = matrix().seen
    assert seen == pytest.approx([0.9, (40 * 0.6 + 20 * 0.8) / 60, (28 + 10 + 12) / 80])
    assert matrix().final == pytest.approx(50 / 80)


def test_the_first_experience_and_the_later_ones():
    assert matrix().first_lost == pytest.approx(0.2)
    assert matrix().later == pytest.approx((20 * 0.5 + 20 * 0.6) / 40)


def test_new_classes_have_no_forward_transfer():
    assert matrix(new_classes=True).forward_transfer is None


def test_a_learner_of_everything_at_once_has_an_end_and_no_course():
    rows = np.full((3, 3), np.nan)
    rows[-1] = [0.9, 0.8, 0.7]
    found = matrix(rows)
    assert found.average == pytest.approx(0.8)
    assert found.final == pytest.approx((36 + 16 + 14) / 80)
    assert found.later == pytest.approx(0.75)
    course = found.forgetting, found.backward_transfer, found.forward_transfer, found.first_lost
    assert course == (None,) * 4


# ---------------------------------------------------------------------------------- streams


def split(per_class, classes, offset=0, groups=None):
    """Samples of two values: the class, and a number of their own."""
    y = np.tile(np.arange(classes), per_class)
    x = np.stack([y / 16, (offset + np.arange(len(y))) / 1024], axis=1).astype(np.float32)
    return Split(x, y, groups=groups)


def dataset(classes=5, groups=None):
    scaling = InputScaling(np.zeros(2, np.float32), np.ones(2, np.float32))
    names = tuple("abcdefgh"[:classes])
    train, validation = split(12, classes), split(2, classes, 200)
    test = split(10, classes, 400, groups)
    return Dataset("toy", (2,), names, scaling, train, validation, test)


def truth(part):
    """The classes of the data set, whatever number a stream gave them."""
    return np.rint(part.x[:, 0] * 16).astype(int)


def test_class_incremental_experiences_share_no_class_and_lose_no_sample():
    stream = make_stream("class-incremental", dataset(), Shape(first=2, group=2), seed=3)
    sets = [set(one.train.y) for one in stream.experiences]
    assert sets == [{0, 1}, {2, 3}, {4}]
    assert [set(one.test.y) for one in stream.experiences] == sets
    assert len(stream.everything.train) == 60
    assert stream.start.classes == 2
    assert set(stream.start.validation.y) == {0, 1}
    for one in stream.experiences:
        named = [stream.everything.class_names[label] for label in one.train.y]
        assert named == ["abcdefgh"[label] for label in truth(one.train)]


def test_each_seed_brings_the_classes_in_another_order():
    orders = {
        make_stream("class-incremental", dataset(), Shape(), seed).everything.class_names
        for seed in range(4)
    }
    assert len(orders) > 1


def test_half_of_the_classes_come_first_unless_told_otherwise():
    stream = make_stream("class-incremental", dataset(), Shape(), seed=0)
    assert (stream.start.classes, len(stream.later)) == (3, 2)


def test_shots_limit_what_later_experiences_learn_from():
    stream = make_stream("class-incremental", dataset(), Shape(first=3, shots=4), seed=0)
    assert [len(one.train) for one in stream.experiences] == [36, 4, 4]
    assert [len(one.test) for one in stream.experiences] == [30, 10, 10]


@pytest.mark.parametrize("first", [1, 5, 6])
def test_a_first_experience_of_no_or_all_classes_is_refused(first):
    with pytest.raises(UserError, match="first of several experiences"):
        make_stream("class-incremental", dataset(), Shape(first=first), seed=0)


def test_new_instances_of_all_classes_are_shared_out():
    stream = make_stream("new-instance", dataset(), Shape(), seed=1)
    parts = list(stream.experiences)
    assert len(parts) == INSTANCE_EXPERIENCES
    for which in ("train", "test"):
        numbers = np.concatenate([getattr(one, which).x[:, 1] for one in parts])
        assert len(np.unique(numbers)) == len(getattr(dataset(), which))
    assert all(set(one.test.y) == set(range(5)) for one in parts)


def test_new_instances_need_enough_samples():
    few = dataset()
    few = Dataset("toy", (2,), few.class_names, few.scaling, split(4, 5), few.validation, few.test)
    with pytest.raises(UserError, match="5 experiences need as many samples"):
        make_stream("new-instance", few, Shape(), seed=0)


def test_a_new_user_is_learned_from_the_first_half_and_tested_on_the_second():
    groups = np.repeat(["ann", "ben"], 25)
    stream = make_stream("new-user", dataset(groups=groups), Shape(), seed=0)
    assert {one.name for one in stream.later} == {"user ann", "user ben"}
    for one in stream.later:
        for label in range(5):
            learned = one.train.x[one.train.y == label, 1]
            tested = one.test.x[one.test.y == label, 1]
            # of five, the one between may overlap both
            assert (len(learned), len(tested)) == (2, 2)
            assert learned.max() < tested.min()


def test_new_users_need_groups():
    with pytest.raises(UserError, match="which samples are whose"):
        make_stream("new-user", dataset(), Shape(), seed=0)


# ------------------------------------------------------------------------------- yardsticks


def test_class_means_answer_the_class_with_the_nearest_mean():
    learner = ClassMeans(3, 2)
    x = np.array([[0, 0], [0.2, 0], [1, 1], [0.8, 1]], np.float32)
    learner.learn(Split(x, np.array([0, 0, 2, 2])))
    asked = Split(np.array([[0.3, 0.3], [0.7, 0.8]], np.float32), np.zeros(2, np.int64))
    assert learner.predict(asked).tolist() == [0, 2]


def test_neighbours_keep_no_more_than_they_may():
    learner = NearestNeighbours(capacity=2, classes=3, inputs=2, seed=0)
    learner.learn(split(12, 3))
    assert learner.bytes == 12
    assert len(learner.predict(split(1, 3))) == 3


def test_a_reservoir_keeps_every_sample_with_the_same_probability():
    kept = np.zeros(20)
    for seed in range(2000):
        one = Reservoir(5, seed)
        for number in range(20):
            one.add(np.array([number], np.int8), 0)
        samples, _ = one.content()
        kept[samples[:, 0]] += 1
    # 500 expected of each, with a standard deviation of sqrt(2000 * 1/4 * 3/4) = 19.4
    assert np.abs(kept - 500).max() < 5 * 19.4
