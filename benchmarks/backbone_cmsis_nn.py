"""A backbone as a C program of calls of CMSIS-NN, as TensorFlow Lite Micro makes them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.backbone_source import table
from spela_mcu.backbone.add import Add
from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.fully_connected import FullyConnected
from spela_mcu.backbone.operator import LoweredOperator, WeightedOperator
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.pool import AveragePool
from spela_mcu.errors import UserError


@dataclass(frozen=True)
class Step:
    """One operator's part of the program.

    Attributes:
        tables: its constants.
        call: the call, to be formatted with the names of the maps that it reads and writes.
        buffer_bytes: an expression for the size of the buffer that it needs; empty for none.
    """

    tables: tuple[str, ...]
    call: str
    buffer_bytes: str = ""


def cmsis_nn_source(plan: BackbonePlan) -> str:
    """Calls as TensorFlow Lite Micro makes them with CMSIS-NN, each map in memory of its own.

    Raises:
        UserError: it holds an operator that this does not write.
    """
    tables: list[str] = []
    calls: list[str] = []
    sizes: list[str] = []
    for number, step in enumerate(plan.steps):
        made = _step(number, step.operator)
        tables += made.tables
        names = [
            "sample" if index == 0 else f"map_{index}" for index in (*step.sources, step.target)
        ]
        tables.append(f"static int8_t map_{step.target}[{step.operator.output.size}];")
        calls.append(f"    {made.call.format(*names)};")
        sizes.append(made.buffer_bytes)
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


def _step(number: int, operator: LoweredOperator) -> Step:
    match operator:
        case Convolution() | Depthwise():
            return _convolution(number, operator)
        case FullyConnected():
            return _fully_connected(number, operator)
        case AveragePool():
            return _average_pool(number, operator)
        case Add():
            return _add(number, operator)
    kind = type(operator).__name__
    raise UserError(f"{kind} is not written for CMSIS-NN", mend="leave --cmsis-nn out")


def _maps(number: int, operator: LoweredOperator) -> tuple[str, ...]:
    return (
        _dims(f"in_{number}", 1, *operator.input),
        _dims(f"out_{number}", 1, *operator.output),
    )


def _weights(number: int, operator: WeightedOperator) -> tuple[str, ...]:
    return (
        table("int8_t", f"weights_{number}", operator.weights.reshape(-1).tolist()),
        table("int32_t", f"bias_{number}", operator.bias.tolist()),
        table("int32_t", f"multiplier_{number}", operator.multiplier.tolist()),
        table("int32_t", f"shift_{number}", operator.shift.tolist()),
        _dims(f"bias_dims_{number}", operator.output.channels, 1, 1, 1),
    )


def _dims(name: str, *values: int) -> str:
    return f"static const cmsis_nn_dims {name} = {{{', '.join(map(str, values))}}};"


def _clamp(operator: WeightedOperator | AveragePool) -> str:
    return f"{{{operator.activation_min}, {operator.activation_max}}}"


def _convolution(number: int, operator: Convolution | Depthwise) -> Step:
    window, channels = operator.window, operator.output.channels
    pairs = ", ".join(
        f"{{{pair.width}, {pair.height}}}"
        for pair in (window.stride, window.padding, window.dilation)
    )
    if isinstance(operator, Depthwise):
        name, kind, copies = "depthwise_conv", "dw_conv", f"{operator.channel_multiplier}, "
        dims = (1, *window.size, channels)
    else:
        name, kind, copies = "convolve", "conv", ""
        dims = (channels, *window.size, operator.input.channels)
    offsets = f"{operator.input_offset}, {operator.output_offset}"
    tables = (
        *_maps(number, operator),
        *_weights(number, operator),
        _dims(f"filter_{number}", *dims),
        f"static const cmsis_nn_{kind}_params params_{number} = "
        f"{{{offsets}, {copies}{pairs}, {_clamp(operator)}}};",
        f"static const cmsis_nn_per_channel_quant_params quantization_{number} = "
        f"{{(int32_t *)multiplier_{number}, (int32_t *)shift_{number}}};",
    )
    call = (
        f"arm_{name}_wrapper_s8(&context, &params_{number}, &quantization_{number}, "
        f"&in_{number}, {{}}, &filter_{number}, weights_{number}, &bias_dims_{number}, "
        f"bias_{number}, &out_{number}, {{}})"
    )
    size = (
        f"arm_{name}_wrapper_s8_get_buffer_size(&params_{number}, &in_{number}, "
        f"&filter_{number}, &out_{number})"
    )
    return Step(tables, call, size)


def _fully_connected(number: int, operator: FullyConnected) -> Step:
    inputs, units = operator.input.size, operator.output.channels
    offsets = f"{operator.input_offset}, 0, {operator.output_offset}"
    tables = (
        *_maps(number, operator),
        *_weights(number, operator),
        _dims(f"filter_{number}", inputs, 1, 1, units),
        _dims(f"flat_{number}", 1, 1, 1, inputs),
        f"static const cmsis_nn_fc_params params_{number} = {{{offsets}, {_clamp(operator)}}};",
        f"static const cmsis_nn_per_tensor_quant_params quantization_{number} = "
        f"{{{operator.multiplier[0]}, {operator.shift[0]}}};",
    )
    call = (
        f"arm_fully_connected_s8(&context, &params_{number}, &quantization_{number}, "
        f"&flat_{number}, {{}}, &filter_{number}, weights_{number}, &bias_dims_{number}, "
        f"bias_{number}, &out_{number}, {{}})"
    )
    return Step(tables, call, f"arm_fully_connected_s8_get_buffer_size(&filter_{number})")


def _average_pool(number: int, operator: AveragePool) -> Step:
    window = operator.window
    pairs = ", ".join(
        f"{{{pair.width}, {pair.height}}}" for pair in (window.stride, window.padding)
    )
    tables = (
        *_maps(number, operator),
        _dims(f"filter_{number}", 1, *window.size, 1),
        f"static const cmsis_nn_pool_params params_{number} = {{{pairs}, {_clamp(operator)}}};",
    )
    call = (
        f"arm_avgpool_s8(&context, &params_{number}, &in_{number}, {{}}, &filter_{number}, "
        f"&out_{number}, {{}})"
    )
    width, channels = operator.output.width, operator.input.channels
    return Step(tables, call, f"arm_avgpool_s8_get_buffer_size({width}, {channels})")


def _add(number: int, operator: Add) -> Step:
    addends = ", ".join(f"{one.offset}, {one.multiplier}, {one.shift}" for one in operator.addends)
    rest = (
        f"{operator.output_offset}, {operator.multiplier}, {operator.shift}, "
        f"{operator.activation_min}, {operator.activation_max}, {operator.output.size}"
    )
    call = f"arm_elementwise_add_s8({{}}, {{}}, {addends}, 20, {{}}, {rest})"
    return Step(_maps(number, operator), call)
