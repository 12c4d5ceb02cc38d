"""A backbone as a C program for a contender: ours, and calls of CMSIS-NN's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from spela_mcu.backbone.add import Add
from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.fully_connected import FullyConnected
from spela_mcu.backbone.operator import LoweredOperator, WeightedOperator
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.pool import AveragePool
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN
from spela_mcu.backbone.structures import (
    SAMPLE,
    OperatorStructure,
    operator_structure,
)
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.layout import rounded_up


def our_source(plan: BackbonePlan) -> str:
    """The tables, and the two functions that are called."""
    offsets = [SAMPLE, *(one.offset for one in plan.activations[1:])]
    tables: list[str] = []
    operators: list[str] = []
    for number, step in enumerate(plan.steps):
        made = operator_structure(
            step.operator,
            tuple(offsets[index] for index in step.sources),
            offsets[step.target],
            step.scratch,
        )
        tables += _our_tables(number, made)
        members = [f".{name} = {value}" for name, value in made.scalars.items()]
        members += [f".constants = constants_{number}"] * (made.constants is not None)
        members += [f".channels = channels_{number}"] * bool(made.channels.size)
        operators.append("    {" + ", ".join(members) + "},")
    return "\n".join(
        [
            '#include "spela_backbone.h"',
            *tables,
            "static const spela_operator_t operators[] = {",
            *operators,
            "};",
            "static const spela_backbone_t backbone = {operators, NULL, "
            f"{plan.arena_bytes}U, {plan.sample.shape.size}U, {plan.features.shape.size}U, "
            f"{plan.features.offset}U, {len(plan.steps)}U}};",
            f"static uint64_t arena[{rounded_up(plan.arena_bytes, 8) // 8}];",
            "uint32_t benchmark_start(void);",
            "const int8_t *benchmark_run(const int8_t *sample);",
            "uint32_t benchmark_start(void) {",
            "    return spela_backbone_is_valid(&backbone) ? sizeof arena : 0U;",
            "}",
            "const int8_t *benchmark_run(const int8_t *sample) {",
            "    return spela_backbone_run(&backbone, sample, arena);",
            "}",
            "",
        ]
    )


def _our_tables(number: int, made: OperatorStructure) -> Iterable[str]:
    if made.constants is not None:
        kind, content = made.constants
        values = np.frombuffer(content, np.dtype(kind).newbyteorder("<")).tolist()
        yield _table(f"{kind}_t", f"constants_{number}", values)
    if made.channels.size:
        records = ", ".join("{" + ", ".join(map(_int32, one)) + "}" for one in made.channels)
        yield f"static const spela_channel_t channels_{number}[] = {{{records}}};"


def _int32(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def _table(kind: str, name: str, values: Sequence[int]) -> str:
    shown = ", ".join(map(_int32, values))
    return f"static const {kind} {name}[] __attribute__((aligned(4))) = {{{shown}}};"


def their_source(plan: BackbonePlan) -> str:
    """Calls as TensorFlow Lite Micro makes them with CMSIS-NN, each map in memory of its own.

    Raises:
        UserError: it holds an operator that this does not write.
    """
    tables: list[str] = []
    calls: list[str] = []
    sizes: list[str] = []
    for number, step in enumerate(plan.steps):
        own, call, size = _their_step(number, step.operator)
        tables += own
        names = [
            "sample" if index == 0 else f"map_{index}" for index in (*step.sources, step.target)
        ]
        tables.append(f"static int8_t map_{step.target}[{step.operator.output.size}];")
        calls.append("    " + call(*names) + ";")
        sizes.append(size)
    return "\n".join(
        [
            '#include "arm_nnfunctions.h"',
            '#include "arm_nnsupportfunctions.h"',
            "static int8_t scratch[0x20000] __attribute__((aligned(16)));",
            "static cmsis_nn_context context = {scratch, sizeof scratch};",
            *tables,
            "uint32_t benchmark_start(void) {",
            "    int32_t most = 0, size;",
            *(f"    size = {size}; most = size > most ? size : most;" for size in sizes if size),
            f"    return {_maps_alive(plan)}U + (uint32_t)most;",
            "}",
            "const int8_t *benchmark_run(const int8_t *sample) {",
            *calls,
            f"    return map_{plan.steps[-1].target};",
            "}",
            "",
        ]
    )


def _maps_alive(plan: BackbonePlan) -> int:
    """The most bytes of maps that live at the same time, the sample included."""
    last = {index: number for number, step in enumerate(plan.steps) for index in step.sources}
    return max(
        sum(
            one.shape.size
            for index, one in enumerate(plan.activations)
            if index - 1 <= number <= last.get(index, index - 1)
        )
        for number in range(len(plan.steps))
    )


def _dims(name: str, *values: int) -> str:
    return f"static const cmsis_nn_dims {name} = {{{', '.join(map(str, values))}}};"


def _their_step(
    number: int, operator: LoweredOperator
) -> tuple[list[str], Callable[..., str], str]:
    """Tables, the call with the names of its maps, and the expression for its buffer's size."""
    source, output = operator.input, operator.output
    tables = [
        _dims(f"in_{number}", 1, *source),
        _dims(f"out_{number}", 1, *output),
    ]
    least = getattr(operator, "activation_min", INT8_MIN)
    greatest = getattr(operator, "activation_max", INT8_MAX)
    clamp = f"{{{least}, {greatest}}}"
    if isinstance(operator, WeightedOperator):
        weights = operator.weights.reshape(-1).tolist()
        tables += [
            _table("int8_t", f"weights_{number}", weights),
            _table("int32_t", f"bias_{number}", operator.bias.tolist()),
            _table("int32_t", f"multiplier_{number}", operator.multiplier.tolist()),
            _table("int32_t", f"shift_{number}", operator.shift.tolist()),
            _dims(f"bias_dims_{number}", output.channels, 1, 1, 1),
        ]
        offsets = f"{operator.input_offset}, {operator.output_offset}"
    quantization = f"{{(int32_t *)multiplier_{number}, (int32_t *)shift_{number}}}"
    if isinstance(operator, Convolution | Depthwise):
        window = operator.window
        window_text = ", ".join(
            f"{{{pair.width}, {pair.height}}}"
            for pair in (window.stride, window.padding, window.dilation)
        )
        is_depthwise = isinstance(operator, Depthwise)
        name = "depthwise_conv" if is_depthwise else "convolve"
        kind = "dw_conv" if is_depthwise else "conv"
        copies = f"{operator.channel_multiplier}, " if isinstance(operator, Depthwise) else ""
        filter_dims = (
            (1, *window.size, output.channels)
            if is_depthwise
            else (output.channels, *window.size, source.channels)
        )
        tables += [
            _dims(f"filter_{number}", *filter_dims),
            f"static const cmsis_nn_{kind}_params params_{number} = "
            f"{{{offsets}, {copies}{window_text}, {clamp}}};",
            f"static const cmsis_nn_per_channel_quant_params quantization_{number} = "
            f"{quantization};",
        ]
        common = f"&params_{number}, &quantization_{number}, &in_{number}"
        rest = (
            f"&filter_{number}, weights_{number}, &bias_dims_{number}, bias_{number}, &out_{number}"
        )
        return (
            tables,
            lambda a, t: f"arm_{name}_wrapper_s8(&context, {common}, {a}, {rest}, {t})",
            f"arm_{name}_wrapper_s8_get_buffer_size(&params_{number}, &in_{number}, "
            f"&filter_{number}, &out_{number})",
        )
    if isinstance(operator, AveragePool):
        window = operator.window
        tables += [
            _dims(f"filter_{number}", 1, *window.size, 1),
            f"static const cmsis_nn_pool_params params_{number} = {{{{{window.stride.width}, "
            f"{window.stride.height}}}, {{{window.padding.width}, {window.padding.height}}}, "
            f"{clamp}}};",
        ]
        return (
            tables,
            lambda a, t: (
                f"arm_avgpool_s8(&context, &params_{number}, &in_{number}, {a}, "
                f"&filter_{number}, &out_{number}, {t})"
            ),
            f"arm_avgpool_s8_get_buffer_size({output.width}, {source.channels})",
        )
    if isinstance(operator, Add):
        numbers = ", ".join(
            f"{one.offset}, {one.multiplier}, {one.shift}" for one in operator.addends
        )
        rest = (
            f"{operator.output_offset}, {operator.multiplier}, {operator.shift}, "
            f"{operator.activation_min}, {operator.activation_max}, {output.size}"
        )
        return (
            tables,
            lambda a, b, t: f"arm_elementwise_add_s8({a}, {b}, {numbers}, 20, {t}, {rest})",
            "",
        )
    if isinstance(operator, FullyConnected):
        tables += [
            _dims(f"filter_{number}", source.size, 1, 1, output.channels),
            _dims(f"flat_{number}", 1, 1, 1, source.size),
            f"static const cmsis_nn_fc_params params_{number} = "
            f"{{{operator.input_offset}, 0, {operator.output_offset}, {clamp}}};",
            f"static const cmsis_nn_per_tensor_quant_params quantization_{number} = "
            f"{{{operator.multiplier[0]}, {operator.shift[0]}}};",
        ]
        return (
            tables,
            lambda a, t: (
                f"arm_fully_connected_s8(&context, &params_{number}, "
                f"&quantization_{number}, &flat_{number}, {a}, &filter_{number}, weights_{number}, "
                f"&bias_dims_{number}, bias_{number}, &out_{number}, {t})"
            ),
            f"arm_fully_connected_s8_get_buffer_size(&filter_{number})",
        )
    kind = type(operator).__name__
    raise UserError(f"{kind} is not written for CMSIS-NN", mend="leave --cmsis-nn out")
