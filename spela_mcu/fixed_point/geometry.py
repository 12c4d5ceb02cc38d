"""The geometry of a model's convolutions: which map each takes, and whether it has positions."""

from __future__ import annotations

from spela_mcu.backbone.graph import Shape
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.maps import Window
from spela_mcu.spec.limits import MAX_INPUTS
from spela_mcu.spec.network import Convolution, Network


def input_map(network: Network) -> Shape:
    """The map that a sample is: [rows, columns, channels], or [rows, columns] of one channel.

    Raises:
        UserError: samples have another shape, or none is stated.
    """
    shape = network.input_shape
    if shape is None or len(shape) not in (2, 3):
        raise UserError(
            "a convolution needs samples of [rows, columns] or [rows, columns, channels]"
            + ("" if shape is None else f", got {list(shape)}"),
            mend="write the shape of a sample; a window of a signal is [steps, 1, channels]",
            key="network.input_shape",
        )
    rows, columns, channels = (*shape, 1)[:3]
    return Shape(rows, columns, channels)


def convolution_window(map: Shape, layer: Convolution, key: str) -> Window:
    """How a convolution walks over its input map.

    Args:
        map: its input.
        layer: its keys.
        key: of the layer in model.yaml, for errors.

    Raises:
        UserError: nothing is left of the map, or more than can be counted.
    """
    window = Window.of(
        map,
        layer.filters,
        kernel=layer.kernel,
        stride=layer.stride,
        pool=layer.pool,
        grid=layer.grid,
    )
    pooled = window.pooled
    if pooled.positions == 0:
        raise UserError(
            f"nothing is left of a map of {map.height} x {map.width} by strides of {layer.stride} "
            f"and pools of {layer.pool}",
            mend="make stride or pool smaller, or leave the layer out",
            key=f"{key}.pool",
        )
    if max(pooled.size, window.patch, window.cell_inputs) > MAX_INPUTS:
        raise UserError(
            f"its map, patch or cells have more than {MAX_INPUTS} values",
            mend="give it fewer filters, or a larger stride or pool",
            key=f"{key}.filters",
        )
    return window


def windows(network: Network) -> list[Window]:
    """The windows of a network's convolutions, which stand before its dense layers.

    Raises:
        UserError: samples are no maps, or nothing is left of one.
    """
    found: list[Window] = []
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Convolution):
            map = found[-1].pooled if found else input_map(network)
            found.append(convolution_window(map, layer, f"network.layers[{index}]"))
    return found
