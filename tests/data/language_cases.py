"""Writes the runs of `tests/cases/run/*.tir`: one file per rule and per form of the language.

Usage: python3 tests/data/language_cases.py
"""

import math

import numpy as np

from case_text import bf16, ints, rand, rewrite, run

INF, NAN = np.inf, np.nan


def bools(seed, *shape, p=0.5):
    return np.random.default_rng(seed).uniform(0, 1, shape) < p


def complexes(seed, *shape):
    return rand(seed, *shape) + 1j * rand(seed + 1000, *shape)


def lse(x, axis=-1):
    m = x.max(axis, keepdims=True, initial=-INF)
    m = np.where(np.isfinite(m), m, 0)
    return np.squeeze(m, axis) + np.log(np.exp(x - m).sum(axis))


def masked_softmax(X, M):
    e = np.where(M, np.exp(X - np.where(M, X, -INF).max(-1, keepdims=True)), 0.0)
    total = e.sum(-1, keepdims=True)
    return np.where(M, e / np.where(total == 0, 1, total), 0.0)


def masked_log_softmax(X, M):
    safe = np.where(M, X, -INF)
    return np.where(M, X - lse(safe)[:, None], -INF)


def scatter(size, at, values, ufunc, unit):
    out = np.full(size, unit, np.asarray(values).dtype)
    ufunc.at(out, at, values)
    return out


def diagonals(X):
    I, J = X.shape
    Y = np.zeros(I + J - 1)
    for i in range(I):
        for j in range(J):
            Y[i + j] += X[i, j]
    return Y


def forward(X):
    Y = [0.0]
    for x in X:
        Y.append(0.5 * Y[-1] + x)
    return Y


def final(X):
    h = 1.0
    for x in X:
        h = h * x + 1
    return h


def rotation(T0, c, s, steps):
    X, Y = [T0], [0.0]
    for _ in range(steps):
        x, y = X[-1], Y[-1]
        X.append(c * x - s * y)
        Y.append(s * x + c * y)
    return {"X": X, "Y": Y}


def reducing(Init, Tr, T0):
    V = [Init]
    for t in T0:
        V.append((V[-1][:, None] + Tr).max(0) + t)
    return np.array(V)


def reachable(E, S):
    R = S.copy()
    for _ in S:
        R = R | (R @ E)
    return R


def closure(W, join, best):
    D = W.copy()
    for _ in W:
        D = best(D, best.reduce(join(D[:, :, None], W[None]), axis=1))
    return D


def rounds(A, B):
    X = np.zeros_like(B)
    for _ in range(3):
        X = B - A @ X
    return X


def units(X, B):
    return {
        "S": X.sum(1), "P": X.prod(1), "L": X.min(1, initial=INF), "H": X.max(1, initial=-INF),
        "M": lse(X), "O": B.any(1), "A": B.all(1),
    }


def groups(G, X):
    sums, counts = np.zeros(3), np.zeros(3)
    np.add.at(sums, G, X)
    np.add.at(counts, G, 1)
    return sums / counts


def tropical(join, best):
    return lambda A, B: best.reduce(join(A[:, :, None], B[None]), axis=1)


def minplus_int(A, B):
    # The largest value stands for infinity and absorbs.
    top = 2**31 - 1
    S = A[:, :, None].astype(np.int64) + B[None]
    S = np.where((A[:, :, None] == top) | (B[None] == top), top, S)
    return S.min(1)


def wrap(x, dtype):
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(dtype)


def wrap8(A, B):
    with np.errstate(all="ignore"):
        return {"S": A + B, "D": A - B, "P": A * B, "T": A.sum(dtype=np.uint8)}


def wrap32(A, B):
    with np.errstate(all="ignore"):
        return {"S": A + B, "P": A * B, "M": -A}


def wrap64(A, B):
    with np.errstate(all="ignore"):
        return {"S": A + B, "P": A * B}


def saturated(X, low, high):
    return [0 if np.isnan(x) else int(min(max(np.trunc(x), low), high)) for x in X]


def float_to_int(X):
    return {"A": saturated(X, -(2**31), 2**31 - 1), "B": saturated(X, 0, 255), "C": X != 0}


def shifted(X, by):
    return np.array([X[n + by] if 0 <= n + by < len(X) else 0.0 for n in range(len(X))])


def excluded(X):
    return [max(X[n : n + 3]) for n in range(len(X))]


def round_half_even(X):
    return np.rint(X)


def vec(f):
    return np.vectorize(f, otypes=[np.float64])


erf, erfc = vec(math.erf), vec(math.erfc)
MATMUL = lambda A, B: A @ B
INT32 = [0, 1, -1, 7, -7, 2**31 - 1, -(2**31), 12345]
INT32B = [3, 2**31 - 1, -1, 3, 3, 1, -1, 98765]
FLOATS = [0.0, -0.0, 1.0, -1.5, INF, -INF, NAN]
EXP = [-87.0, -10.5, -1.0, -1e-5, 0.0, 1e-6, 0.5, 1.0, 5.25, 88.0]
LOG = [1e-30, 0.001, 0.5, 0.999, 1.0, 1.001, 2.718, 10.0, 1e6, 1e30]
ANGLES = [-1000.0, -3.1, -1.0, -1e-4, 0.0, 0.1, 0.785, 1.5, 3.0, 100.0]
HYPER = [-9.0, -2.0, -0.5, -1e-4, 0.0, 1e-3, 0.25, 1.0, 3.0, 20.0]
ERF = [-6.0, -2.0, -0.5, -1e-4, 0.0, 1e-3, 0.25, 1.0, 3.0, 5.0]


def maps(**functions):
    """Results by name from functions of `X`."""
    return lambda X: {name: f(X) for name, f in functions.items()}


exps = maps(A=np.exp, B=np.exp2, C=np.expm1)
logs = maps(A=np.log, B=np.log2, C=np.log10, D=np.log1p)
roots = maps(A=np.sqrt, B=lambda x: 1 / np.sqrt(x), C=np.cbrt)
angles = maps(A=np.sin, B=np.cos, C=np.tan, D=np.arctan)

TABLE = {
    "run/r01_implicit_sums": [
        run("matmul", {"A": rand(1, 3, 4), "B": rand(2, 4, 5), "C": rand(3, 3, 5)},
            lambda A, B, C: A @ B + C),
        run("matmul", {"A": np.zeros((2, 0)), "B": np.zeros((0, 3)), "C": rand(3, 2, 3)},
            lambda A, B, C: C),
        run("terms", {"A": rand(1, 3, 4), "B": rand(2, 4), "D": rand(3, 4)},
            lambda A, B, D: A @ B - D.sum() + 1),
        run("division", {"A": rand(1, 3, 4), "B": rand(2, 4), "D": rand(3, 3)},
            lambda A, B, D: A @ B / D),
        run("nested", {"A": rand(1, 3, 4), "B": rand(2, 4, 2), "C": rand(3, 2, 3)},
            lambda A, B, C: 2 * np.diag(A @ B @ C)),
        run("predicate", {"A": rand(4, 5)}, lambda A: A.cumsum()),
        run("logic", {"A": bools(1, 3, 4), "B": bools(2, 4, 2)}, lambda A, B: A @ B),
        run("trace", {"A": ints(1, -9, 9, 4, 4)}, lambda A: A.trace()),
    ],
    "run/r02_arguments": [
        run("layer", {"Agg": rand(1, 3, 2), "H": rand(2, 3, 4), "W": rand(3, 4, 2)},
            lambda Agg, H, W: np.maximum(Agg + H @ W, 0)),
        run("two", {"X": rand(1, 4, 3), "U": rand(2, 3), "V": rand(3, 3)},
            lambda X, U, V: np.maximum(X @ U, X @ V) * abs(X.sum(1))),
    ],
    "run/r03_explicit_sums": [
        run("normalize", {"A": rand(1, 3, 4, low=0.1)}, lambda A: A / A.sum(1, keepdims=True)),
        run("squares", {"A": rand(1, 3, 4)}, lambda A: (A * A).sum(1)),
        run("distances", {"A": rand(1, 3, 2), "B": rand(2, 4, 2)},
            lambda A, B: ((A[:, None] - B[None]) ** 2).sum(-1)),
        run("shared", {"A": rand(1, 3, 4), "B": rand(2, 4), "C": rand(3, 4)},
            lambda A, B, C: (A - B) @ C),
    ],
    "run/r04_whole_reductions": [
        run("largest", {"A": rand(1, 3, 4), "B": rand(2, 4)}, lambda A, B: (A + B).max(1)),
        run("smallest", {"A": rand(1, 3, 4), "B": rand(2, 4)}, lambda A, B: (A * B + 1).min(1)),
        run("log_sum", {"A": rand(1, 3, 4), "B": rand(2, 4)}, lambda A, B: lse(A + B)),
    ],
    "run/r05_scatter": [
        run("histogram", {"Bin": ints(1, 0, 5, 9), "W": rand(2, 9)},
            lambda Bin, W: scatter(6, Bin, W, np.add, 0.0), {"N": 6}),
        run("halves", {"X": rand(3, 7)},
            lambda X: scatter(5, np.arange(7) // 2, X, np.maximum, -INF), {"HO": 5}),
        run("smallest", {"Bin": [0, 2, 2, 0], "W": [5, 9, -3, 8]}, [5, 2**31 - 1, -3], {"N": 3}),
        run("diagonals", {"X": rand(4, 3, 4)}, diagonals),
        run("regions", {"X": rand(5, 3, 4)}, lambda X: np.concatenate([[7.0], X.max(1)])),
        run("together", {"A": rand(6, 3), "B": rand(7, 3, 4)}, lambda A, B: A + B.sum(1)),
        run("blocks", {"A": rand(8, 3), "B": rand(9, 3)}, lambda A, B: np.concatenate([A, B])),
    ],
    "run/r06_domains": [
        run("window", {"X": rand(1, 10, 3)}, lambda X: X[:4]),
        run("first", {"X": rand(1, 5)}, lambda X: X[:3].sum()),
        run("differences", {"X": rand(1, 6)}, lambda X: np.diff(X)),
        run("ramp", {}, lambda: 10.0 * np.arange(5)[:, None] + np.arange(3)),
        run("equal", {"A": rand(1, 4), "B": rand(2, 4)}, lambda A, B: A @ B),
        run("equal", {"A": rand(1, 4), "B": rand(2, 3)}, "E-FACT"),
    ],
    "run/r07_bounds": [
        run("halves", {"X": rand(1, 7)},
            lambda X: scatter(4, np.arange(7) // 2, X, np.add, 0.0), {"HO": 4}),
        run("halves", {"X": rand(1, 7)}, "E-FACT", {"HO": 3}),
        run("last", {"V": rand(1, 4, 3)}, lambda V: V[-1]),
        run("last", {"V": np.zeros((0, 3))}, "E-FACT"),
        run("padded", {"X": rand(1, 5)},
            lambda X: np.append(0, X[:-1]) + 2 * X + np.append(X[1:], -1)),
        run("guarded", {"X": rand(1, 5)}, lambda X: np.append(0, X[:-1])),
        run("excluded", {"X": rand(1, 6)}, excluded),
        run("indicator", {"X": rand(1, 5)}, lambda X: X * (np.arange(5) % 2 == 0)),
        run("reversed", {"X": rand(1, 5)}, lambda X: X[::-1]),
        run("strided", {"X": rand(1, 8)}, lambda X: X[1::2]),
    ],
    "run/r08_scans": [
        run("forward", {"X": rand(1, 6)}, forward),
        run("forward", {"X": []}, [0.0]),
        run("fibonacci", {}, [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]),
        run("backward", {"X": rand(2, 6)},
            lambda X: np.array(forward(X[::-1])[1:])[::-1]),
        run("final", {"X": rand(3, 5)}, final),
        run("rotation", {"T0": 2.0, "c": 0.8, "s": 0.6},
            lambda T0, c, s: rotation(T0, c, s, 5), {"N": 5}),
        run("reducing", {"Init": rand(4, 3), "Tr": rand(5, 3, 3), "T0": rand(6, 4)}, reducing),
    ],
    "run/r08_fixpoints": [
        run("reachable", {"E": bools(3, 7, 7, p=0.2), "S": [i == 0 for i in range(7)]}, reachable),
        run("paths", {"W": np.where(bools(4, 6, 6, p=0.4), rand(5, 6, 6, low=0.1, high=9), INF)},
            lambda W: closure(W, np.add, np.minimum)),
        run("paths", {"W": [[-1.0, 2.0], [INF, 0.0]]}, "E-DIVERGE"),
        run("widest", {"C": rand(6, 5, 5, low=0, high=9)},
            lambda C: closure(C, np.minimum, np.maximum)),
        run("newton", {"A": [2.0, 9.0, 0.25]}, lambda A: np.sqrt(A)),
        run("rounds", {"A": rand(7, 3, 3), "B": rand(8, 3)}, rounds),
    ],
    "run/r09_extents": [
        run("repeated", {"A": rand(1, 3, 4), "B": rand(2, 1, 4)}, lambda A, B: A + B),
        run("outer", {"A": rand(1, 3), "B": rand(2, 4)}, lambda A, B: np.outer(A, B)),
        run("spread", {"A": rand(1, 4)}, lambda A: np.repeat(A[:, None], 3, 1)),
        run("einsum_repeated", {"A": rand(1, 1, 4), "B": rand(2, 3, 4)},
            lambda A, B: (A * B).sum(1)),
        run("units", {"X": np.zeros((2, 0)), "B": np.zeros((2, 0))}, units),
        run("units", {"X": np.zeros((0, 3)), "B": np.zeros((0, 3))}, units),
        run("units", {"X": rand(3, 2, 3), "B": bools(4, 2, 3)}, units),
    ],
    "run/r10_einsum": [
        run("batched", {"A": rand(1, 2, 3, 4), "C": rand(2, 2, 4, 5)}, lambda A, C: A @ C),
        run("named", {"A": rand(1, 2, 3, 4), "C": rand(2, 2, 4, 5)}, lambda A, C: (A @ C).sum(0)),
        run("implicit", {"A": rand(1, 3, 4), "B": rand(2, 4, 2)}, MATMUL),
        run("diagonal", {"A": rand(1, 4, 4)}, lambda A: np.diag(A)),
        run("trace", {"A": rand(1, 4, 4)}, lambda A: A.trace()),
        run("embedded", {"V": rand(1, 3)}, lambda V: np.diag(V)),
        run("ellipsis", {"A": rand(1, 2, 3, 2, 4), "B": rand(2, 3, 4, 2)}, MATMUL),
        run("chain", {"A": rand(1, 2, 3), "B": rand(2, 3, 4), "C": rand(3, 4, 5)},
            lambda A, B, C: A @ B @ C),
        run("total", {"A": ints(1, -9, 9, 3, 4)}, lambda A: A.sum()),
    ],
    "run/r11_generics": [
        run("flat", {"X": rand(1, 5), "G": rand(2, 5)}, lambda X, G: X * G),
        run("deep", {"X": rand(1, 2, 3, 4), "G": rand(2, 4)}, lambda X, G: X * G),
        run("sums", {"X": ints(1, -9, 9, 3, 4), "Z": rand(2, 5)},
            lambda X, Z: {"Y": X.sum(1), "S": Z.sum()}),
        run("late", {"G": rand(1, 4), "X": rand(2, 2, 3, 4)}, lambda G, X: X @ G),
        run("lifted", {"X": rand(1, 2, 3)}, lambda X: X**3),
        run("inlined", {"X": ints(1, -9, 9, 3), "W": rand(2, 3, 4)},
            lambda X, W: {"Y": X**3 + 1, "S": np.maximum((W**3).sum(1), 0)}),
        run("whole", {"X": rand(1, 2, 3)}, lambda X: {"Y": abs(X), "Z": X}),
    ],
    "run/r11_calls": [
        run("moments", {"X": rand(1, 7)}, lambda X: {"M": X.mean(), "V": X.var()}),
        run("standardize", {"X": rand(1, 7)}, lambda X: (X - X.mean()) / X.std()),
        run("named", {}, lambda: 7.0),
        run("declared", {}, lambda: 2.0 + 1.0 + 0.0),
        run("twice", {"X": rand(1, 4)}, lambda X: np.append([0.0, 0.0], X)),
        run("order", {"X": rand(1, 4)}, lambda X: (X - 3) * 2 + 1),
        run("grid", {"lo": 1.5, "step": -0.25},
            lambda lo, step: lo + step * np.arange(3), {"N": 3}),
    ],
    "run/r12_gather": [
        run("gather", {"X": rand(1, 5, 2), "T": [4, 0, 0, 3]}, lambda X, T: X[T]),
        run("gather", {"X": rand(1, 5, 2), "T": [4, 5]}, "E-INDEX"),
        run("gather", {"X": rand(1, 5, 2), "T": [-1]}, "E-INDEX"),
        run("defaulted", {"X": rand(1, 3), "T": [2, 3, -1, 0]},
            lambda X, T: [X[2], -1, -1, X[0]]),
        run("computed", {"X": rand(1, 7), "T": [2, 0, 1]}, lambda X, T: X[2 * T + 1]),
        run("nested", {"X": rand(1, 4), "T": [3, 1], "S": [0, 1, 1]}, lambda X, T, S: X[T[S]]),
        run("scatter", {"T": [1, 3, 1], "W": rand(2, 3)},
            lambda T, W: scatter(4, T, W, np.add, 0.0), {"V": 4}),
        run("scatter", {"T": [1, 4, 1], "W": rand(2, 3)}, "E-INDEX", {"V": 4}),
        run("dropped", {"T": [1, 4, 1, -1], "W": rand(2, 4)},
            lambda T, W: [0, W[0] + W[2], 0, 0], {"V": 4}),
        run("pairs", {"R": [0, 2, 0], "C": [3, 1, 3], "W": rand(3, 3)},
            lambda R, C, W: scatter((3, 4), (R, C), W, np.add, 0.0)),
        run("pairs", {"R": [0, 3], "C": [3, 1], "W": rand(3, 2)}, "E-INDEX"),
    ],
    "run/r13_constants": [
        run("third", {"X": rand(1, 4)}, lambda X: X / 3),
        run("average", {"X": rand(1, 3, 4)}, lambda X: X.mean(1)),
        run("powers", {"X": rand(1, 4, low=0.5)},
            lambda X: {"A": -(X**2), "B": X**3, "C": 1 / X, "D": 2**X}),
        run("floors", {"A": [7, -7, 7, -7, 6], "B": [2, 2, -2, -2, 3]},
            lambda A, B: {"Q": A // B, "R": A % B}),
        run("subscripts", {"X": rand(1, 6)},
            lambda X: X[(np.arange(6) + 2) % 6] + X[np.arange(6) // 2]),
        run("names", {}, lambda: [math.pi, INF, -INF, NAN]),
        run("positions", {"X": rand(1, 4)},
            lambda X: {"Y": X + np.arange(4), "P": np.arange(4) ** 2, "S": 4}),
        run("folded", {},
            lambda: {"Y": math.sqrt(2) * 0.1 + 1 / 7, "Z": math.e, "W": 14}),
    ],
    "run/r14_sugar": [
        run("masked", {"X": rand(1, 3, 4), "M": [[1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]},
            masked_softmax),
        run("log_masked", {"X": rand(1, 3, 4), "M": [[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 0]]},
            masked_log_softmax),
        run("both", {"X": rand(2, 3, 2)}, lambda X: np.exp(X) / np.exp(X).sum()),
        run("running", {"X": rand(3, 4, 2)}, lambda X: X.cumsum(0)),
        run("averages", {"X": rand(4, 3, 4), "M": [[1, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]},
            lambda X, M: {"A": X.mean(1), "B": (X * M).sum(1) / M.sum(1)}),
        run("counts", {"X": rand(5, 3, 4)},
            lambda X: {"C": (X > 0).sum(1), "D": np.triu(X > 0).sum()}),
        run("extremes", {"X": [[1, 3, 3, 2], [4, NAN, 5, NAN], [-1, -1, -2, -2]]},
            {"A": [1, 1, 0], "B": [0, 1, 2]}),
        run("restricted", {"X": rand(6, 4, 4)},
            lambda X: [-1] + [X[n, :n].argmax() for n in range(1, 4)]),
    ],
    "run/r15_integers": [
        run("wrap8", {"A": [0, 1, 200, 255], "B": [1, 2, 100, 255]}, wrap8),
        run("wrap32", {"A": INT32, "B": INT32B}, wrap32),
        run("wrap64", {"A": [2**63 - 1, -(2**63), 2**62 + 1], "B": [1, -1, 6]}, wrap64),
        run("unsigned", {"A": np.array([2**64 - 1, 2**63, 5], np.uint64)},
            {"S": (2**64 - 1 + 2**63 + 5) % 2**64, "M": 2**64 - 1, "H": [2**63 - 1, 2**62, 2]}),
        run("extremes", {"A": [-128, 127, 0, -1]},
            {"L": -128, "H": 127, "B": [-128, 127, 0, 1]}),
        run("extremes", {"A": []}, {"L": 127, "H": -128, "B": []}),
        run("division", {"A": [7, 8], "B": [2, -3]}, [3, -3]),
        run("division", {"A": [7, 8], "B": [2, 0]}, "E-DIV"),
    ],
    "run/r15_half": [
        run("sum16", {"X": [2048.0] + [1.0] * 6}, 2054.0),
        run("dot16", {"A": rand(1, 3, 5), "B": rand(2, 5, 2)}, MATMUL),
        run("dotb16", {"A": rand(1, 3, 5), "B": rand(2, 5, 2)}, MATMUL),
        run("wide", {"A": [1.0, 2.0009765625, -3.5, 65504.0]},
            lambda A: {"Y": A / 3, "B": bf16(A)}),
        run("accumulate", {"X": [1e8] + [1.0] * 7 + [-1e8]}, 7.0),
    ],
    "run/assign_sum": [
        run("main", {"X": rand(1, 3, 4)}, lambda X: X.sum(1)),
        run("main", {"X": np.zeros((2, 0))}, lambda X: X.sum(1)),
        run("plain", {"X": ints(1, -9, 9, 3, 4)}, lambda X: X.sum()),
    ],
    "run/assign_max": [
        run("main", {"X": [[1.0, -2.0, 3.5], [-INF, -7.0, -8.0], [0.0, NAN, 1.0]]},
            lambda X: X.max(1)),
        run("main", {"X": np.zeros((2, 0))}, [-INF, -INF]),
        run("whole", {"X": ints(1, -99, 99, 3, 2)},
            lambda X: [X[0].max(), X[1, 1], -(2**15)]),
    ],
    "run/assign_min": [
        run("main", {"X": [[1.0, -2.0, 3.5], [INF, 7.0, 8.0], [0.0, NAN, 1.0]]},
            lambda X: X.min(1)),
        run("whole", {"X": ints(1, 5, 99, 3, 2)}, lambda X: X.min(1)),
        run("whole", {"X": np.zeros((2, 0))}, [2**32 - 1] * 2),
    ],
    "run/assign_prod": [
        run("main", {"X": rand(1, 3, 4)}, lambda X: X.prod(1)),
        run("main", {"X": np.zeros((2, 0))}, [1, 1]),
        run("whole", {"X": ints(1, -4, 4, 3, 4)}, lambda X: (X + 1).prod(1)),
    ],
    "run/assign_or": [
        run("main", {"X": bools(1, 4, 3, p=0.3), "M": [0, 1, 0]},
            lambda X, M: (X & ~M).any(1)),
        run("main", {"X": np.zeros((2, 0)), "M": []}, [False, False]),
    ],
    "run/assign_and": [
        run("main", {"X": rand(2, 5, 3, low=-1)}, lambda X: (X[:, 1:] > 0).all(1)),
        run("main", {"X": np.zeros((2, 0))}, [True, True]),
    ],
    "run/assign_lse": [
        run("main", {"X": 300 * rand(1, 3, 4)}, lambda X: lse(X)),
        run("main", {"X": [[-INF, -INF], [INF, 0.0], [-INF, 2.0]]}, [-INF, INF, 2.0]),
        run("main", {"X": np.zeros((1, 0))}, [-INF]),
        run("narrow", {"X": rand(2, 3, 3)},
            lambda X: [lse(X[n, : n + 1]) for n in range(3)]),
    ],
    "run/assign_mean": [
        run("main", {"X": rand(1, 3, 4)}, lambda X: X.mean(1)),
        run("main", {"X": np.zeros((2, 0))}, [NAN, NAN]),
        run("groups", {"G": [0, 2, 0, 0], "X": rand(2, 4)}, groups),
    ],
    "run/semirings": [
        run("real", {"A": rand(1, 3, 4), "B": rand(2, 4, 2)}, MATMUL),
        run("bool_", {"A": bools(1, 3, 4), "B": bools(2, 4, 2)}, MATMUL),
        run("maxplus", {"A": rand(1, 3, 4), "B": rand(2, 4, 2)}, tropical(np.add, np.maximum)),
        run("maxplus", {"A": [[-INF, 1.0]], "B": [[5.0], [-INF]]}, [[-INF]]),
        run("minplus", {"A": rand(1, 3, 4), "B": rand(2, 4, 2)}, tropical(np.add, np.minimum)),
        run("minplus_int", {"A": [[2**31 - 1, 3], [1, 2**31 - 1]], "B": [[4, 5], [2**31 - 1, 6]]},
            minplus_int),
        run("maxmul", {"A": rand(1, 3, 4, low=0), "B": rand(2, 4, 2, low=0)},
            tropical(np.multiply, np.maximum)),
        run("log_", {"A": rand(1, 3, 4), "B": rand(2, 4, 2)},
            lambda A, B: np.log(np.exp(A) @ np.exp(B))),
        run("count_", {"A": bools(1, 3, 4), "B": bools(2, 4, 2)},
            lambda A, B: A.astype(int) @ B.astype(int)),
    ],
    "run/facts": [
        run("declared", {"X": rand(1, 3, 4)}, lambda X: X.sum(1)),
        run("declared", {"X": rand(1, 3, 5)}, "E-FACT"),
        run("declared", {"X": rand(1, 5, 4)}, "E-FACT"),
        run("between", {"X": rand(1, 4)}, lambda X: X),
        run("between", {"X": rand(1, 5)}, "E-FACT"),
        run("between", {"X": rand(1, 1)}, "E-FACT"),
        run("related", {"A": rand(1, 3), "B": rand(2, 4)}, lambda A, B: A + B[1:]),
        run("related", {"A": rand(1, 3), "B": rand(2, 3)}, "E-FACT"),
    ],
    "run/sizes": [
        run("solved", {"X": rand(1, 4, 6)}, lambda X: X[1:, ::2] - X[:-1, 1::2]),
        run("solved", {"X": rand(1, 4, 5)}, "E-SHAPE"),
        run("free", {"X": rand(1, 3)},
            lambda X: X[:, None] * (np.arange(4) + 1) / 4, {"K": 4}),
        run("free", {"X": rand(1, 3)}, "E-SHAPE"),
        run("divided", {"X": rand(1, 7)}, lambda X: X[:6].reshape(3, 2)),
        run("least", {"A": rand(1, 3), "B": rand(2, 5)}, lambda A, B: A + B[:3]),
        run("least", {"A": rand(1, 3), "B": rand(2, 2)}, lambda A, B: A[:2] + B),
    ],
    "run/param": [
        run("main", {"X": rand(1, 3, 4), "W": rand(2, 4, 4), "B": rand(3, 4)},
            lambda X, W, B: X @ (2 * W.T) + B),
        run("folded", {"X": rand(1, 3, 4), "U": rand(2, 2, 4), "V": rand(3, 4, 2)},
            lambda X, U, V: X @ (V @ U).T),
    ],
    "run/inout": [
        run("add", {"X": rand(1, 4), "S": rand(2, 4)}, lambda X, S: {"S": S + X}),
        run("slot", {"X": rand(1, 3), "Cache": rand(2, 4, 3)},
            lambda X, Cache: (lambda C: {"Cache": C, "Y": C.sum(0)})(
                np.concatenate([Cache[:1], X[None], Cache[2:]]))),
        run("append", {"X": rand(1, 3), "P": 2, "Cache": rand(2, 4, 3)},
            lambda X, P, Cache: {"Cache": np.concatenate([Cache[:2], X[None], Cache[3:]])}),
        run("append", {"X": rand(1, 3), "P": 4, "Cache": rand(2, 4, 3)}, "E-INDEX"),
    ],
    "run/complex": [
        run("product", {"A": complexes(1, 4), "B": complexes(2, 4)},
            lambda A, B: {"S": A - B, "P": A * B, "Q": A / B, "C": np.vdot(A, B)}),
        run("parts", {"A": complexes(3, 4)},
            lambda A: {"R": A.real, "I": A.imag, "M": abs(A), "B": A.imag + 1j * A.real}),
        run("unitary", {"U": complexes(4, 3, 3)}, lambda U: U @ U.conj().T),
        run("equal", {"A": [1 + 2j, 1 + 2j], "B": [1 + 2j, 1 - 2j]}, [True, False]),
    ],
    "run/casts": [
        run("float_to_int", {"X": [1.9, -1.9, 300.0, -5.5, 1e12, -1e12, INF, NAN, 0.0]},
            float_to_int),
        run("int_to_float", {"X": [0, -7, 2**24 + 1, 2**53 + 1, 70000]},
            lambda X: {"A": X.astype(np.float32), "B": X.astype(np.float64),
                       "C": X.astype(np.float16)}),
        run("int_to_int", {"X": [0, -1, 255, 256, -129, 2**31 - 1]},
            lambda X: {n: wrap(X, t) for n, t in
                       zip("ABCD", (np.uint8, np.int8, np.int64, np.uint32))}),
        run("float_to_float", {"X": [0.1, -2.5, 1e6, 1e-9, INF, NAN]},
            lambda X: {"A": wrap(X, np.float32), "B": wrap(X, np.float16), "C": bf16(X)}),
        run("from_bool", {"X": [True, False]}, {"A": [1, 0], "B": [1, 0]}),
        run("bits", {"X": [1.0, -2.5, -0.0, 1e-3]},
            lambda X: {"Y": X.astype(np.float32).view(np.uint32), "Z": abs(X)}),
        run("to_complex", {"X": [1.5, -2.0]}, [1.5 + 0j, -2.0 + 0j]),
    ],
    "run/bits": [
        run("main", {"A": INT32, "B": INT32B}, lambda A, B: {"C": A & B, "D": A | B, "E": A ^ B}),
        run("shifts", {"A": [1, -1, -5, 12345, 2**31 - 1], "K": [4, 31, 1, 0, 3]},
            lambda A, K: {"L": A << K, "R": A >> K}),
        run("unsigned", {"A": [1, 2**32 - 1, 5, 123456789], "K": [4, 31, 1, 0]},
            lambda A, K: {"L": A << K, "R": A >> K,
                          "H": [(int(a) * int(a)) >> 32 for a in A]}),
    ],
    "run/logic": [
        run("comparisons", {"A": [1, 2, NAN, INF, 0.0], "B": [1, 3, NAN, -INF, -0.0]},
            lambda A, B: {"E": A == B, "F": A != B, "L": A < B, "G": A >= B}),
        run("connectives", {"A": [0, 0, 1, 1], "B": [0, 1, 0, 1]},
            lambda A, B: {"C": A & B, "D": A | B, "E": ~A, "F": A ^ B}),
        run("choice", {"A": [1.0, 2.0, NAN], "B": [4.0, 0.0, 2.0], "C": [0, 1, 0]},
            [0.25, 2.0, 0.5]),
        run("extremes", {"A": [1, -1, NAN, INF], "B": [2, -3, 5, 0]},
            lambda A, B: {"L": np.minimum(A, B), "H": np.maximum(A, B)}),
        run("tests", {"A": FLOATS},
            lambda A: {"P": np.isnan(A), "Q": np.isinf(A), "R": np.isfinite(A)}),
    ],
    "run/rounding": [
        run("main", {"X": [0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6, 7.0, 1e300]},
            lambda X: {"A": np.floor(X), "B": np.ceil(X), "C": np.rint(X), "D": np.trunc(X),
                       "E": abs(X), "S": np.sign(X)}),
        run("remainder", {"A": [7.5, -7.5, 7.5, -7.5], "B": [2, 2, -2, -2]},
            lambda A, B: A - B * np.floor(A / B)),
        run("signs", {"A": [1, -2, 3, -0.0], "B": [-1, 1, -0.0, 5]},
            lambda A, B: np.copysign(A, B)),
    ],
    "run/functions_exp": [
        run("main", {"X": EXP[1:-1]}, exps), run("wide", {"X": EXP[1:-1]}, exps),
        run("main", {"X": [-87.0]}, exps), run("main", {"X": [INF, -INF, NAN]}, exps),
        run("wide", {"X": [-700.0]}, exps),
        run("wide", {"X": [710.0, INF, -INF, NAN, -800.0]}, exps),
    ],
    "run/functions_log": [
        run("main", {"X": LOG}, logs), run("wide", {"X": LOG}, logs),
        run("wide", {"X": [0.0, -0.5, -2.0, INF, NAN]}, logs),
        run("wide", {"X": [1e-12, 1e-5]}, logs),
    ],
    "run/functions_root": [
        run("main", {"X": [0.25, 2.0, 3.0, 1000.0]}, roots),
        run("wide", {"X": [0.25, 2.0, 3.0, 1000.0]}, roots),
        run("wide", {"X": [0.0, INF]}, roots),
        run("power", {"X": [2.0, 3.0, 0.5, 10.0, -2.0, -2.0, 0.0, 1.0],
                      "Y": [0.5, 4.0, -3.0, 2.5, 3.0, 2.0, 0.0, NAN]},
            lambda X, Y: X**Y),
    ],
    "run/functions_trigonometric": [
        run("main", {"X": ANGLES}, angles), run("wide", {"X": ANGLES}, angles),
        run("inverse", {"X": [-1.0, -0.7, 0.0, 1e-3, 0.5, 0.99, 1.0, 1.5]},
            maps(A=np.arcsin, B=np.arccos)),
        run("angle", {"Y": [1, -1, 0, 0, 2, -3], "X": [1, -1, 1, -1, 0, 0.5]},
            lambda Y, X: np.arctan2(Y, X)),
    ],
    "run/functions_hyperbolic": [
        run("main", {"X": HYPER[1:-1]}, maps(A=np.sinh, B=np.cosh, C=np.tanh)),
        run("wide", {"X": HYPER[1:-1]}, maps(A=np.sinh, B=np.cosh, C=np.tanh, D=np.arcsinh)),
        run("inverse", {"X": [0.0, 0.5, 1.0, 3.0]},
            maps(A=lambda x: np.arccosh(1 + x), B=lambda x: np.arctanh(x / 4))),
    ],
    "run/functions_erf": [
        run("main", {"X": ERF}, maps(A=erf, B=erfc)), run("wide", {"X": ERF}, maps(A=erf, B=erfc)),
        run("wide", {"X": [10.0]}, maps(A=erf, B=erfc)),
    ],
    "run/views": [
        run("transpose", {"X": rand(1, 2, 3, 4)}, lambda X: X.transpose(2, 0, 1)),
        run("reshape", {"X": rand(1, 6, 2)}, lambda X: X.reshape(3, 4)),
        run("heads", {"X": rand(1, 3, 8)},
            lambda X: X.reshape(3, 2, 4).transpose(1, 0, 2), {"H": 2}),
        run("merge", {"X": rand(1, 2, 3, 4)}, lambda X: X.transpose(1, 0, 2).reshape(3, 8)),
        run("diagonal", {"X": rand(1, 3)}, lambda X: np.diag(X)),
        run("triangle", {"X": rand(1, 4, 4)}, lambda X: np.tril(X)),
        run("concatenate", {"A": rand(1, 2), "B": rand(2, 3)}, lambda A, B: np.append(A, B)),
        run("downsample", {"X": rand(1, 7)}, lambda X: X[::2]),
    ],
    "run/convolutions": [
        run("valid", {"X": rand(1, 7), "F": rand(2, 3)},
            lambda X, F: np.convolve(X, F[::-1], "valid")),
        run("same", {"X": rand(1, 7), "F": rand(2, 3)},
            lambda X, F: np.convolve(X, F[::-1], "same")),
        run("dilated", {"X": rand(1, 9), "F": rand(2, 3)},
            lambda X, F: [X[2 * n] * F[0] + X[2 * n + 2] * F[1] + X[2 * n + 4] * F[2]
                          for n in range(3)]),
        run("full", {"X": rand(1, 5), "F": rand(2, 3)}, lambda X, F: np.convolve(X, F)),
        run("product", {"A": rand(1, 5), "B": rand(2, 5)}, lambda A, B: np.convolve(A, B)[:5]),
    ],
}

if __name__ == "__main__":
    rewrite(TABLE)
