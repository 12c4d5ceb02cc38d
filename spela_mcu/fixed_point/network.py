"""The integer network: the definition that every other implementation is compared with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spela_mcu.data.arguments import class_label, int8_sample
from spela_mcu.data.dataset import INPUT_MAX
from spela_mcu.fixed_point.arithmetic import Int64, activate, draw, exact_product
from spela_mcu.fixed_point.classifier import Classifier
from spela_mcu.fixed_point.continual import (
    FORGET_DRAWN,
    FORGET_PASSES,
    FORGET_REHEARSED,
    ClassState,
    ContinualPlan,
    Slot,
    draw_below,
    draw_class,
    initial_classes,
    initial_deviation,
    keep,
    memory_content,
    table_content,
)
from spela_mcu.fixed_point.convolution import Map, Reading, convolve, read_out
from spela_mcu.fixed_point.convolution_learning import (
    apply_sums,
    factors,
    filter_sums,
)
from spela_mcu.fixed_point.exit_answer import ExitAnswer, exit_answer, first_sure
from spela_mcu.fixed_point.layer import ConvolutionPlan, MatrixPlan
from spela_mcu.fixed_point.layer_state import COUNTER_MAX, LayerState
from spela_mcu.fixed_point.layout import pack
from spela_mcu.fixed_point.learning import (
    NO_CLASS,
    Output,
    PendingUpdate,
    UpdateCount,
    apply,
    best_class,
    best_classes,
    direction,
    dither,
    multipliers,
)
from spela_mcu.fixed_point.means import draw_near, follow
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.fixed_point.quantization import LayerQuantization, QuantizationCounts


def untrained_weights(layer: MatrixPlan) -> Int64:
    """Seeded uniform weights over the whole range, int64 [units, inputs], drawn row by row."""
    states, _ = draw(layer.seed, layer.units * layer.inputs)
    top = (states.view(np.int32) >> (32 - layer.weight_bits)).astype(np.int64)
    top += layer.weight_min + (1 << (layer.weight_bits - 1))  # of int12, the range begins lower
    return top.reshape(layer.units, layer.inputs)


def quantize_weights(layer: MatrixPlan, weights: NDArray[np.float32]) -> Int64:
    """Float weights [units, inputs] to integers: nearest, at most weight_max in magnitude."""
    scaled = np.rint(weights.astype(np.float64) * layer.weight_scale)
    return np.clip(scaled, -layer.weight_max, layer.weight_max).astype(np.int64)


@dataclass
class IntegerNetwork(Classifier):
    """A SPELA network in integers that infers and learns as the chip does.

    Attributes:
        plan: the network's formats.
        initial: the weights of each of the plan's matrices at the start, int64 [units, inputs];
            `reset` returns there.
        layers: each matrix's learned state.
        dither_state: state of the generator of stochastic rounding.
        samples: samples taught.
        classes: what is known of each class; all are active where they do not come and go.
        deviation: of samples from the means of their classes, [inputs], Q8.8; 0 without means.
        limits: of each exit, Q1.14 times 2^16, where they follow what is taught; else empty.
        counts: quantisation's effects, per matrix.
    """

    plan: FixedPointPlan
    initial: tuple[Int64, ...]
    layers: list[LayerState] = field(init=False)
    dither_state: int = field(init=False)
    samples: int = field(init=False)
    classes: list[ClassState] = field(init=False)
    deviation: Int64 = field(init=False)
    limits: list[int] = field(init=False)
    counts: list[QuantizationCounts] = field(init=False)

    def __post_init__(self) -> None:
        for layer, weights in zip(self.plan.matrices, self.initial, strict=True):
            if weights.shape != (layer.units, layer.inputs):
                raise ValueError(f"weights are {weights.shape}, not {layer.units, layer.inputs}")
            if weights.min() < layer.weight_min or weights.max() > layer.weight_max:
                raise ValueError(f"weights do not fit {layer.weight_bits} bits")
        self.reset()

    @classmethod
    def untrained(cls, plan: FixedPointPlan) -> Self:
        """A network with seeded random weights."""
        return cls(plan, tuple(untrained_weights(matrix) for matrix in plan.matrices))

    @classmethod
    def quantized(cls, plan: FixedPointPlan, weights: list[NDArray[np.float32]]) -> Self:
        """A network that starts from float weights [units, inputs], one array per matrix."""
        return cls(
            plan,
            tuple(quantize_weights(*pair) for pair in zip(plan.matrices, weights, strict=True)),
        )

    def inferring(self) -> Self:
        """The network at its start as one that only infers (`FixedPointPlan.inferring`)."""
        pairs = zip(self.plan.matrices, self.initial, strict=True)
        return type(self)(
            self.plan.inferring(), tuple(matrix.answering(weights) for matrix, weights in pairs)
        )

    def reset(self) -> None:
        """Forgets everything learned."""
        self.layers = [LayerState(weights.copy()) for weights in self.initial]
        self.dither_state = self.plan.dither_seed
        self.samples = 0
        self.classes = initial_classes(self.plan.continual, self.plan.classes)
        self.deviation = initial_deviation(self.plan.continual, self.plan.inputs)
        unknown = None if self.plan.continual is None else self.plan.continual.unknown
        self.limits = [] if unknown is None else [limit << 16 for limit in unknown.limits]
        self.counts = [QuantizationCounts() for _ in self.plan.matrices]

    # -------------------------------------------------------------------- inference

    def _dense(self, index: int, inputs: Int64) -> Output:
        layer, weights = self.plan.layers[index], self._weights(index)
        activation = activate(weights @ inputs, layer.leak_shift)
        return Output(activation, layer.exit.embedding @ activation.values)

    def _weights(self, index: int) -> Int64:
        return self.layers[self.plan.matrix_index(index)].weights

    def convolve(self, index: int, values: Int64) -> tuple[Map, Reading]:
        """What a convolution makes of its inputs [map], and what its read-out makes of that."""
        layer, own = self.plan.layers[index], self.plan.matrix_index(index)
        assert layer.convolution is not None
        map = convolve(layer.convolution, self.layers[own - 1].weights, values)
        return map, read_out(layer, self.layers[own].weights, map)

    def _forward(self, index: int, values: Int64) -> tuple[Output, Int64]:
        """A layer's answer, and what it hands on."""
        if self.plan.layers[index].convolution is None:
            output = self._dense(index, values)
            return output, output.activation.values
        map, reading = self.convolve(index, values)
        return reading.output, map.values

    def _infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        self.flush()
        first = first_inputs(self.plan, sample)
        values, answers = first, []
        for index, layer in enumerate(self.plan.layers):
            output, values = self._forward(index, self.plan.read(index, first, values))
            answers.append(exit_answer(layer, output, self.active))
        return tuple(answers)

    def _predict_exits(self, samples: NDArray[np.int8]) -> NDArray[np.int64]:
        self.flush()
        values = first = first_inputs(self.plan, samples)
        labels = np.empty((len(self.plan.layers), len(values)), np.int64)
        for index, layer in enumerate(self.plan.layers):
            values = self.plan.read(index, first, values)
            if layer.convolution is None:
                sums = exact_product(values, self._weights(index).T)
                activations = [activate(row, layer.leak_shift).values for row in sums]
                values = np.array(activations, np.int64).reshape(sums.shape)
                scores = exact_product(values, layer.exit.embedding.T)
                labels[index] = best_classes(scores, self.active)
            else:
                found = [self._forward(index, sample) for sample in values]
                every = np.array([output.scores for output, _ in found])
                labels[index] = best_classes(every, self.active)
                values = np.array([onward for _, onward in found])
        return labels

    # --------------------------------------------------------------------- learning

    def _learn(self, sample: NDArray[np.int8], label: int) -> int:
        return self._teach(sample, label).label

    def learn_answering(self, sample: ArrayLike, label: int) -> ExitAnswer:
        """As `learn`; returns all that the last exit said before, as spela_learn does."""
        values = int8_sample(sample, self.plan.inputs)
        return self._teach(values, class_label(label, self.plan.classes))

    def _teach(self, sample: NDArray[np.int8], label: int) -> ExitAnswer:
        """Learns a checked sample, and rehearses; returns what the last exit said before."""
        continual, one = self.plan.continual, self.classes[label]
        one.is_active = True
        outputs = self._step(sample, label)
        said = exit_answer(self.plan.layers[-1], outputs[-1], self.active)
        if continual is not None:
            self._follow(outputs, label)
            self._rehearse(continual.ratio)
            self._keep(continual, one, sample)
        self.samples = min(self.samples + 1, COUNTER_MAX)
        return said

    def _keep(self, plan: ContinualPlan, one: ClassState, sample: NDArray[np.int8]) -> None:
        """Counts a sample that was taught; the memory takes it or not."""
        if plan.keeps_means:
            seen = sum(each.seen for each in self.classes)
            self.deviation = follow(one, self.deviation, sample, seen)
        else:
            self.dither_state = keep(one, sample, plan.capacity, self.dither_state)

    def _follow(self, outputs: list[Output], label: int) -> None:
        """Has the limit of the exit that would have answered follow, if that was right."""
        assert self.plan.continual is not None
        unknown = self.plan.continual.unknown
        if unknown is None:
            return
        index, said = first_sure(
            self.plan,
            [
                exit_answer(layer, output, self.active)
                for layer, output in zip(self.plan.layers, outputs, strict=True)
            ],
        )
        if said.label == label:
            self.limits[index] = unknown.followed(self.limits[index], said.cosine, said.margin)

    def is_unknown(self, exit: int, answer: ExitAnswer) -> bool:
        """Whether an exit's answer is below its limit, if limits follow what is taught."""
        unknown = None if self.plan.continual is None else self.plan.continual.unknown
        if unknown is None:
            return False
        return unknown.is_below(self.limits[exit], answer.cosine, answer.margin)

    def wants_label(self, label: int, margin: int) -> bool:
        """Whether it is worth to ask for the label of a sample, by what was answered.

        The answer was not sure enough for learning to have nothing to do; or it was not sure, and
        of a class that few samples were seen of.

        Args:
            label: that was answered.
            margin: Q1.14.
        """
        theta = self.plan.margin
        if label >= self.plan.classes or margin < theta:
            return True
        active = sum(one.is_active for one in self.classes)
        seen = sum(one.seen for one in self.classes)
        return 2 * self.classes[label].seen * active < seen and margin < 2 * theta

    def _step(self, sample: NDArray[np.int8], label: int) -> list[Output]:
        """Has all layers learn a sample; returns the exits' outputs from before."""
        outputs = []
        values = first = first_inputs(self.plan, sample)
        for index, layer in enumerate(self.plan.layers):
            values = self.plan.read(index, first, values)
            if layer.convolution is None:
                output = self._dense(index, values)
                self._learn_layer(index, values, output, label)
                values = output.activation.values  # as it was before the update
            else:
                map, reading = self.convolve(index, values)
                self._learn_convolution(index, map, reading, label)
                output, values = reading.output, map.values
            outputs.append(output)
        return outputs

    def _rate_halvings(self) -> int:
        """Held for `rate_halvings` intervals, then halved once per interval."""
        if self.plan.halve_rate_every == 0:
            return 0
        most = self.plan.rate_halvings
        intervals = self.samples // self.plan.halve_rate_every
        return min(max(intervals - most + 1, 0), most)

    def _rate_shift(self, matrix: int) -> int:
        """The rate's current shift, halvings of weights and rate included."""
        rescalings = 0 if self.plan.weight_decay else self.layers[matrix].halvings
        learner = self.plan.matrices[matrix].learner
        return learner.rate_shift + 2 * rescalings + self._rate_halvings()

    def _learn_layer(self, index: int, inputs: Int64, output: Output, label: int) -> None:
        plan, own = self.plan, self.plan.matrix_index(index)
        if output.activation.squared_norm == 0:
            self.counts[own].silent += 1
        factors = multipliers(
            plan, plan.layers[index], output, label, self._rate_shift(own), active=self.active
        )
        if factors is not None:
            self._count(own, factors.clipped)
            self._add(own, PendingUpdate(inputs, factors.values))

    def _learn_convolution(self, index: int, map: Map, reading: Reading, label: int) -> None:
        """The read-out learns as a dense layer does, then the filters from its error."""
        plan, layer, own = self.plan, self.plan.layers[index], self.plan.matrix_index(index)
        assert layer.convolution is not None
        if reading.output.activation.squared_norm == 0:
            self.counts[own].silent += 1
        towards = direction(plan, layer, reading.output, label, active=self.active)
        if towards is None:
            return
        found = factors(
            layer,
            map,
            reading,
            towards,
            self.layers[own].weights,
            readout_rate_shift=self._rate_shift(own),
            filters_rate_shift=self._rate_shift(own - 1),
        )
        self._count(own, found.readout_clipped)
        self._count(own - 1, found.filters_clipped)
        self._add(own, PendingUpdate(reading.cells.values, found.readout))
        sums = filter_sums(layer.convolution, map, found.filters)
        self._apply_sums(own - 1, layer.convolution, sums)

    def _apply_sums(self, matrix: int, filters: ConvolutionPlan, sums: Int64) -> None:
        """Rounds and applies the exact update [filters, patch] of a convolution's filters."""
        noise, self.dither_state = dither(self.plan, filters, self.dither_state)
        done = apply_sums(filters, self.layers[matrix].weights, sums, noise)
        self._applied(matrix, done, 1)

    def _count(self, matrix: int, clipped: int) -> None:
        self.counts[matrix].layer_updates += 1
        self.counts[matrix].multipliers_clipped += clipped

    def _add(self, matrix: int, update: PendingUpdate) -> None:
        state = self.layers[matrix]
        state.pending.append(update)
        if len(state.pending) == self.plan.batch:
            self._apply(matrix)

    def flush(self) -> None:
        """Applies all pending updates; inference does so by itself."""
        for index, state in enumerate(self.layers):
            if state.pending:
                self._apply(index)

    def _apply(self, index: int) -> None:
        """Applies a matrix's pending updates, one or more."""
        matrix, state = self.plan.matrices[index], self.layers[index]
        noise, self.dither_state = dither(self.plan, matrix, self.dither_state)
        done = apply(matrix, state.weights, state.pending, noise)
        count = len(state.pending)
        state.pending = []
        self._applied(index, done, count)

    def _applied(self, index: int, done: UpdateCount, count: int) -> None:
        self.counts[index].count_applied(done, count, self.plan.batch)
        self.layers[index].scan(self.plan.matrices[index], count, decays=self.plan.weight_decay)

    def saturated(self, index: int) -> int:
        """How many weights of a matrix are at an end of their range."""
        return self.layers[index].saturated(self.plan.matrices[index])

    def quantization(self) -> tuple[LayerQuantization, ...]:
        """The integer format's effect on each matrix's learning, since the start."""
        return tuple(
            LayerQuantization(
                updates=counts.layer_updates,
                applications=counts.applications,
                flushed=counts.flushed,
                rounded_to_zero=counts.updates_rounded_to_zero / max(counts.updates_made, 1),
                saturated=counts.updates_saturated / max(counts.updates_made, 1),
                multipliers_clipped=counts.multipliers_clipped,
                halvings=state.halvings,
                weights_at_end=self.saturated(index) / state.weights.size,
                silent=counts.silent,
            )
            for index, (counts, state) in enumerate(zip(self.counts, self.layers, strict=True))
        )

    # ---------------------------------------------------------------------- classes

    @property
    def active(self) -> NDArray[np.bool_] | None:
        """Which classes are active, [classes]; None: all, as ever."""
        if self.plan.continual is None:
            return None
        return np.array([one.is_active for one in self.classes])

    def add_class(self) -> int:
        """Makes the first spare class active; returns its label.

        Raises:
            ValueError: no class is spare.
        """
        for label, one in enumerate(self.classes):
            if not one.is_active:
                one.is_active = True
                return label
        raise ValueError("no class is spare")

    def rehearse(self, steps: int) -> None:
        """Learns so many samples of the memory again.

        Raises:
            ValueError: it is empty.
        """
        if not self._rehearse(steps):
            raise ValueError("there is nothing to rehearse")

    def _rehearse(self, steps: int, other_than: int | None = None) -> bool:
        """Rehearses all classes but one; says whether the memory holds any sample of them."""
        for _ in range(steps):
            drawn = draw_class(self.classes, self.dither_state, other_than)
            if drawn is None:
                return False
            label, self.dither_state = drawn
            slot, slots = 0, self.classes[label].slots
            if not self.plan.keeps_means:
                slot, self.dither_state = draw_below(self.dither_state, len(slots))
            self._step(self._recall(slots[slot]), label)
        return True

    def _recall(self, slot: Slot) -> NDArray[np.int8]:
        """What a slot of the memory has to rehearse: near a mean, it is drawn."""
        if not self.plan.keeps_means:
            return slot.astype(np.int8)
        sample, self.dither_state = draw_near(slot, self.deviation, self.dither_state)
        return sample

    def forget(self, label: int) -> None:
        """Forgets a class: it is spare from now on, and its samples leave the memory.

        Before, each of these is taught as one of the other class that it is most like.

        Raises:
            ValueError: it is not active, or classes do not come and go.
        """
        label = class_label(label, self.plan.classes)
        if self.plan.continual is None:
            raise ValueError("the network's classes stay as they are")
        if not self.classes[label].is_active:
            raise ValueError(f"class {label} is not active")
        drawn = FORGET_DRAWN if self.plan.keeps_means else 1
        for slot in self.classes[label].slots * (drawn * FORGET_PASSES):
            sample = self._recall(slot)
            other = best_class(self._last_scores(sample), other_than=label, active=self.active)
            if other == NO_CLASS:  # the class is the only one
                break
            self._step(sample, other)
            self._rehearse(FORGET_REHEARSED, other_than=label)
        self.classes[label] = ClassState()

    def _last_scores(self, sample: NDArray[np.int8]) -> Int64:
        """The last exit's scores of a sample, without applying what is pending."""
        values = first = first_inputs(self.plan, sample)
        for index in range(len(self.plan.layers)):
            output, values = self._forward(index, self.plan.read(index, first, values))
        return output.scores

    # ------------------------------------------------------------------------ state

    def packed_weights(self, index: int) -> bytes:
        """A matrix's weights as they lie in the chip's memory."""
        return pack(self.layers[index].weights, self.plan.matrices[index].format)

    def digest(self) -> int:
        """CRC-32 of the learned state (docs/arithmetic.md, section 7)."""
        crc = zlib.crc32(np.array([self.dither_state, self.samples], "<u4").tobytes())
        for index, state in enumerate(self.layers):
            crc = zlib.crc32(np.array([state.updates, state.halvings], "<u4").tobytes(), crc)
            crc = zlib.crc32(self.packed_weights(index), crc)
            if self.plan.batch > 1:
                crc = zlib.crc32(np.array([len(state.pending)], "<u4").tobytes(), crc)
                for update in state.pending:
                    crc = zlib.crc32(update.to_bytes(), crc)
        if self.plan.continual is not None:
            crc = zlib.crc32(table_content(self.classes), crc)
            crc = zlib.crc32(np.array(self.limits, "<i4").tobytes(), crc)
            if self.plan.keeps_means:
                crc = zlib.crc32(memory_content([self.deviation.astype(np.uint16)]), crc)
            for one in self.classes:
                crc = zlib.crc32(memory_content(one.slots), crc)
        return crc


def first_inputs(plan: FixedPointPlan, samples: NDArray[np.int8]) -> Int64:
    """The first layer's inputs for samples [..., inputs]: the constant of a bias comes last."""
    beside = [(0, 0)] * (samples.ndim - 1) + [(0, int(plan.bias))]
    return np.pad(samples.astype(np.int64), beside, constant_values=INPUT_MAX)
