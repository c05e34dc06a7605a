"""The models of `examples/models` in numpy, in float64, with weights and inputs from fixed seeds.

Usage: python3 tests/data/models.py FOLDER     writes <name>.npz at the sizes of real models
       python3 tests/data/models.py --small    rewrites tests/data/models/<name>_small.npz

An archive holds each parameter under its name, each result as `expected_<name>`, and each size that
the call names as `size_<name>`.
"""

import os
import sys

import numpy as np

from std_cases import (
    attention,
    attention_grouped,
    batch_norm,
    conv,
    gelu_tanh,
    layer_norm,
    rotate,
    silu,
    tables,
)

SMALL = os.path.join(os.path.dirname(__file__), "models")


class Weights:
    """Draws named arrays."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.arrays = {}

    def draw(self, name, *shape, scale=1.0, mean=0.0):
        x = (mean + scale * self.rng.standard_normal(shape)).astype(np.float32)
        self.arrays[name] = x
        return x.astype(np.float64)

    def matrix(self, name, *shape, inputs):
        """Keeps the variance of what has `inputs` features."""
        return self.draw(name, *shape, scale=inputs**-0.5)

    def gain(self, name, n):
        return self.draw(name, n, scale=0.1, mean=1.0)

    def bias(self, name, n):
        return self.draw(name, n, scale=0.1)

    def norm(self, k, c):
        """Gain, bias, running mean and running variance of the k-th batch norm."""
        names = [f"{p}{k}" for p in "GBMV"]
        G, B, M = self.gain(names[0], c), self.bias(names[1], c), self.bias(names[2], c)
        V = self.rng.uniform(0.5, 2.0, c).astype(np.float32)
        self.arrays[names[3]] = V
        return {"G": G, "Bias": B, "Mean": M, "Var": V.astype(np.float64)}


def heads(X, count):
    """[B,T,H*D] to [B,H,T,D]"""
    B, T, _ = X.shape
    return X.reshape(B, T, count, -1).transpose(0, 2, 1, 3)


def joined(X):
    """[B,H,T,D] to [B,T,H*D]"""
    B, _, T, _ = X.shape
    return X.transpose(0, 2, 1, 3).reshape(B, T, -1)


def gpt2_block(B, T, D, H, F):
    w = Weights(1)
    X = w.draw("X", B, T, D)
    N = layer_norm(X, w.gain("Ln1G", D), w.bias("Ln1B", D))
    QKV = N @ w.matrix("Wqkv", D, 3 * D, inputs=D) + w.bias("Bqkv", 3 * D)
    Q, K, V = (heads(part, H) for part in np.split(QKV, 3, axis=-1))
    A = joined(attention(Q, K, V, causal=True))
    R = X + A @ w.matrix("Wo", D, D, inputs=D) + w.bias("Bo", D)
    M = layer_norm(R, w.gain("Ln2G", D), w.bias("Ln2B", D))
    U = gelu_tanh(M @ w.matrix("Wfc", D, F, inputs=D) + w.bias("Bfc", F))
    Y = R + U @ w.matrix("Wproj", F, D, inputs=F) + w.bias("Bproj", D)
    return w.arrays, {"Y": Y}, {"H": H}


def rms_norm_5(X, G):
    return X / np.sqrt((X * X).mean(-1, keepdims=True) + 1e-5) * G


def llama_block(B, T, D, H, G, K, F):
    w = Weights(2)
    X = w.draw("X", B, T, D)
    N = rms_norm_5(X, w.gain("Norm1", D))
    Q = heads(N @ w.matrix("Wq", H * G * 2 * K, D, inputs=D).T, H * G)
    Ks = heads(N @ w.matrix("Wk", H * 2 * K, D, inputs=D).T, H)
    V = heads(N @ w.matrix("Wv", H * 2 * K, D, inputs=D).T, H)
    angles = tables(T, K, 10000)
    A = joined(attention_grouped(rotate(Q, *angles), rotate(Ks, *angles), V))
    R = X + A @ w.matrix("Wo", D, H * G * 2 * K, inputs=H * G * 2 * K).T
    M = rms_norm_5(R, w.gain("Norm2", D))
    gate = silu(M @ w.matrix("Wgate", F, D, inputs=D).T)
    U = gate * (M @ w.matrix("Wup", F, D, inputs=D).T)
    Y = R + U @ w.matrix("Wdown", D, F, inputs=F).T
    return w.arrays, {"Y": Y}, {"H": H}


def resnet_block(N, C, H, W):
    w = Weights(3)
    X = w.draw("X", N, C, H, W)
    norm = batch_norm(2)
    A = conv(1, 1, 1)(X, w.matrix("F1", C, C, 3, 3, inputs=9 * C))
    R = np.maximum(norm(A, **w.norm(1, C)), 0)
    D = conv(1, 1, 1)(R, w.matrix("F2", C, C, 3, 3, inputs=9 * C))
    return w.arrays, {"Y": np.maximum(norm(D, **w.norm(2, C)) + X, 0)}, {}


def resnet_block_strided(N, C, O, H, W):
    w = Weights(4)
    X = w.draw("X", N, C, H, W)
    norm = batch_norm(2)
    A = conv(2, 1, 1)(X, w.matrix("F1", O, C, 3, 3, inputs=9 * C))
    R = np.maximum(norm(A, **w.norm(1, O)), 0)
    D = conv(1, 1, 1)(R, w.matrix("F2", O, O, 3, 3, inputs=9 * O))
    S = conv(2, 0, 1)(X, w.matrix("P", O, C, 1, 1, inputs=C))
    Y = np.maximum(norm(D, **w.norm(2, O)) + norm(S, **w.norm(3, O)), 0)
    return w.arrays, {"Y": Y}, {}


# Function, sizes of a real model, small sizes.
MODELS = [
    (gpt2_block, dict(B=2, T=64, D=768, H=12, F=3072), dict(B=2, T=5, D=24, H=3, F=37)),
    (
        llama_block,
        dict(B=1, T=64, D=512, H=2, G=4, K=32, F=1408),
        dict(B=2, T=5, D=18, H=2, G=3, K=2, F=29),
    ),
    (resnet_block, dict(N=1, C=64, H=56, W=56), dict(N=2, C=5, H=7, W=6)),
    (
        resnet_block_strided,
        dict(N=1, C=64, O=128, H=56, W=56),
        dict(N=2, C=3, O=5, H=7, W=6),
    ),
]


def write(path, model, sizes):
    arrays, results, named = model(**sizes)
    arrays = dict(arrays)
    arrays.update({f"expected_{n}": x.astype(np.float32) for n, x in results.items()})
    arrays.update({f"size_{n}": np.int64(x) for n, x in named.items()})
    np.savez(path, **arrays)


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    small = arguments[0] == "--small"
    folder = SMALL if small else arguments[0]
    os.makedirs(folder, exist_ok=True)
    for model, sizes, small_sizes in MODELS:
        name = model.__name__ + ("_small" if small else "") + ".npz"
        write(os.path.join(folder, name), model, small_sizes if small else sizes)


if __name__ == "__main__":
    main(sys.argv[1:])
