"""A convolution once more, in plain Python integers: it shares no line with spela_mcu.

Slow, and as near to docs/arithmetic-convolution.md as can be.
"""

from dataclasses import dataclass

from by_the_book import rsr


def block(numbers):
    """One exponent for all."""
    shift = max(0, max(abs(value) for value in numbers).bit_length() - 7)
    return [min(127, rsr(value, shift)) for value in numbers], shift


@dataclass
class Convolution:
    """One convolution; every pair is (along rows, along columns)."""

    rows: int
    columns: int
    channels: int
    kernel: tuple
    stride: tuple
    pool: tuple
    grid: tuple
    w: list
    P: list
    e: list

    @property
    def pooled(self):
        return (
            -(-self.rows // self.stride[0]) // self.pool[0],
            -(-self.columns // self.stride[1]) // self.pool[1],
        )

    def patch(self, x, y, column):
        """What the filters see at a position of the map before pooling."""
        seen = []
        for dy in range(self.kernel[0]):
            for dx in range(self.kernel[1]):
                at = (
                    y * self.stride[0] + dy - self.kernel[0] // 2,
                    column * self.stride[1] + dx - self.kernel[1] // 2,
                )
                inside = 0 <= at[0] < self.rows and 0 <= at[1] < self.columns
                first = (at[0] * self.columns + at[1]) * self.channels
                seen += x[first : first + self.channels] if inside else [0] * self.channels
        return seen

    def map(self, x):
        """The pooled map, where each maximum comes from, and the exponent."""
        n = len(self.w[0])
        pre = max(0, (n * 2**14).bit_length() - 15)
        maxima, places = [], []
        for row in range(self.pooled[0]):
            for column in range(self.pooled[1]):
                best, place = [-1] * len(self.w), [0] * len(self.w)
                for dy in range(self.pool[0]):
                    for dx in range(self.pool[1]):
                        seen = self.patch(x, row * self.pool[0] + dy, column * self.pool[1] + dx)
                        for f, weights in enumerate(self.w):
                            z = sum(a * b for a, b in zip(weights, seen, strict=True))
                            r = min(32767, rsr(max(0, z), pre))
                            if r > best[f]:
                                best[f], place[f] = r, dy * self.pool[1] + dx
                maxima += best
                places += place
        h, shift = block(maxima)
        return h, shift, places

    def cells(self, h):
        """The map summed over cells, with one exponent."""
        filters = len(self.w)
        sums = [0] * (self.grid[0] * self.grid[1] * filters)
        for row in range(self.pooled[0]):
            for column in range(self.pooled[1]):
                cell = (row * self.grid[0] // self.pooled[0]) * self.grid[1]
                cell += column * self.grid[1] // self.pooled[1]
                for f in range(filters):
                    sums[cell * filters + f] += h[(row * self.pooled[1] + column) * filters + f]
        return block(sums)

    def answer(self, a):
        """Projection, its exponent, its squared length, and scores."""
        p, shift = block([sum(x * y for x, y in zip(row, a, strict=True)) for row in self.P])
        scores = [sum(x * y for x, y in zip(row, p, strict=True)) for row in self.e]
        return p, shift, sum(v * v for v in p), scores
