"""Random graphs of every kind of operator, for hypothesis."""

import numpy as np
from hypothesis import strategies as st
from tflite_files import WINDOW, Layers, TfliteModel, windowed

EDGES = (-128, -127, -1, 0, 1, 127)


def samples_for(shape, rng, count=3):
    edges = [np.full(shape, value) for value in EDGES]
    return np.stack([*edges, *rng.integers(-128, 128, (count, *shape))]).astype(np.int8)


@st.composite
def windows(draw, height, width):
    """Rows and columns of a window, its strides and dilations, and a padding that fits."""
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    size = [draw(st.integers(1, min(4, extent))) for extent in (height, width)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    dilation = [
        draw(st.integers(1, 3 if padding == "SAME" else max(1, (extent - 1) // max(1, taps - 1))))
        if taps > 1
        else 1
        for extent, taps in zip((height, width), size, strict=True)
    ]
    return padding, size, stride, [min(one, 3) for one in dilation]


ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])


def add_convolution(draw, layers, source):
    depthwise = draw(st.booleans())
    _, height, width, channels = layers.model.shape(source)
    padding, size, stride, dilation = draw(windows(height, width))
    reach = [(taps - 1) * step + 1 for taps, step in zip(size, dilation, strict=True)]
    rows, columns = (
        windowed(extent, far, step, padding)
        for extent, far, step in zip((height, width), reach, stride, strict=True)
    )
    options = {
        "Padding": padding,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": draw(ACTIVATIONS),
        "per_channel": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if depthwise:
        multiplier = draw(st.integers(1, 3))
        outputs = multiplier * channels
        return layers.weighted(
            "DEPTHWISE_CONV_2D",
            source,
            (1, *size, outputs),
            3,
            (1, rows, columns, outputs),
            DepthMultiplier=multiplier,
            **options,
        )
    outputs = draw(st.integers(1, 7))
    return layers.weighted(
        "CONV_2D", source, (outputs, *size, channels), 0, (1, rows, columns, outputs), **options
    )


def add_pool(draw, layers, source):
    model = layers.model
    _, height, width, channels = model.shape(source)
    padding, size, stride, _ = draw(windows(height, width))
    rows, columns = (
        windowed(extent, far, step, padding)
        for extent, far, step in zip((height, width), size, stride, strict=True)
    )
    spec = model.tensors[source]
    layers.count += 1
    target = model.activation(
        f"map{layers.count}", (1, rows, columns, channels), spec.scales[0], spec.zeros[0]
    )
    model.operator(
        draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])),
        [source],
        [target],
        Padding=padding,
        StrideH=stride[0],
        StrideW=stride[1],
        FilterHeight=size[0],
        FilterWidth=size[1],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_sum(draw, layers, source):
    """A residual branch: a convolution of the source, added to it; or a constant is added."""
    model, rng = layers.model, layers.rng
    shape = model.shape(source)
    scale = model.tensors[source].scales[0]
    other = draw(st.sampled_from(["branch", "itself", "channels", "scalar", "map"]))
    if other == "branch":
        channels = shape[3]
        second = layers.weighted(
            "CONV_2D",
            source,
            (channels, 3, 3, channels),
            0,
            shape,
            **WINDOW,
        )
    elif other == "itself":
        second = source
    else:
        constant = rng.integers(
            -128, 128, {"channels": shape[3:], "scalar": (), "map": shape}[other]
        )
        spread = float(np.float32(scale * rng.uniform(0.3, 3)))
        zero = int(rng.integers(-128, 128))
        second = model.constant(f"c{layers.count}", constant.astype(np.int8), (spread,), (zero,))
    target = layers.output(shape, 2 * max(scale, model.tensors[second].scales[0]))
    both = [source, second]
    model.operator(
        "ADD",
        both[::-1] if draw(st.booleans()) else both,
        [target],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_product(draw, layers, source):
    model, rng = layers.model, layers.rng
    shape = model.shape(source)
    form = draw(st.sampled_from([shape[3:], (), shape, (1, 1, 1, shape[3]), (1, *shape[1:3], 1)]))
    scale = float(np.float32(rng.uniform(0.005, 0.02)))
    constant = model.constant(
        f"c{layers.count}",
        rng.integers(-128, 128, form).astype(np.int8),
        (scale,),
        (int(rng.integers(-128, 128)),),
    )
    target = layers.output(shape, model.tensors[source].scales[0] * scale * 100)
    both = [source, constant]
    model.operator(
        "MUL",
        both[::-1] if draw(st.booleans()) else both,
        [target],
        FusedActivationFunction=draw(ACTIVATIONS),
    )
    return target


def add_rescale(draw, layers, source):
    model = layers.model
    kind = draw(st.sampled_from(["QUANTIZE", "RELU", "RELU6"]))
    target = layers.output(model.shape(source), model.tensors[source].scales[0])
    model.operator(kind, [source], [target])
    return target


def add_margin(draw, layers, source):
    model = layers.model
    shape = model.shape(source)
    around = np.array(
        [(0, 0), *((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(3))], np.int32
    )
    margins = model.constant(f"p{layers.count}", around)
    grown = tuple(int(size) for size in np.array(shape) + around.sum(1))
    target = layers.output(grown, model.tensors[source].scales[0])
    inputs = [source, margins]
    if draw(st.booleans()):
        spec = model.tensors[target]
        value = layers.rng.integers(-128, 128, ()).astype(np.int8)
        inputs.append(model.constant(f"v{layers.count}", value, spec.scales, spec.zeros))
    model.operator("PADV2" if len(inputs) == 3 else "PAD", inputs, [target])
    return target


def add_reshape(draw, layers, source):
    """Rows become columns: the bytes stay."""
    model = layers.model
    _, height, width, channels = model.shape(source)
    spec = model.tensors[source]
    layers.count += 1
    form = (1, width, height, channels)
    shape = model.constant(f"s{layers.count}", np.array(form, np.int32))
    target = model.activation(f"map{layers.count}", form, spec.scales[0], spec.zeros[0])
    model.operator("RESHAPE", [source, shape], [target])
    return target


STEPS = {
    "convolution": add_convolution,
    "pool": add_pool,
    "sum": add_sum,
    "product": add_product,
    "rescale": add_rescale,
    "margin": add_margin,
    "reshape": add_reshape,
}


def add_head(draw, layers, source):
    """A mean or nothing, a dense layer whose input are the features, and a softmax."""
    model = layers.model
    _, *_, channels = model.shape(source)
    if draw(st.booleans()):
        axes = model.constant("axes", np.array([1, 2], np.int32))
        keep = draw(st.booleans())
        target = layers.output(
            (1, 1, 1, channels) if keep else (1, channels), model.tensors[source].scales[0] * 0.5
        )
        model.operator("MEAN", [source, axes], [target], KeepDims=keep)
        source = target
    for units in (draw(st.integers(1, 9)), 3):
        inputs = int(np.prod(model.shape(source)))
        source = layers.weighted(
            "FULLY_CONNECTED",
            source,
            (units, inputs),
            0,
            (1, units),
            FusedActivationFunction=draw(ACTIVATIONS),
            per_channel=draw(st.booleans()),
            bias=draw(st.booleans()),
        )
    answer = model.activation("answer", (1, 3), 1 / 256, -128)
    model.operator("SOFTMAX", [source], [answer], Beta=1.0)


@st.composite
def graphs(draw, kinds=tuple(STEPS), most=4, largest=9):
    """A model of random operators, and int8 samples for it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = TfliteModel()
    shape = (
        1,
        draw(st.integers(1, largest)),
        draw(st.integers(1, largest)),
        draw(st.integers(1, 6)),
    )
    source = model.sample(
        shape, float(np.float32(rng.uniform(0.01, 0.1))), int(rng.integers(-128, 128))
    )
    layers = Layers(model, rng)
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most)):
        source = STEPS[kind](draw, layers, source)
    add_head(draw, layers, source)
    return model, samples_for(shape[1:], rng)
