"""Takes two words out of keywords.npz, which new_word.yaml's network then does not know.

    python examples/keywords/new_word.py

Writes build/ten.npz, the other words with their labels; and of one of the two, build/word.npz, 20
samples to teach, and build/heard.npz, the rest of them.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "build"
KNOWN, TAUGHT = 10, 20


def main() -> None:
    """Splits the samples."""
    with np.load(HERE / "keywords.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    word = x[y == KNOWN]
    np.savez_compressed(HERE / "ten.npz", x=x[y < KNOWN], y=y[y < KNOWN])
    np.savez_compressed(HERE / "word.npz", x=word[:TAUGHT])
    np.savez_compressed(HERE / "heard.npz", x=word[TAUGHT:])
    print(f"wrote ten.npz, word.npz and heard.npz into {HERE}: {len(word)} samples of the new word")


if __name__ == "__main__":
    main()
