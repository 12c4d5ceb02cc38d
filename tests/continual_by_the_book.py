"""docs/arithmetic-continual.md once more, in plain Python integers, as by_the_book.py does.

The numbers in brackets are its sections.
"""

import struct
import zlib

from by_the_book import Network, advance, argmax, clip, pad, rsr, softmax


class ContinualNetwork(Network):
    """A network whose classes come and go.

    `known` classes are active at the start; `unknown` is None, or what is compared, the limits and
    the rise. `start` is None, or for each known class its `seen` and its slots, and then `d`.
    """

    def begin(self, classes, known, inputs, keeps, capacity, ratio, unknown=None, start=None):
        self.C, self.n, self.keeps, self.R, self.ratio = classes, inputs, keeps, capacity, ratio
        self.active = [int(c < known) for c in range(classes)]
        self.seen, self.slots, self.d = [0] * classes, [[] for _ in range(classes)], [0] * inputs
        if start is not None:
            self.seen[:known], self.slots[:known], self.d = start
        self.by, limits, self.rise = unknown or (None, [], 0)
        self.T = [limit * 2**16 for limit in limits]
        return self

    def choose(self, scores, without=None):
        """Argmax over active classes [1]; None: there is none."""
        allowed = [c for c in range(self.C) if self.active[c] and c != without]
        return allowed[argmax([scores[c] for c in allowed])] if allowed else None

    def shares(self, cosines):
        """The softmax of active classes; of the others it is 0."""
        found = iter(softmax([s for s, one in zip(cosines, self.active, strict=True) if one]))
        return [next(found) if one else 0 for one in self.active]

    def answer(self, layer, out):
        """Label, cosine and margin [1]."""
        label = self.choose(out.s)  # if N = 0, all scores are 0
        if label is None:
            return 65535, 0, 0
        second = self.choose(out.s, without=label)
        cosine = out.cos(label, layer.k)
        margin = 0 if second is None else min(32767, cosine - out.cos(second, layer.k))
        return label, cosine, margin

    def draw(self, n=2**32):
        """Below n [2]."""
        self.dither = advance(self.dither)
        return self.dither * n >> 32

    def kept(self, c):
        return min(self.seen[c], self.R)

    def rehearse(self, x=None):
        """Once, without a class [2]."""
        holding = [c for c in range(self.C) if self.kept(c) > 0 and c != x]
        if holding:
            c = holding[self.draw(len(holding))]
            j = self.draw(self.kept(c)) if self.keeps == "samples" else 0
            self.step(self.recall(c, j), c)

    def recall(self, c, j):
        """The sample in a slot, or one drawn near the mean [2]."""
        if self.keeps == "samples":
            return self.slots[c][j]
        m, x = self.slots[c][0], []
        for i in range(self.n):
            state = self.draw()
            z = (state >> 24) + (state >> 16) % 256 - 255
            x.append(clip(rsr(2**7 * m[i] + self.d[i] * z, 15), -127, 127))
        return x

    def learn(self, sample, y):
        """Teaching [3]; the last exit's label before."""
        self.active[y] = 1
        self.step(sample, y)
        said = self.said
        self.follow(said, y)
        for _ in range(self.ratio):
            self.rehearse()
        t = self.seen[y]
        self.seen[y] = min(t + 1, 2**32 - 1)
        if self.keeps == "means":
            self.mean_follows(sample, y, t)
        elif t < self.R:
            self.slots[y].append(sample)
        elif self.R > 0:
            j = self.draw(self.seen[y])
            if j < self.R:
                self.slots[y][j] = sample
        self.samples = min(self.samples + 1, 2**32 - 1)
        return said[-1][0]

    def mean_follows(self, x, y, t):
        """Of the class, and the deviation of all [3]."""
        if t == 0:
            self.slots[y] = [[2**8 * value for value in x]]
            return

        def weight(a):
            return min(8, a.bit_length() - 1)

        m = self.slots[y][0]
        for i in range(self.n):
            a = 2**8 * x[i] - m[i]
            self.d[i] += rsr(abs(a) - self.d[i], weight(sum(self.seen)))
            m[i] += rsr(a, weight(self.seen[y]))

    def follow(self, said, y):
        """The limit of the exit that would have answered [4]."""
        sure = [
            e
            for e, (layer, one) in enumerate(zip(self.layers, said, strict=True))
            if layer.exit_margin != 0 and one[2] >= layer.exit_margin
        ]
        e = sure[0] if sure else len(said) - 1
        if self.by is None or said[e][0] != y:
            return
        v = said[e][1] if self.by == "cosine" else said[e][2]
        step = self.rise if v * 2**16 >= self.T[e] else self.rise - 2**22
        self.T[e] = clip(self.T[e] + step, 2**16, 32767 * 2**16)

    def forget(self, c):
        """[5]."""
        self.unlearn(c)
        self.active[c] = self.seen[c] = 0
        self.slots[c] = []

    def unlearn(self, c):
        """[5, 1]."""
        count = self.kept(c) * (1 if self.keeps == "samples" else 20)
        for k in range(6 * count):
            x = self.recall(c, k % count)
            values = self.inputs(x)
            for layer in self.layers:
                out = self.forward(layer, values)
                values = out.h
            q = self.choose(out.s, without=c)
            if q is None:
                return
            self.step(x, q)
            for _ in range(4):
                self.rehearse(c)

    def digest(self):
        """[7]."""
        crc = super().digest()
        for c in range(self.C):
            crc = zlib.crc32(struct.pack("<II", self.seen[c], self.active[c]), crc)
        crc = zlib.crc32(struct.pack(f"<{len(self.T)}i", *self.T), crc)
        padding = [0] * (pad(self.n) - self.n)
        if self.keeps == "means":
            crc = zlib.crc32(struct.pack(f"<{pad(self.n)}H", *self.d, *padding), crc)
        for slots in self.slots:
            for slot in slots:
                form = "b" if self.keeps == "samples" else "h"
                crc = zlib.crc32(struct.pack(f"<{pad(self.n)}{form}", *slot, *padding), crc)
        return crc
