"""Truth tables of the scalar functions: scalar/<function>_<type>.csv, one line of hex bits per point,
`x,result` or `x,y,result`, the result correctly rounded. Needs mpmath. Values at zeros, infinities,
NaN and outside of a domain follow C's annex F (taken from the C library, checked by IEEE 754's table
for pow in `PINNED`)."""

import ctypes
import ctypes.util
import math
import os
import random
import struct
import sys

import mpmath as mp
from mpmath import mpf

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
INF, NAN = math.inf, math.nan


class Format:
    def __init__(self, name, precision, emax, code, icode):
        self.name, self.p, self.emax = name, precision, emax
        self.code, self.icode = code, icode
        self.emin = 1 - emax
        self.tiny = math.ldexp(1.0, self.emin - precision + 1)
        self.normal = math.ldexp(1.0, self.emin)
        self.huge = math.ldexp(2.0 - math.ldexp(1.0, 1 - precision), emax)

    def bits(self, x):
        return struct.unpack(self.icode, struct.pack(self.code, x))[0]

    def from_bits(self, b):
        return struct.unpack(self.code, struct.pack(self.icode, b))[0]

    def hex(self, x):
        if x != x:
            return f"{self.bits(NAN):x}"
        return f"{self.bits(x):x}"

    def near(self, x, steps=3):
        """x rounded to the format and its neighbours."""
        if abs(x) > self.huge:
            x = math.copysign(self.huge, x)
        b = self.bits(x)
        return [self.from_bits(b + d) for d in range(-min(steps, b), steps + 1)]

    def round(self, v):
        """The nearest number, ties to even, of an mpf."""
        if v == 0:
            return 0.0
        m, e = mp.frexp(abs(v))
        unit = max(int(e) - self.p, self.emin - self.p + 1)
        n = int(mp.nint(mp.ldexp(abs(v), -unit))) if int(e) > unit - 2 else 0
        sign = -1.0 if v < 0 else 1.0
        if n.bit_length() + unit > self.emax + 1:
            return sign * INF
        return sign * math.ldexp(n, unit)


F32 = Format("f32", 24, 127, "<f", "<I")
F64 = Format("f64", 53, 1023, "<d", "<Q")


def guarded(function, top, above):
    """The function, with a constant of the right rounding where its exponent would be immense."""
    return lambda x: above(x) if abs(x) > top else function(x)


def sign_huge(x):
    return mp.ldexp(1 if x > 0 else -1, 5000)


FUNCTIONS = {
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "exp": guarded(mp.exp, 2000, lambda x: mp.ldexp(1, 5000 if x > 0 else -5000)),
    "exp2": guarded(lambda x: mpf(2) ** x, 2000, lambda x: mp.ldexp(1, 5000 if x > 0 else -5000)),
    "expm1": guarded(mp.expm1, 2000, lambda x: mp.ldexp(1, 5000) if x > 0 else mpf(-1)),
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "sinh": guarded(mp.sinh, 2000, sign_huge),
    "cosh": guarded(mp.cosh, 2000, lambda x: mp.ldexp(1, 5000)),
    "tanh": guarded(mp.tanh, 2000, mp.sign),
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "erf": guarded(mp.erf, 100, mp.sign),
    "erfc": guarded(mp.erfc, 100, lambda x: mpf(2) if x < 0 else mp.ldexp(1, -5000)),
    "pow": None,
    "atan2": None,
}
DOMAIN = {
    "rsqrt": (0, INF),
    "log": (0, INF),
    "log2": (0, INF),
    "log10": (0, INF),
    "log1p": (-1, INF),
    "asin": (-1, 1),
    "acos": (-1, 1),
    "acosh": (1, INF),
    "atanh": (-1, 1),
}
# Open at these ends: the value there is the C library's.
POLES = {"log1p": (-1,), "atanh": (-1, 1)}


def libm(name, *args):
    if name == "rsqrt":
        (x,) = args
        return NAN if x != x or x < 0 else math.copysign(INF, x) if x == 0 else 0.0
    f = getattr(LIBM, name)
    f.restype, f.argtypes = ctypes.c_double, [ctypes.c_double] * len(args)
    return f(*args)


def truth(fmt, name, *args):
    if any(x == 0 or not math.isfinite(x) for x in args):
        v = libm(name, *args)
        return v if v in (0, INF, -INF) or v != v else fmt.round(exact_special(name, v, *args))
    if name == "pow":
        return power(fmt, *args)
    if name == "atan2":
        with mp.workprec(2400 if min(map(abs, args)) < 1e-30 else 260):
            return nonzero(fmt, mp.atan2(*map(mpf, args)), args[0])
    (x,) = args
    low, high = DOMAIN.get(name, (-INF, INF))
    if not low <= x <= high or x in POLES.get(name, ()):
        return libm(name, x)
    precision = 2400 if abs(x) < 1e-30 else 400
    if name in ("sin", "cos", "tan") and abs(x) > 1e6:
        precision = 1400
    with mp.workprec(precision):
        return nonzero(fmt, FUNCTIONS[name](mpf(x)), x)


def nonzero(fmt, v, x):
    """Rounds; an underflow keeps the sign of the exact value, an exact zero is +0."""
    r = fmt.round(v)
    return math.copysign(r, -1.0) if r == 0 and v < 0 else r


def exact_special(name, v, *args):
    """Finite nonzero values at zeros and infinities: multiples of pi/4, 1, -1 or 2."""
    with mp.workprec(200):
        k = mp.nint(mpf(v) / (mp.pi / 4))
        if abs(mpf(v) - k * mp.pi / 4) < mpf(2) ** -40:
            return k * mp.pi / 4
        assert v in (1, -1, 2), (name, v, args)
        return mpf(v)


def power(fmt, x, y):
    integer = y == math.floor(y)
    if x < 0 and not integer:
        return NAN
    negative = x < 0 and integer and int(y) % 2 == 1
    with mp.workprec(2400 if abs(y) < 1e-30 or abs(x - 1) < 1e-10 else 300):
        log2 = mpf(y) * mp.log(abs(mpf(x))) / mp.log(2)
        if abs(log2) > 3000:
            v = mp.ldexp(1, 5000 if log2 > 0 else -5000)
        else:
            v = mp.power(2, log2) if log2 else mpf(1)
        exponent = int(y) if integer and abs(y) <= 64 else None
        if exponent is not None and abs(log2) < 3000:
            with mp.workprec(6000):
                v = mpf(abs(x)) ** exponent
        r = fmt.round(v)
    return -r if negative else r


def log_uniform(rng, low, high):
    return math.ldexp(1 + rng.random(), rng.randint(low, high))


def common_points(fmt):
    base = [0.0, INF, 1.0, 2.0, 0.5, 0.25, 0.75, 3.0, 10.0, 100.0, 1e4, fmt.tiny, 2 * fmt.tiny,
            5 * fmt.tiny, fmt.normal, fmt.huge, fmt.normal / 2, math.ldexp(1.0, -fmt.p),
            math.ldexp(1.0, fmt.p), math.ldexp(1.0, fmt.p // 2), math.ldexp(1.0, -fmt.p // 2)]
    out = [NAN]
    for x in base:
        for v in fmt.near(x, 1) if 0 < x < INF else [x]:
            out += [v, -v]
    return out


def critical(fmt, name):
    """Where the function or its expansion changes: zeros, poles, thresholds of over- and underflow."""
    with mp.workprec(100):
        last, first = mp.ldexp(1, fmt.emax + 1), mp.ldexp(1, fmt.emin - fmt.p)
        ln = lambda v: float(mp.log(v))
        lists = {
            "exp": [ln(last), ln(first), ln(first * 2), ln(fmt.normal), math.log(2) / 2],
            "exp2": [fmt.emax + 1, fmt.emin - fmt.p, fmt.emin, 0.5, 1.5, -0.5, -1.5, 7, 8],
            "expm1": [ln(last), -fmt.p * math.log(2), math.log(2) / 2, -math.log(2) / 2, 1e-5],
            "sinh": [ln(last) + math.log(2), math.log(2) / 2, 1.04],
            "cosh": [ln(last) + math.log(2), math.log(2) / 2, 1.04],
            "tanh": [9.0, 19.06, 10, 20, math.log(2) / 2, 1.04],
            "log": [math.sqrt(2), math.sqrt(0.5), math.e],
            "log2": [math.sqrt(2), math.sqrt(0.5), 8, 1024],
            "log10": [math.sqrt(2), math.sqrt(0.5), 10, 1000, 1e10],
            "log1p": [-1, -0.5, -0.25, 0.375, 0.41421356, -0.29289321],
            "asin": [1, 0.5, -1, -0.5],
            "acos": [1, 0.5, -1, -0.5],
            "atan": [math.sqrt(2) - 1, math.sqrt(2) + 1, 1],
            "asinh": [1, 2.0**40, 2.0**100 if fmt is F64 else 1e19],
            "acosh": [1, 1.0001, 2.0**40, 2.0**100 if fmt is F64 else 1e19],
            "atanh": [1, -1, 0.5],
            "erf": [0.875, 1, 4, 6, 0.5, 3.92, 5.92],
            "erfc": [0.5, -0.5, 1, 4, 10.05, 10.06, 9.19, 26.54, 27.22, 27.23, 26.5, -5.8, -3.8],
            "cbrt": [1, 8, 27, 2.0**-90, 1e-20],
            "rsqrt": [1, 4],
        }
    out = [v for x in lists.get(name, []) for v in fmt.near(x, 3)]
    if name in ("sin", "cos", "tan"):
        out += trig_points(fmt)
    return out


def trig_points(fmt):
    """Numbers next to multiples of pi/2, the hardest ones known, and the ends of reductions."""
    rng = random.Random(5)
    hard = [math.ldexp(6381956970095103, 797), math.ldexp(5319372648326541, 797 - 542),
            math.ldexp(16367173, 72), math.ldexp(1.0, 1023), math.ldexp(1.9, 1023), 1e22]
    ends = [1e5, 1e6, math.pi / 4, 3 * math.pi / 4, 2.0**20, 2.0**31, 2.0**53, 2.0**63]
    out = []
    for x in hard + ends:
        if abs(x) <= fmt.huge:
            out += fmt.near(x, 2)
    with mp.workprec(1500):
        for _ in range(60 if fmt is F64 else 30):
            k = rng.randint(1, 2 ** rng.randint(1, fmt.emax - 2))
            out += fmt.near(float(k * mp.pi / 2), 1)
        for k in range(1, 30):
            out += fmt.near(float(k * mp.pi / 2), 1)
    return out + [-x for x in out[::3]]


def random_points(fmt, name, rng, count):
    """Random numbers: any bits, and the ranges where the function is interesting."""
    spans = {
        "exp": [(-760, 715), (-1, 1)] if fmt is F64 else [(-105, 90), (-1, 1)],
        "exp2": [(-1080, 1026), (-2, 2)] if fmt is F64 else [(-152, 129), (-2, 2)],
        "expm1": [(-45, 712), (-1, 1), (-2, 2)] if fmt is F64 else [(-20, 90), (-1, 1)],
        "sinh": [(-711, 711), (-3, 3)] if fmt is F64 else [(-90, 90), (-3, 3)],
        "cosh": [(-711, 711), (-3, 3)] if fmt is F64 else [(-90, 90), (-3, 3)],
        "tanh": [(-21, 21), (-2, 2), (-6, 6)],
        "erf": [(-6.2, 6.2), (-1.2, 1.2)],
        "erfc": [(-6, 27.5), (-1, 2), (0.4, 8)],
        "log1p": [(-1, 1), (-0.3, 0.5), (-1, 100)],
        "asin": [(-1, 1)] * 3,
        "acos": [(-1, 1)] * 3,
        "atanh": [(-1, 1)] * 3,
        "acosh": [(1, 2), (1, 20)],
        "asinh": [(-3, 3)],
    }.get(name, [(0.5, 2), (-10, 10), (0, 100), (-1e6, 1e6)])
    positive = DOMAIN.get(name, (-INF,))[0] >= 0
    for k in range(count):
        kind = k % 6
        if kind == 0:
            x = fmt.from_bits(rng.getrandbits(64 if fmt is F64 else 32))
            if name in ("asin", "acos", "atanh"):
                x = fmt.near(rng.uniform(-1, 1), 0)[0]
        elif kind == 1:
            x = log_uniform(rng, -40, 10) * rng.choice((-1, 1))
        elif kind == 2:
            x = 1 + rng.uniform(-1, 1) * 2.0 ** -rng.randint(1, fmt.p - 1)
        else:
            x = rng.uniform(*rng.choice(spans))
        x = fmt.near(x, 0)[0] if x == x and abs(x) < INF else x
        yield abs(x) if positive and rng.random() < 0.98 else x


def pairs(fmt, name, rng, count):
    special = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -2.5, INF, -INF, NAN,
               fmt.tiny, -fmt.tiny, fmt.huge, -fmt.huge, fmt.normal, 2.0**fmt.p + 1, 2.0 ** (fmt.p - 1) + 1,
               -(2.0 ** (fmt.p - 1)) - 1, math.ldexp(1.0, -fmt.p)]
    special = [fmt.near(x, 0)[0] if x == x and abs(x) < INF else x for x in special]
    yield from ((x, y) for x in special for y in special)
    for _ in range(count):
        kind = rng.randrange(6)
        if name == "atan2":
            s = math.ldexp(1.0, rng.randint(-100, 100) if kind else rng.randint(fmt.emin, fmt.emax - 4))
            spread = 1.0 if kind < 3 else math.ldexp(1.0, rng.randint(-30, 30))
            a = s * rng.uniform(-2, 2)
            b = s * spread * rng.uniform(-2, 2)
            if kind == 5:
                a = fmt.from_bits(rng.getrandbits(64 if fmt is F64 else 32))
        else:
            a = log_uniform(rng, *((-30, 30) if kind < 3 else (fmt.emin - 20, fmt.emax - 1)))
            if kind == 1:
                a = 1 + rng.uniform(-1, 1) * 2.0 ** -rng.randint(1, fmt.p - 1)
            a = fmt.near(a, 0)[0]
            reach = rng.uniform(-1, 1) * (fmt.emax + fmt.p + 2)
            b = reach / math.log2(a) if a not in (0.0, 1.0) else rng.uniform(-9, 9)
            if kind == 4:
                a, b = -a, float(math.floor(max(min(b, 2**60), -(2**60))))
            if kind == 5:
                b = float(rng.randint(-9, 9))
        if abs(a) <= fmt.huge and abs(b) <= fmt.huge:
            yield fmt.near(a, 0)[0], fmt.near(b, 0)[0]


# x, y, pow(x, y) as IEEE 754 wants it, to check the C library by.
PINNED = [(NAN, 0.0, 1.0), (1.0, NAN, 1.0), (-1.0, INF, 1.0), (-1.0, -INF, 1.0), (-0.0, 3.0, -0.0),
          (-0.0, -3.0, -INF), (-0.0, 2.0, 0.0), (0.0, -0.5, INF), (-INF, 3.0, -INF),
          (-INF, 0.5, INF), (-INF, -3.0, -0.0), (0.5, INF, 0.0), (2.0, -INF, 0.0), (-8.0, 0.5, NAN)]


def table(fmt, name, count):
    rng = random.Random(f"{name}_{fmt.name}")
    if FUNCTIONS[name] is None:
        points = list(pairs(fmt, name, rng, count))
    else:
        points = [(x,) for x in common_points(fmt) + critical(fmt, name)]
        points += [(x,) for x in random_points(fmt, name, rng, count)]
    lines = {}
    for args in points:
        lines[",".join(fmt.hex(v) for v in args)] = args
    return [f"{key},{fmt.hex(truth(fmt, name, *args))}" for key, args in lines.items()]


def main():
    for x, y, r in PINNED:
        v = truth(F64, "pow", x, y)
        assert F64.hex(v) == F64.hex(r), (x, y, r, v)
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scalar")
    os.makedirs(folder, exist_ok=True)
    for name in sys.argv[1:] or FUNCTIONS:
        for fmt, count in ((F64, 1200), (F32, 150)):
            with open(os.path.join(folder, f"{name}_{fmt.name}.csv"), "w") as f:
                f.write("\n".join(table(fmt, name, count)) + "\n")


if __name__ == "__main__":
    main()
