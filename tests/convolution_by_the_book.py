"""A convolution once more, in plain Python integers: it shares no line with spela_mcu.

Slow, and as near to docs/arithmetic-convolution.md as can be.
"""

from dataclasses import dataclass

from by_the_book import Forward, Layer, Network, advance, clip, floor_sqrt, pad, rsr


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
    filters: Layer  # w[f][i]; no embeddings
    readout: Layer  # w is the text's P

    @property
    def w(self):
        return self.filters.w

    @property
    def P(self):  # noqa: N802 - the text's letter
        return self.readout.w

    @property
    def pooled(self):
        return (
            -(-self.rows // self.stride[0]) // self.pool[0],
            -(-self.columns // self.stride[1]) // self.pool[1],
        )

    @property
    def pre(self):
        bits = 8 if self.filters.is_split else self.filters.b
        return max(0, (len(self.w[0]) * 2 ** (7 + bits - 1)).bit_length() - 15)

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
        maxima, places = [], []
        answering = [[self.filters.answering(w) for w in row] for row in self.w]
        for row in range(self.pooled[0]):
            for column in range(self.pooled[1]):
                best, place = [-1] * len(self.w), [0] * len(self.w)
                for dy in range(self.pool[0]):
                    for dx in range(self.pool[1]):
                        seen = self.patch(x, row * self.pool[0] + dy, column * self.pool[1] + dx)
                        for f, weights in enumerate(answering):
                            z = sum(a * b for a, b in zip(weights, seen, strict=True))
                            r = min(32767, rsr(max(0, z), self.pre))
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
        """The projection p, which is signed, as a layer's answer [3, 4]."""
        z = [sum(x * y for x, y in zip(row, a, strict=True)) for row in self.P]
        p, shift = block(z)
        s = [sum(x * y for x, y in zip(row, p, strict=True)) for row in self.readout.e]
        n = sum(v * v for v in p)
        if n == 0:
            return Forward(z, p, shift, s, 0, 0)
        t = (32 - n.bit_length()) >> 1
        return Forward(z, p, shift, s, 2**31 // floor_sqrt(n * 4**t), t)

    def error(self, u):
        return [sum(row[i] * u[d] for d, row in enumerate(self.P)) for i in range(len(self.P[0]))]

    def factors(self, u, rates, t, shifts):
        """Of the read-out and of the filters.

        rates and shifts: both rates; sp, sa, sm, and the shifts of both rates.
        """
        sp, sa, sm, of_readout, of_filters = shifts

        def scaled(values, rate, shift, low, high):
            shift = max(0, shift)
            return [0 if shift > 30 else clip(rsr(v * rate, shift), low, high) for v in values]

        error = self.error(u)
        se = max(0, max(abs(v) for v in error).bit_length() - 16)
        positions = self.pooled[0] * self.pooled[1]
        most = min(2**15, 2 ** (23 - (positions - 1).bit_length())) - 1
        own = scaled(u, rates[0], 27 + sp - t + of_readout, -(2**15), 2**15 - 1)
        shift = 27 + sp + sa + sm + self.pre - t - se + of_filters
        return own, scaled([rsr(v, se) for v in error], rates[1], shift, -most, most)

    def sums(self, x, h, places, factors):
        """What each filter's weights get, before rounding."""
        filters, found = len(self.w), []
        for f in range(filters):
            acc = [0] * len(self.w[0])
            for row in range(self.pooled[0]):
                for column in range(self.pooled[1]):
                    at = (row * self.pooled[1] + column) * filters + f
                    cell = (row * self.grid[0] // self.pooled[0]) * self.grid[1]
                    cell += column * self.grid[1] // self.pooled[1]
                    if h[at] > 0:
                        dy, dx = divmod(places[at], self.pool[1])
                        seen = self.patch(x, row * self.pool[0] + dy, column * self.pool[1] + dx)
                        for i, value in enumerate(seen):
                            acc[i] += factors[cell * filters + f] * value
            found.append(acc)
        return found

    def learn_filters(self, sums, dither):
        """New weights, and the dither's state."""
        d = []
        for _ in range(pad(len(self.w[0]))):
            dither = advance(dither)
            d.append(dither >> (32 - self.filters.U))
        for row, acc in zip(self.w, sums, strict=True):
            for i, total in enumerate(acc):
                step = (total + d[i]) >> self.filters.U
                row[i] = clip(row[i] + step, self.filters.low, self.filters.high)
        return dither


@dataclass
class ConvolutionalNetwork(Network):
    """Convolutions, then dense layers."""

    convolutions: tuple = ()

    def matrices(self):
        return [
            *(part for one in self.convolutions for part in (one.filters, one.readout)),
            *self.layers,
        ]

    def learn_convolution(self, one, x, y):
        """What a convolution makes of its input, which it learns from."""
        h, sm, places = one.map(x)
        a, sa = one.cells(h)
        out = one.answer(a)
        found = self.direction(one.readout, out, y)
        if found is not None:
            u, p = found
            parts = (one.readout, one.filters)
            rates = [self.rate(part, out, p) for part in parts]
            shifts = [part.B + 2 * part.halvings + self.decay() for part in parts]
            own, below = one.factors(u, rates, out.t, (out.shift, sa, sm, *shifts))
            one.readout.pending.append((a, own))
            self.apply(one.readout)
            self.dither = one.learn_filters(one.sums(x, h, places, below), self.dither)
            one.filters.updates += 1
            self.scan(one.filters)
        return h

    def learn(self, sample, y):
        x = list(sample)
        for one in self.convolutions:
            x = self.learn_convolution(one, x, y)
        return super().learn(x, y)

    def infer(self, sample):
        x, found = list(sample), []
        for one in self.convolutions:
            x, _, _ = one.map(x)
            out = one.answer(one.cells(x)[0])
            found.append((*self.answer(one.readout, out), out.s))
        return [*found, *super().infer(x)]
