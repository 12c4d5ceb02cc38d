"""Takes a word out of keywords.npz, which new_word.yaml's network then does not know.

    python examples/keywords/new_word.py

Writes build/known.npz, the others with their labels; and of the word, which is "yes" among MLPerf
Tiny's samples, build/word.npz, 20 to teach, and build/heard.npz, the rest.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "build"
WORD, TAUGHT = 9, 20


def main() -> None:
    """Splits the samples."""
    with np.load(HERE / "keywords.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    word, others = x[y == WORD], y != WORD
    np.savez_compressed(HERE / "known.npz", x=x[others], y=y[others])
    np.savez_compressed(HERE / "word.npz", x=word[:TAUGHT])
    np.savez_compressed(HERE / "heard.npz", x=word[TAUGHT:])
    print(
        f"wrote known.npz, word.npz and heard.npz into {HERE}: {len(word)} samples of the new word"
    )


if __name__ == "__main__":
    main()
