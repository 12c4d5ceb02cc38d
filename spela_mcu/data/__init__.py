"""Data sources: from a file or package to a split, scaled `Dataset`."""

from spela_mcu.data.dataset import INPUT_MAX, Dataset, InputScaling, Split, quantize_inputs
from spela_mcu.data.load import load_dataset

__all__ = ["INPUT_MAX", "Dataset", "InputScaling", "Split", "load_dataset", "quantize_inputs"]
