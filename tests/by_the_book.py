"""docs/arithmetic.md once more, in plain Python integers: it shares no line with spela_mcu.

Slow, and as near to the text as can be; the numbers in brackets are its sections. What numpy and C
both have wrong differs from this.
"""

import struct
import zlib
from dataclasses import dataclass, field


def rsr(a, s):
    """Rounded shift right [1]."""
    return a if s == 0 else (a + 2 ** (s - 1)) >> s


def clip(a, low, high):
    return min(max(a, low), high)


def pad(n):
    return -(-n // 4) * 4


def argmax(numbers, without=None):
    """The lowest index on a tie [1]."""
    kept = [c for c in range(len(numbers)) if c != without]
    return max(kept, key=lambda c: (numbers[c], -c))


def advance(state):
    """The generator [2]."""
    return (1664525 * state + 1013904223) % 2**32


def floor_sqrt(value):
    root = 0
    for bit in reversed(range(20)):
        if (root + 2**bit) ** 2 <= value:
            root += 2**bit
    return root


def packed(rows, width):
    """A matrix as it lies in memory [6]."""
    columns = pad(len(rows[0]))
    memory = [0] * (pad(len(rows)) * columns)
    for j, row in enumerate(rows):
        for i, value in enumerate(row):
            memory[(j // 4) * 4 * columns + (i // 4) * 16 + (j % 4) * 4 + i % 4] = value
    if width == 1.5:
        residuals = [value - 16 * rsr(value, 4) for value in memory]
        upper = struct.pack(f"<{len(memory)}b", *(rsr(value, 4) for value in memory))
        return upper + bytes(
            low % 16 + high % 16 * 16
            for low, high in zip(residuals[::2], residuals[1::2], strict=True)
        )
    return struct.pack(f"<{len(memory)}{'b' if width == 1 else 'h'}", *memory)


@dataclass
class Layer:
    """One layer: w[j][i], e[c][j], and the letters of section 1."""

    w: list
    e: list
    b: int
    U: int
    k: int
    A: int
    B: int
    leak: int
    exit_margin: int = 0
    reject_cosine: int = 0
    updates: int = 0
    halvings: int = 0
    pending: list = field(default_factory=list)
    width: float = 0  # bytes of a weight; 0: as U says

    @property
    def is_split(self):
        """Whether an int8 part and a residual make a weight."""
        return self.width == 1.5

    @property
    def low(self):
        return 16 * -128 - 8 if self.is_split else -(2 ** (self.b - 1))

    @property
    def high(self):
        return 16 * 127 + 7 if self.is_split else 2 ** (self.b - 1) - 1

    def answering(self, w):
        """The part of a weight that sums are made of."""
        return rsr(w, 4) if self.is_split else w

    def is_at_an_end(self, w):
        ends = (-128, 127) if self.is_split else (self.low, self.high)
        return self.answering(w) in ends


@dataclass
class Forward:
    """A layer's answer [3, 4]: sums, activation, block shift, scores, and 1/|h| as I and t."""

    z: list
    h: list
    shift: int
    s: list
    I: int  # noqa: E741 - the text's letter
    t: int

    def cos(self, c, k):
        return rsr(self.s[c] * self.I, 17 + k - self.t) if self.I else 0


def softmax(cosines):
    """Section 5, 2: of 8 times the cosines."""
    weights = []
    for one in cosines:
        x = 2955 * (max(cosines) - one)
        f = (x // 2**14) % 256
        weights.append((65536 - 172 * f + 11 * f * f // 64) // 2 ** (x // 2**22))
    share = 2**30 // sum(weights)
    return [weight * share // 2**16 for weight in weights]


@dataclass
class Network:
    layers: list
    loss: str
    rounding: str
    theta: int
    halve_rate_every: int
    rate_halvings: int
    dither: int
    bias: bool = False
    batch: int = 1
    samples: int = 0
    clipped: int = 0
    said: list = field(default_factory=list)

    def forward(self, layer, x):
        """Sections 3 and 4."""
        z = [sum(w * value for w, value in zip(row, x, strict=True)) for row in layer.w]
        a = [v if v > 0 else (rsr(v, layer.leak) if layer.leak else 0) for v in z]
        shift = max(0, max(abs(v) for v in a).bit_length() - 7)
        h = [min(127, rsr(v, shift)) for v in a]
        s = [sum(e * value for e, value in zip(row, h, strict=True)) for row in layer.e]
        n = sum(v * v for v in h)
        if n == 0:
            return Forward(z, h, shift, s, 0, 0)
        t = (32 - n.bit_length()) >> 1
        return Forward(z, h, shift, s, 2**31 // floor_sqrt(n * 4**t), t)

    def answer(self, layer, out):
        """Label, cosine and margin of an exit [4]."""
        label = self.choose(out.s)
        cosine = out.cos(label, layer.k)
        second = out.cos(self.choose(out.s, without=label), layer.k)
        return label, cosine, min(32767, cosine - second)

    def choose(self, scores, without=None):
        """The best class but one."""
        return argmax(scores, without)

    def shares(self, cosines):
        """The softmax of all classes."""
        return softmax(cosines)

    def inputs(self, sample):
        """The first layer's [1]."""
        return [*sample, 127] if self.bias else list(sample)

    def infer(self, sample):
        """Every exit's label, cosine, margin and scores."""
        self.flush()
        x, found = self.inputs(sample), []
        for layer in self.layers:
            out = self.forward(layer, x)
            found.append((*self.answer(layer, out), out.s))
            x = out.h
        return found

    def infer_early(self, sample):
        """Label, exit, cosine, margin [8]."""
        last = len(self.layers) - 1
        for number, (layer, found) in enumerate(zip(self.layers, self.infer(sample), strict=True)):
            label, cosine, margin, _ = found
            if number == last or (layer.exit_margin != 0 and margin >= layer.exit_margin):
                is_unknown = layer.reject_cosine != 0 and cosine < layer.reject_cosine
                return (65535 if is_unknown else label), number, cosine, margin
        raise AssertionError

    def direction(self, layer, out, y):
        """Section 5, 1 to 3: u and p; None: the layer does not learn."""
        if out.I == 0:
            return None
        p, v = out.cos(y, layer.k), list(layer.e[y])
        g = [rsr(value * out.I, 17 - out.t) for value in out.h]
        if self.loss == "softmax":
            cosines = [out.cos(c, layer.k) for c in range(len(out.s))]
            coef = [(2**14 if c == y else 0) - s for c, s in enumerate(self.shares(cosines))]
            if coef[y] < 256:
                return None
            p = rsr(sum(a * b for a, b in zip(coef, cosines, strict=True)), 14)
            columns = zip(*layer.e, strict=True)
            v = [
                rsr(sum(a * b for a, b in zip(coef, column, strict=True)), layer.k)
                for column in columns
            ]
            return [one - rsr(p * other, 14) for one, other in zip(v, g, strict=True)], p
        if self.loss == "margin":
            q = self.choose(out.s, without=y)
            if q is not None:
                p -= out.cos(q, layer.k)
                v = [one - other for one, other in zip(v, layer.e[q], strict=True)]
            if p >= self.theta:
                return None
        u = [
            one * 2 ** (14 - layer.k) - rsr(p * other, 14) for one, other in zip(v, g, strict=True)
        ]
        return u, p

    def rate(self, layer, out, p):
        """Section 5, 4."""
        r = (layer.A * out.I) >> 18
        return (r * (2**28 // (2**15 - p))) >> 14 if self.loss == "log_cosine" else r

    def multipliers(self, layer, out, y):
        """Section 5, 1 to 6; None: the layer does not learn."""
        found = self.direction(layer, out, y)
        if found is None:
            return None
        u, p = found
        r = self.rate(layer, out, p)
        decay = self.decay()
        sh = max(0, 27 + layer.B + out.shift - out.t + 2 * layer.halvings + decay)
        found = []
        for value, z in zip(u, out.z, strict=True):
            own = sh if z > 0 else sh + layer.leak
            is_zero = (z <= 0 and layer.leak == 0) or own > 30
            exact = 0 if is_zero else rsr(value * r, own)
            found.append(clip(exact, -(2**15), 2**15 - 1))
            self.clipped += found[-1] != exact
        return found

    def decay(self):
        """Of the rate [5]."""
        if not self.halve_rate_every:
            return 0
        quotient = self.samples // self.halve_rate_every
        return clip(quotient - self.rate_halvings + 1, 0, self.rate_halvings)

    def learn(self, sample, y):
        """A sample [5]; every layer's multipliers, None where it does not learn."""
        found = self.step(sample, y)
        self.samples = min(self.samples + 1, 2**32 - 1)
        return found

    def step(self, sample, y):
        """The steps of learning [5]; what each exit answers before is left in `said`."""
        x, found = self.inputs(sample), []
        self.said = []
        for layer in self.layers:
            out = self.forward(layer, x)
            self.said.append(self.answer(layer, out))
            factors = self.multipliers(layer, out, y)
            found.append(factors)
            if factors is not None:
                layer.pending.append((x, factors))
                if len(layer.pending) == self.batch:
                    self.apply(layer)
            x = out.h
        return found

    def flush(self):
        """What precedes every inference [5]."""
        for layer in self.layers:
            if layer.pending:
                self.apply(layer)

    def apply(self, layer):
        """The layer's pending updates [5]."""
        n = len(layer.w[0])
        d = [2 ** (layer.U - 1)] * n
        if self.rounding == "stochastic":
            for i in range(pad(n)):
                self.dither = advance(self.dither)
                if i < n:
                    d[i] = self.dither >> (32 - layer.U)
        for j, row in enumerate(layer.w):
            for i in range(n):
                total = sum(factors[j] * x[i] for x, factors in layer.pending)
                row[i] = clip(row[i] + ((total + d[i]) >> layer.U), layer.low, layer.high)
        layer.updates += len(layer.pending)
        layer.pending = []
        self.scan(layer)

    def scan(self, layer):
        """Halvings [5]."""
        if layer.updates >= 256:
            layer.updates = 0
            weights = [w for row in layer.w for w in row]
            ends = sum(layer.is_at_an_end(w) for w in weights)
            if 64 * ends > len(weights) and layer.halvings < 15:
                layer.w = [[(w + ((w >> 1) & 1)) >> 1 for w in row] for row in layer.w]
                layer.halvings += 1

    def matrices(self):
        """All that has weights, in the order of the digest."""
        return self.layers

    def digest(self):
        """Section 7."""
        crc = zlib.crc32(struct.pack("<II", self.dither, self.samples))
        for layer in self.matrices():
            crc = zlib.crc32(struct.pack("<II", layer.updates, layer.halvings), crc)
            crc = zlib.crc32(packed(layer.w, layer.width or (1 if layer.U == 16 else 2)), crc)
            if self.batch > 1:
                crc = zlib.crc32(struct.pack("<I", len(layer.pending)), crc)
                for x, factors in layer.pending:
                    pair = struct.pack(f"<{len(x)}b{len(factors)}h", *x, *factors)
                    crc = zlib.crc32(pair, crc)
        return crc


def drawn_weights(seed, inputs, units, bits):
    """Untrained weights [2]."""
    rows, state = [], seed
    for _ in range(units):
        row = []
        for _ in range(inputs):
            state = advance(state)
            top = state >> (32 - bits)
            row.append(top - 2**bits if top >= 2 ** (bits - 1) else top)
        rows.append(row)
    return rows
