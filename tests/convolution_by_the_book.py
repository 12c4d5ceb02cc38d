"""A convolution once more, in plain Python integers: it shares no line with spela_mcu.

Slow, and as near to docs/arithmetic-convolution.md as can be.
"""

from dataclasses import dataclass

from by_the_book import Layer, Network, advance, argmax, clip, floor_sqrt, pad, rsr


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
    def e(self):
        return self.readout.e

    @property
    def k(self):
        return self.readout.k

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

    def tangent(self, p, scores, coefficients):
        """u, I and t."""
        n = sum(v * v for v in p)
        t = (32 - n.bit_length()) >> 1
        I = 2**31 // floor_sqrt(n * 4**t)  # noqa: E741, N806 - the text's letter
        cos = [rsr(s * I, 17 + self.k - t) for s in scores]
        radial = rsr(sum(a * b for a, b in zip(coefficients, cos, strict=True)), 14)
        u = []
        for d, value in enumerate(p):
            v = rsr(sum(c * e[d] for c, e in zip(coefficients, self.e, strict=True)), self.k)
            u.append(v - rsr(radial * rsr(value * I, 17 - t), 14))
        return u, I, t

    def error(self, u):
        return [sum(row[i] * u[d] for d, row in enumerate(self.P)) for i in range(len(self.P[0]))]

    def factors(self, u, I, t, shifts):  # noqa: E741, N803
        """Of the read-out and of the filters; shifts: sp, sa, sm, and those of the two rates."""
        sp, sa, sm, of_readout, of_filters = shifts

        def scaled(values, layer, shift, low, high):
            rate = (layer.A * I) >> 18
            shift = max(0, shift)
            return [0 if shift > 30 else clip(rsr(v * rate, shift), low, high) for v in values]

        error = self.error(u)
        se = max(0, max(abs(v) for v in error).bit_length() - 16)
        pre = max(0, (len(self.w[0]) * 2**14).bit_length() - 15)
        positions = self.pooled[0] * self.pooled[1]
        most = 2**15 - 1
        if positions > 256:
            most = 2 ** (23 - (positions - 1).bit_length()) - 1
        own = scaled(u, self.readout, 27 + sp - t + of_readout, -(2**15), 2**15 - 1)
        shift = 27 + sp + sa + sm + pre - t - se + of_filters
        low = -(2**15) if most == 2**15 - 1 else -most
        return own, scaled([rsr(v, se) for v in error], self.filters, shift, low, most)

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
            d.append(dither >> 16)
        for row, acc in zip(self.w, sums, strict=True):
            for i, total in enumerate(acc):
                row[i] = clip(row[i] + ((total + d[i]) >> 16), -128, 127)
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

    def coefficients(self, scores, I, t, k, y):  # noqa: E741, N803
        cos = [rsr(s * I, 17 + k - t) for s in scores]
        found = [2**14 * (c == y) for c in range(len(scores))]
        if self.loss == "log_cosine":
            found[y] = 2**28 // (2**15 - cos[y])
        if self.loss == "margin":
            q = argmax(scores, without=y)
            found[q] = -(2**14)
            if cos[y] - cos[q] >= self.theta:
                return None
        return found

    def learn_convolution(self, one, x, y):
        """What a convolution makes of its input, which it learns from."""
        h, sm, places = one.map(x)
        a, sa = one.cells(h)
        p, sp, n, scores = one.answer(a)
        if n:
            u, inverse, t = one.tangent(p, scores, [0] * len(scores))
            wanted = self.coefficients(scores, inverse, t, one.k, y)
            if wanted is not None:
                u, inverse, t = one.tangent(p, scores, wanted)
                rates = [
                    part.B + 2 * part.halvings + self.decay() for part in (one.readout, one.filters)
                ]
                own, below = one.factors(u, inverse, t, (sp, sa, sm, *rates))
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
            p, _, n, scores = one.answer(one.cells(x)[0])
            if n:
                _, inverse, t = one.tangent(p, scores, [0] * len(scores))
                label = argmax(scores)
                cos = [rsr(s * inverse, 17 + one.k - t) for s in scores]
                margin = cos[label] - cos[argmax(scores, without=label)]
                found.append((label, cos[label], min(32767, margin), scores))
            else:
                found.append((0, 0, 0, scores))
        return [*found, *super().infer(x)]
