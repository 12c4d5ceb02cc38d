"""A model as tinyengine's code generator writes it, to be counted like the other contenders.

Its generator is run as it is, with three things around it: tqdm, which only shows progress, may be
missing; weights are wider than int8 while it writes them, since numpy no longer widens by itself;
SOFTMAX, which lies behind the features, is passed over.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GENERATE = """\
import sys, types
from pathlib import Path
import numpy as np
checkout, model, place = sys.argv[1:]
sys.path.insert(0, checkout)
tqdm = types.ModuleType("tqdm")
tqdm.tqdm = lambda some, *_, **__: some
sys.modules.setdefault("tqdm", tqdm)
from code_generator.CodeGenerator import CodeGenerator
from code_generator.GeneralMemoryScheduler import GeneralMemoryScheduler
from code_generator.TfliteConvertor import TfliteConvertor
from code_generator.converters.tflite_parser.utils import getOpCodeStr
class Convertor(TfliteConvertor):
    def _handleOperator(self, op):
        if getOpCodeStr(op, self.model) != "SOFTMAX":
            super()._handleOperator(op)
convertor = Convertor(model)
convertor.parseOperatorInfo()
for layer in convertor.layer:
    for name, value in layer.params.items():
        if isinstance(value, np.ndarray) and value.dtype == np.int8:
            layer.params[name] = value.astype(np.int32)
scheduler = GeneralMemoryScheduler(
    convertor.layer, False, False, outputTables=[], inplace=True,
    mem_visual_path=str(Path(place) / "memory.png"), VisaulizeTrainable=False,
)
scheduler.USE_INPLACE = True
scheduler.allocateMemory()
CodeGenerator(
    memsche=scheduler, inplace=True, unsigned_input=False, patch_params=None, FP_output=False,
    profile_mode=False, fp_requantize=False, tflite_op=False, dummy_address=False, outputTables=[],
).codeGeneration()
print(sum(int(scheduler.buffers[name]) for name in ("input_output", "im2col", "kernel")))
"""

MAIN = """\
void invoke(float *labels);
unsigned benchmark_start(void);
void benchmark_run(const signed char *sample);
unsigned benchmark_start(void) {
    return 1U;
}
void benchmark_run(const signed char *sample) {
    (void)sample;
    invoke((void *)0);
}
"""
"""The input is where the generated code has it; what lies there does not change what is counted."""

CMSIS = Path("TinyEngine", "third_party", "CMSIS", "CMSIS")
PATTERNS = (
    *("TinyEngine/src/kernels/int_forward_op/convolve_1x1_s8*.c",),
    *("TinyEngine/src/kernels/int_forward_op/convolve_s8_kernel3_inputch3_stride2_pad1.c",),
    *("TinyEngine/src/kernels/int_forward_op/arm_nn_mat_mult_kernel*.c",),
    *("TinyEngine/src/kernels/int_forward_op/mat_mult_kernels.c",),
    *("TinyEngine/src/kernels/int_forward_op/avgpooling.c",),
    str(CMSIS / "NN/Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s8_s16_reordered.c"),
)
FLAGS = (
    *("-fhosted", "-w", "-D__RESTRICT=__restrict", "-DARM_MATH_DSP", "-DARM_MATH_CM4"),
    *("-include", "arm_nnsupportfunctions.h"),
)


@dataclass(frozen=True)
class Generated:
    """What its generator wrote for a model.

    Attributes:
        directory: of `Include` and `Source`.
        buffer_bytes: what its memory planner gives to maps and buffers.
    """

    directory: Path
    buffer_bytes: int


def includes(checkout: Path) -> tuple[Path, ...]:
    """Directories of headers."""
    folders = ("Core/Include", "NN/Include", "DSP/Include")
    return (checkout / "TinyEngine" / "include", *(checkout / CMSIS / one for one in folders))


def generated(checkout: Path, model: Path, place: Path) -> Generated | None:
    """Runs its generator; None if that does not know the model's operators or shapes."""
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", GENERATE, str(checkout.resolve()), str(model.resolve()), "."],
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return None
    return Generated(place / "codegen", int(done.stdout.split()[-1]))
