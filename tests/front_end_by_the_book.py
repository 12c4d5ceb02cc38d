"""docs/front-end.md once more, in plain Python: it shares no line with spela_mcu.

Slow, and as near to the text as can be; the numbers in brackets are its sections.
"""

import math


def rsr(a, s):
    return a if s == 0 else (a + 2 ** (s - 1)) >> s


def clip(a, low, high):
    return min(max(a, low), high)


def mean(values):
    return (sum(values) + len(values) // 2) // len(values)


def raw(value, kind, full_scale):
    """A raw value [1]."""
    least, greatest = {
        "int8": (-(2**7), 2**7 - 1),
        "uint8": (0, 2**8 - 1),
        "int16": (-(2**15), 2**15 - 1),
        "int32": (-(2**31), 2**31 - 1),
    }[kind]
    return clip(round(value * greatest / full_scale), least, greatest)


def signals(readings, kind, shift, averaged):
    """Signals [axis][time] of raw readings [time][axis] [1]."""
    found = []
    for axis in range(len(readings[0])):
        values = [reading[axis] for reading in readings]
        if kind == "int32":
            values = [clip(rsr(value, shift), -(2**15), 2**15 - 1) for value in values]
        groups = range(0, len(values) - averaged + 1, averaged)
        found.append([mean(values[at : at + averaged]) for at in groups])
    return found


def statistics(x, wanted):
    """Figures of an axis [3]."""
    m = mean(x)
    figures = {
        "mean": m,
        "deviation": mean([abs(value - m) for value in x]),
        "minimum": min(x),
        "maximum": max(x),
        "crossings": sum((x[i] >= m) != (x[i - 1] >= m) for i in range(1, len(x))),
    }
    return [figures[name] for name in figures if name in wanted]


def frame(x, points):
    """A frame less its mean, windowed, and its gain [4]."""
    n = len(x)
    d = [value - mean(x) for value in x]
    gain = min(14 - max(map(abs, d)).bit_length(), 8)
    v = [value * 2**gain if gain >= 0 else rsr(value, -gain) for value in d]
    u = []
    for i in range(n):
        at = i if i < n - 1 - i else n - 1 - i  # the second half mirrors the first
        h = min(round(2**15 * math.sin(math.pi * (at + 0.5) / n) ** 2), 2**15 - 1)
        u.append((v[i] * h + 2**14) >> 15)
    return u + [0] * (points - n), gain


def factor(i, points):
    angle = 2 * math.pi * i / points
    return round((2**15 - 1) * math.cos(angle)), round(-(2**15 - 1) * math.sin(angle))


def half_product(w, b):
    return (
        (b[0] * w[0] - b[1] * w[1] + 2**15) >> 16,
        (b[0] * w[1] + b[1] * w[0] + 2**15) >> 16,
    )


def turned(number):
    return number[1], -number[0]


def powers(u):
    """Powers of bins 1 to N / 2 - 1, by bin [5]."""
    points = len(u)
    m = points // 2
    z = [(u[2 * k], u[2 * k + 1]) for k in range(m)]
    width = m.bit_length() - 1
    z = [z[int(f"{k:0{width}b}"[::-1], 2)] for k in range(m)]
    a = 1
    while a < m:
        for block in range(0, m, 2 * a):
            for i in range(a):
                p, q = z[block + i], z[block + i + a]
                if a <= 2:
                    t = turned(q) if i == 1 else q
                    z[block + i] = (p[0] + t[0]) >> 1, (p[1] + t[1]) >> 1
                    z[block + i + a] = (p[0] - t[0]) >> 1, (p[1] - t[1]) >> 1
                    continue
                if i < a // 2:
                    t = half_product(factor(i * m // a, points), q)
                else:
                    t = turned(half_product(factor((i - a // 2) * m // a, points), q))
                e = p[0] >> 1, p[1] >> 1
                z[block + i] = e[0] + t[0], e[1] + t[1]
                z[block + i + a] = e[0] - t[0], e[1] - t[1]
        a *= 2
    found = {}
    for k in range(1, m // 2 + 1):
        one, other = z[k], z[m - k]
        e = ((one[0] + other[0]) >> 1) >> 1, ((one[1] - other[1]) >> 1) >> 1
        o = (one[0] - other[0]) >> 1, (one[1] + other[1]) >> 1
        t = half_product(factor(k, points), o)
        if k != m // 2:
            found[m - k] = (e[0] - t[1]) ** 2 + (e[1] + t[0]) ** 2
        found[k] = (e[0] + t[1]) ** 2 + (e[1] - t[0]) ** 2
    return found


def spectrum(x, points, bands, ends, rate, *, on_mel):
    """Band powers of an axis [4, 5]."""
    u, gain = frame(x, points)
    power = powers(u)
    scale = (lambda f: 1127 * math.log1p(f / 700)) if on_mel else (lambda f: f)
    low, high = map(scale, ends)
    place = {k: (scale(k * rate / points) - low) / (high - low) * (bands + 1) for k in power}
    inside = {k: p for k, p in place.items() if 0 <= p < bands + 1}
    found = []
    for b in range(bands):
        total = 0
        for k, p in inside.items():
            w = round(2**15 * (p - math.floor(p)))
            if math.floor(p) == b:
                total += power[k] * w
            elif math.floor(p) == b + 1:
                total += power[k] * (2**15 - w)
        found.append(max(logarithm(total) - 2048 * gain, -8192))
    return found


def logarithm(total):
    if total < 2**15:
        return 0
    x = total.bit_length() - 16
    f = (total >> x) - 2**15
    table = [round(1024 * math.log2(1 + i / 32)) for i in range(33)]
    i, r = f >> 10, f % 2**10
    return 1024 * x + table[i] + (((table[i + 1] - table[i]) * r + 512) >> 10)


def measured(features, deviations):
    """Offset, factor and shift of a feature, from its values in training [6]."""
    middle = math.fsum(features) / len(features)
    spread = math.sqrt(math.fsum((one - middle) ** 2 for one in features) / len(features))
    return scale(middle, deviations * spread)


def scale(middle, half_width):
    if half_width == 0:
        return round(middle), 0, 0
    exact = 127 / max(half_width, 1)
    shift = 0
    while shift < 30 and exact * 2 ** (shift + 1) < 2**12:
        shift += 1
    found = round(exact * 2**shift)
    return (
        (round(middle), found // 2, shift - 1) if found == 2**12 else (round(middle), found, shift)
    )


def scaled(feature, offset, by, shift):
    return clip(rsr((feature - offset) * by, shift), -127, 127)
