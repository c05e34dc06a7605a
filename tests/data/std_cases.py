"""Writes the runs of `tests/cases/std/*.tir`: inputs from fixed seeds, results from plain formulas.

Usage: python3 tests/data/std_cases.py
"""

import math

import numpy as np

from case_text import ints, rand, rewrite, run

erf = np.vectorize(math.erf, otypes=[np.float64])
EDGES = [-100.0, -20.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 2.5, 6.0, 20.0, 100.0]
SPECIAL = EDGES + [np.inf, -np.inf, np.nan]


def of_x(f):
    """The function with its argument under the name `X`."""
    return lambda X: f(X)


def lift(f):
    """Runs of an activation: two axes, edges of its domain, no elements."""
    f = of_x(f)
    return [
        run("main", {"X": rand(1, 3, 5, low=-4, high=4)}, f),
        run("main", {"X": np.zeros((0, 3))}, f),
        run("wide", {"X": SPECIAL}, f),
    ]


def line(f):
    f = of_x(f)
    return [
        run("main", {"X": rand(2, 7, low=-5, high=5)}, f),
        run("main", {"X": EDGES}, f),
        run("main", {"X": np.zeros(0)}, f),
    ]


def line_and_wide(f):
    return line(f) + [run("wide", {"X": SPECIAL}, of_x(f))]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def hardsigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def softmax(X, mask=None):
    if mask is not None:
        X = np.where(mask, X, -np.inf)
    e = np.exp(X - X.max(-1, keepdims=True, initial=-np.inf))
    return e / e.sum(-1, keepdims=True)


def logsumexp(X):
    if X.shape[-1] == 0:
        return np.full(X.shape[:-1], -np.inf)
    m = X.max(-1)
    return m + np.log(np.exp(X - m[..., None]).sum(-1))


def log_softmax(X):
    return X - logsumexp(X)[..., None]


def layer_norm(X, G, Bias):
    d = X - X.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * G + Bias


def rms_norm(X, G):
    return X / np.sqrt((X * X).mean(-1, keepdims=True) + 1e-6) * G


def group_norm(X, G, Bias, groups=2):
    N, C, H, W = X.shape
    Z = X.reshape(N, groups, -1)
    d = Z - Z.mean(-1, keepdims=True)
    Z = d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5)
    return Z.reshape(X.shape) * G[:, None, None] + Bias[:, None, None]


def batch_norm(axes):
    def of(X, G, Bias, Mean, Var):
        g, b, m, v = (p.reshape((-1,) + (1,) * axes) for p in (G, Bias, Mean, Var))
        return (X - m) / np.sqrt(v + 1e-5) * g + b

    return of


def norm_params(c):
    return {
        "G": rand(11, c),
        "Bias": rand(12, c),
        "Mean": rand(13, c),
        "Var": rand(14, c, low=0.1, high=3),
    }


def attention(Q, K, V, causal=False, scale=None):
    S = Q @ np.swapaxes(K, -1, -2) * (1 / math.sqrt(Q.shape[-1]) if scale is None else scale)
    mask = None
    if causal:
        mask = np.arange(K.shape[-2])[None, :] <= np.arange(Q.shape[-2])[:, None]
    return softmax(S, mask) @ V


def attention_grouped(Q, K, V):
    G = Q.shape[-3] // K.shape[-3]
    return attention(Q, np.repeat(K, G, axis=-3), np.repeat(V, G, axis=-3), causal=True)


def qkv(seed, q, k, v):
    return {"Q": rand(seed, *q), "K": rand(seed + 1, *k), "V": rand(seed + 2, *v)}


def tables(T, H, base):
    angle = np.arange(T)[:, None] * float(base) ** (-np.arange(H) / H)[None, :]
    return np.cos(angle), np.sin(angle)


def rotate(X, Cos, Sin):
    H = X.shape[-1] // 2
    a, b = X[..., :H], X[..., H:]
    return np.concatenate([a * Cos - b * Sin, b * Cos + a * Sin], axis=-1)


def windows(extent, kernel, stride, padding, dilation):
    """Positions of each window along one axis: [window, slot]."""
    count = (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return stride * np.arange(count)[:, None] + dilation * np.arange(kernel)[None, :]


def unfold(X, kernel, stride, padding, dilation, fill):
    """[lead..., windows..., slots...] of an array [lead..., axes...]."""
    axes, lead = len(kernel), X.ndim - len(kernel)
    pad = [(0, 0)] * lead + [(padding, padding)] * axes
    P = np.pad(X, pad, constant_values=fill)
    for k, size in enumerate(kernel):
        at = windows(X.shape[lead + k], size, stride, padding, dilation)
        P = np.take(P, at, axis=lead + 2 * k)
    order = [lead + 2 * k for k in range(axes)] + [lead + 2 * k + 1 for k in range(axes)]
    return np.transpose(P, list(range(lead)) + order)


def conv(stride, padding, dilation, groups=1):
    def of(X, F):
        axes = X.ndim - 2
        out = []
        for x, f in zip(np.split(X, groups, axis=1), np.split(F, groups, axis=0)):
            U = unfold(x, F.shape[2:], stride, padding, dilation, 0.0)
            Y = np.tensordot(U, f, axes=(
                [1] + list(range(2 + axes, 2 + 2 * axes)),
                [1] + list(range(2, 2 + axes)),
            ))
            out.append(np.moveaxis(Y, -1, 1))
        return np.concatenate(out, axis=1)

    return of


def conv_transpose2d(stride, padding, dilation, output_padding):
    def of(X, F):
        N, C, H, W = X.shape
        _, O, R, S = F.shape
        full = [
            stride * (n - 1) + dilation * (k - 1) + 1 + output_padding
            for n, k in ((H, R), (W, S))
        ]
        Y = np.zeros((N, O, *full))
        for h in range(H):
            for w in range(W):
                for r in range(R):
                    for s in range(S):
                        Y[:, :, stride * h + dilation * r, stride * w + dilation * s] += (
                            X[:, :, h, w] @ F[:, :, r, s]
                        )
        return Y[:, :, padding : full[0] - padding, padding : full[1] - padding]

    return of


def pool(axes, reduce, kernel, stride, padding, dilation=1, fill=0.0):
    def of(X):
        U = unfold(X, [kernel] * axes, stride, padding, dilation, fill)
        return reduce(U, axis=tuple(range(U.ndim - axes, U.ndim)))

    return of


def cross_entropy(X, T):
    return (logsumexp(X) - X[np.arange(len(T)), T]).mean()


def bce(X, T):
    return (np.logaddexp(0, X) - X * T).mean()


BIG = [[1000.0, 999.0, -1000.0], [-5.0, -np.inf, 3.0], [0.0, 0.0, 0.0]]
TABLE = {
    "std/relu": lift(lambda x: np.maximum(x, 0)),
    "std/relu6": line(lambda x: np.clip(x, 0, 6)),
    "std/leaky_relu": line(lambda x: np.where(x > 0, x, 0.01 * x)),
    "std/elu": line(lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))),
    "std/sigmoid": line_and_wide(sigmoid),
    "std/log_sigmoid": line(log_sigmoid),
    "std/silu": [
        run("main", {"X": rand(1, 3, 5, low=-4, high=4)}, of_x(silu)),
        run("wide", {"X": EDGES}, of_x(silu)),
    ],
    "std/softplus": line(softplus)
    + [run("wide", {"X": EDGES + [np.inf, -np.inf]}, of_x(softplus))],
    "std/mish": line(lambda x: x * np.tanh(softplus(x))),
    "std/gelu": [
        run("main", {"X": rand(1, 3, 5, low=-4, high=4)}, of_x(gelu)),
        run("main", {"X": np.zeros((0, 3))}, of_x(gelu)),
        run("wide", {"X": EDGES + [np.nan]}, of_x(gelu)),
        run("scalar", {"X": rand(3, 4, 3), "W": rand(4, 3)}, lambda X, W: 1 + gelu(X @ W)),
    ],
    "std/gelu_tanh": [
        run("main", {"X": rand(1, 3, 5, low=-4, high=4)}, of_x(gelu_tanh)),
        run("wide", {"X": EDGES + [np.nan]}, of_x(gelu_tanh)),
    ],
    "std/hardsigmoid": line(hardsigmoid),
    "std/hardswish": line(lambda x: x * hardsigmoid(x)),
    "std/softmax": [
        run("main", {"X": rand(5, 3, 5)}, of_x(softmax)),
        run("main", {"X": BIG}, of_x(softmax)),
        run("main", {"X": np.zeros((2, 0))}, of_x(softmax)),
        run("wide", {"X": rand(6, 2, 3, 4)}, of_x(softmax)),
        run("flat", {"X": rand(7, 9)}, of_x(softmax)),
    ],
    "std/log_softmax": [
        run("main", {"X": rand(5, 3, 5)}, of_x(log_softmax)),
        run("main", {"X": BIG}, of_x(log_softmax)),
        run("wide", {"X": rand(6, 7)}, of_x(log_softmax)),
    ],
    "std/logsumexp": [
        run("main", {"X": rand(5, 3, 5)}, of_x(logsumexp)),
        run("main", {"X": BIG}, of_x(logsumexp)),
        run("main", {"X": np.zeros((2, 0))}, of_x(logsumexp)),
        run("wide", {"X": rand(6, 7)}, of_x(logsumexp)),
    ],
    "std/mean": [
        run("main", {"X": rand(5, 2, 3, 5)}, lambda X: X.mean(-1)),
        run("wide", {"X": rand(6, 7)}, lambda X: X.mean(-1)),
        run("wide", {"X": []}, np.nan),
    ],
    "std/var": [
        run("main", {"X": rand(5, 3, 5)}, lambda X: X.var(-1, ddof=1)),
        run("main", {"X": 1000 + rand(5, 3, 5)}, lambda X: X.var(-1, ddof=1)),
        run("wide", {"X": rand(6, 7)}, lambda X: X.var(-1, ddof=1)),
    ],
    "std/std": [run("main", {"X": rand(5, 3, 5)}, lambda X: X.std(-1, ddof=1))],
    "std/amax": [
        run("main", {"X": [[1.0, 3.0, -2.0], [-np.inf, -1.0, -7.5], [0.5, np.nan, 9.0]]},
            lambda X: X.max(-1)),
        run("main", {"X": np.zeros((2, 0))}, np.full(2, -np.inf)),
        run("whole", {"X": ints(1, -99, 99, 8)}, lambda X: X.max()),
        run("whole", {"X": []}, -(2**31)),
    ],
    "std/amin": [
        run("main", {"X": [[1.0, 3.0, -2.0], [np.inf, 1.0, 7.5], [0.5, np.nan, 9.0]]},
            lambda X: X.min(-1)),
        run("whole", {"X": ints(1, 3, 255, 8)}, lambda X: X.min()),
        run("whole", {"X": []}, 255),
    ],
    "std/argmax": [
        run("main", {"X": rand(8, 4, 6)}, lambda X: X.argmax(-1)),
        run("main", {"X": [[1.0, 3.0, 3.0], [2.0, np.nan, 5.0]]}, [1, 1]),
        run("main", {"X": np.zeros((2, 0))}, "E-FACT"),
        run("whole", {"X": [3, 9, -4, 9]}, 1),
    ],
    "std/argmin": [
        run("main", {"X": rand(8, 4, 6)}, lambda X: X.argmin(-1)),
        run("main", {"X": [[4.0, 3.0, 3.0], [2.0, np.nan, -5.0]]}, [1, 1]),
    ],
    "std/cumsum": [
        run("main", {"X": rand(8, 3, 5)}, lambda X: X.cumsum(-1)),
        run("main", {"X": np.zeros((2, 0))}, lambda X: X.cumsum(-1)),
        run("whole", {"X": [1, 2, 3, 2**31 - 1, 5]}, lambda X: X.cumsum(dtype=np.int32)),
    ],
    "std/cumprod": [
        run("main", {"X": rand(8, 3, 5)}, lambda X: X.cumprod(-1)),
        run("whole", {"X": [1, 2, -3, 5, 7]}, lambda X: X.cumprod()),
    ],
    "std/layer_norm": [
        run("main", {"X": rand(5, 2, 3, 5), "G": rand(6, 5), "Bias": rand(7, 5)}, layer_norm),
        run("main", {"X": np.zeros((0, 3, 2)), "G": rand(6, 2), "Bias": rand(7, 2)}, layer_norm),
        run("wide", {"X": 100 + rand(5, 3, 8), "G": rand(6, 8), "Bias": rand(7, 8)}, layer_norm),
    ],
    "std/rms_norm": [
        run("main", {"X": rand(5, 2, 3, 5), "G": rand(6, 5)}, rms_norm),
        run("wide", {"X": rand(5, 7), "G": rand(6, 7)}, rms_norm),
    ],
    "std/group_norm": [
        run("main", {"X": rand(5, 2, 4, 3, 2), "G": rand(6, 4), "Bias": rand(7, 4)}, group_norm),
    ],
    "std/batch_norm1d": [
        run("main", {"X": rand(5, 2, 3, 4), **norm_params(3)}, batch_norm(1)),
    ],
    "std/batch_norm2d": [
        run("main", {"X": rand(5, 2, 3, 2, 3), **norm_params(3)}, batch_norm(2)),
        run("main", {"X": np.zeros((2, 3, 0, 2)), **norm_params(3)}, batch_norm(2)),
        run("wide", {"X": rand(5, 3, 2, 3), **norm_params(3)}, batch_norm(2)),
    ],
    "std/linear": [
        run("main", {"X": rand(5, 2, 3, 4), "W": rand(6, 5, 4), "Bias": rand(7, 5)},
            lambda X, W, Bias: X @ W.T + Bias),
        run("main", {"X": np.zeros((2, 1, 0)), "W": np.zeros((3, 0)), "Bias": rand(7, 3)},
            lambda X, W, Bias: X @ W.T + Bias),
        run("wide", {"X": rand(5, 4), "W": rand(6, 3, 4), "Bias": rand(7, 3)},
            lambda X, W, Bias: X @ W.T + Bias),
    ],
    "std/embedding": [
        run("main", {"T": ints(1, 0, 7, 2, 3), "Table": rand(2, 7, 4)}, lambda T, Table: Table[T]),
        run("main", {"T": [[1, 7]], "Table": rand(2, 7, 4)}, "E-INDEX"),
        run("main", {"T": [[-1]], "Table": rand(2, 7, 4)}, "E-INDEX"),
        run("whole", {"T": ints(1, 0, 3, 5), "Table": ints(2, -100, 100, 3, 2)},
            lambda T, Table: Table[T]),
    ],
    "std/one_hot": [
        run("main", {"T": ints(1, 0, 5, 2, 3)}, lambda T: np.eye(5, dtype=np.int64)[T]),
        run("named", {"T": [2, 0, 3, -1]}, [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]], {"K": 3}),
    ],
    "std/attention": [
        run("main", qkv(20, (2, 1, 3, 4), (2, 1, 5, 4), (2, 1, 5, 2)), attention),
        run("main", qkv(20, (1, 1, 0, 4), (1, 1, 5, 4), (1, 1, 5, 2)), attention),
        run("wide", qkv(23, (4, 3), (4, 3), (4, 3)), attention),
    ],
    "std/attention_scaled": [
        run("main", qkv(26, (2, 3, 4), (2, 5, 4), (2, 5, 3)),
            lambda Q, K, V: attention(Q, K, V, scale=0.125)),
    ],
    "std/attention_causal": [
        run("main", qkv(30, (1, 2, 5, 3), (1, 2, 5, 3), (1, 2, 5, 3)),
            lambda Q, K, V: attention(Q, K, V, causal=True)),
        run("wide", qkv(33, (3, 2), (5, 2), (5, 4)),
            lambda Q, K, V: attention(Q, K, V, causal=True)),
    ],
    "std/attention_grouped": [
        run("main", qkv(36, (1, 6, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4)), attention_grouped),
        run("symbolic", qkv(39, (4, 3, 2), (2, 3, 2), (2, 3, 2)), attention_grouped,
            {"KV": 2}),
    ],
    "std/rope": [
        run("main", {"X": rand(40, 1, 2, 5, 6)}, lambda X: rotate(X, *tables(5, 3, 10000))),
        run("given", {"X": rand(41, 3, 4), "Cos": rand(42, 3, 2), "Sin": rand(43, 3, 2)}, rotate),
    ],
    "std/rope_tables": [
        run("main", {"base": 10000.0},
            lambda base: dict(zip(("Cos", "Sin"), tables(4, 3, base))), {"T": 4, "H": 3}),
    ],
    "std/conv1d": [
        run("main", {"X": rand(50, 2, 3, 8), "F": rand(51, 2, 3, 3)}, conv(2, 1, 1)),
        run("main", {"X": rand(50, 1, 2, 5), "F": rand(51, 0, 2, 3)}, conv(2, 1, 1)),
        run("dilated", {"X": rand(52, 2, 3, 11), "F": rand(53, 2, 3, 3)}, conv(1, 0, 2)),
    ],
    "std/conv2d": [
        run("main", {"X": rand(54, 2, 3, 7, 5), "F": rand(55, 4, 3, 3, 2)}, conv(1, 1, 1)),
        run("strided", {"X": rand(56, 1, 2, 7, 4), "F": rand(57, 3, 2, 3, 3)}, conv(2, 1, 1)),
        run("strided", {"X": np.zeros((0, 2, 5, 3)), "F": rand(57, 3, 2, 3, 3)}, conv(2, 1, 1)),
        run("dilated", {"X": rand(58, 1, 2, 9, 8), "F": rand(59, 3, 2, 3, 3)}, conv(2, 0, 2)),
        run("point", {"X": rand(56, 1, 3, 3, 2), "F": rand(57, 2, 3, 1, 1)}, conv(1, 0, 1)),
    ],
    "std/conv2d_grouped": [
        run("main", {"X": rand(60, 2, 6, 5, 4), "F": rand(61, 4, 3, 3, 3)}, conv(2, 1, 1, 2)),
        run("depthwise", {"X": rand(62, 1, 3, 4, 3), "F": rand(63, 3, 1, 3, 3)},
            conv(1, 1, 1, 3)),
    ],
    "std/conv1d_grouped": [
        run("main", {"X": rand(160, 2, 6, 7), "F": rand(161, 4, 3, 3)}, conv(2, 1, 1, 2)),
        run("depthwise", {"X": rand(162, 1, 3, 5), "F": rand(163, 3, 1, 3)}, conv(1, 1, 1, 3)),
    ],
    "std/conv3d_grouped": [
        run("main", {"X": rand(164, 1, 4, 3, 4, 3), "F": rand(165, 2, 2, 2, 3, 2)},
            conv(1, 1, 1, 2)),
    ],
    "std/conv3d": [
        run("main", {"X": rand(64, 1, 2, 5, 4, 3), "F": rand(65, 3, 2, 3, 2, 2)}, conv(2, 1, 1)),
    ],
    "std/conv_transpose2d": [
        run("main", {"X": rand(66, 2, 3, 4, 3), "F": rand(67, 3, 2, 3, 3)},
            conv_transpose2d(2, 1, 1, 1)),
        run("wide", {"X": rand(68, 1, 2, 3, 2), "F": rand(69, 2, 3, 2, 2)},
            conv_transpose2d(1, 0, 1, 0)),
        run("dilated", {"X": rand(68, 1, 2, 3, 2), "F": rand(69, 2, 3, 2, 3)},
            conv_transpose2d(3, 0, 2, 0)),
    ],
    "std/max_pool1d": [
        run("main", {"X": rand(70, 2, 3, 9)}, pool(1, np.max, 3, 2, 1, fill=-np.inf)),
    ],
    "std/max_pool2d": [
        run("main", {"X": rand(71, 1, 2, 7, 5)}, pool(2, np.max, 3, 2, 1, fill=-np.inf)),
        run("dilated", {"X": rand(72, 8, 7)}, pool(2, np.max, 3, 1, 0, 2)),
    ],
    "std/avg_pool1d": [run("main", {"X": rand(73, 2, 3, 7)}, pool(1, np.mean, 3, 2, 1))],
    "std/avg_pool2d": [
        run("main", {"X": rand(74, 1, 2, 6, 5)}, pool(2, np.mean, 2, 2, 0)),
        run("padded", {"X": rand(75, 2, 5, 4)}, pool(2, np.mean, 3, 1, 1)),
    ],
    "std/global_avg_pool2d": [run("main", {"X": rand(76, 2, 3, 4, 5)}, lambda X: X.mean((2, 3)))],
    "std/mse_loss": [
        run("main", {"X": rand(80, 3, 4), "T": rand(81, 3, 4)}, lambda X, T: ((X - T) ** 2).mean()),
    ],
    "std/l1_loss": [
        run("main", {"X": rand(80, 3, 4), "T": rand(81, 3, 4)}, lambda X, T: abs(X - T).mean()),
    ],
    "std/cross_entropy": [
        run("main", {"X": rand(82, 5, 3), "T": ints(83, 0, 3, 5)}, cross_entropy),
        run("main", {"X": 200 * rand(82, 2, 3), "T": ints(83, 0, 3, 2)}, cross_entropy),
        run("main", {"X": rand(82, 2, 3), "T": [0, 3]}, "E-INDEX"),
        run("wide", {"X": rand(84, 4, 7), "T": ints(85, 0, 7, 4)}, cross_entropy),
    ],
    "std/nll_loss": [
        run("main", {"X": -abs(rand(86, 5, 3)), "T": ints(83, 0, 3, 5)},
            lambda X, T: -X[np.arange(len(T)), T].mean()),
    ],
    "std/binary_cross_entropy_with_logits": [
        run("main", {"X": 50 * rand(87, 3, 4), "T": rand(88, 3, 4, low=0, high=1)}, bce),
    ],
    "std/kl_div": [
        run("main", {"X": -abs(rand(89, 3, 4)), "T": -abs(rand(90, 3, 4))},
            lambda X, T: (np.exp(T) * (T - X)).sum() / len(X)),
    ],
}

if __name__ == "__main__":
    rewrite(TABLE)
