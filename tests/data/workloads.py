"""Expected samples of the workloads in tests/data/workloads, computed by numpy in float64.

    python tests/data/workloads.py        rewrites tests/data/workloads/expected.json

programs.json holds each workload as a small program; the `.tir` files are the same programs as tcc
compiles them. Inputs are a hash of their position, so that Rust makes the same ones: element k of input
number n is scale * (h(k + 2^32 * (n + 1)) / 2^23 - 1), h the upper 24 bits of splitmix64's finalizer, rounded
to f32. For every result the largest magnitude and the values at 64 positions are kept.
"""
import json
import math
from pathlib import Path

import numpy as np

SAMPLES = 64


def hashed(x):
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def make_input(number, shape, scale):
    k = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64((number + 1) << 32)
    unit = (hashed(k) >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1
    return (np.float32(scale) * unit.astype(np.float32)).astype(np.float64).reshape(shape)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def attention(q, k, v, causal):
    (b, h, s, d), (hk, t) = q.shape, k.shape[1:3]
    q = q.reshape(b, hk, h // hk, s, d)
    score = np.einsum("bhgsd,bhtd->bhgst", q, k, optimize=True) / math.sqrt(d)
    if causal:
        score = np.where(np.arange(t)[None, :] > np.arange(s)[:, None] + t - s, -np.inf, score)
    return np.einsum("bhgst,bhte->bhgse", softmax(score), v, optimize=True).reshape(b, h, s, -1)


def convolution(x, f, stride, pad, groups):
    o, c, kh, kw = f.shape
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = ((x.shape[2 + i] - (kh, kw)[i]) // stride + 1 for i in (0, 1))
    y = np.zeros((x.shape[0], o, height, width))
    for g in range(groups):
        ins, outs = slice(g * c, (g + 1) * c), slice(g * o // groups, (g + 1) * o // groups)
        for r in range(kh):
            for s in range(kw):
                part = x[:, ins, r : r + stride * (height - 1) + 1 : stride, s : s + stride * (width - 1) + 1 : stride]
                y[:, outs] += np.einsum("ncyx,oc->noyx", part, f[outs, :, r, s], optimize=True)
    return y


def evaluate(op, x, a, shape):
    """One node of a program."""
    erf = np.vectorize(math.erf, otypes=[np.float64])
    last = lambda: x[0].mean(-1, keepdims=True)
    table = {
        "add": lambda: x[0] + x[1],
        "sub": lambda: x[0] - x[1],
        "mul": lambda: x[0] * x[1],
        "maximum": lambda: np.maximum(x[0], x[1]),
        "add_c": lambda: x[0] + a["c"],
        "mul_c": lambda: x[0] * a["c"],
        "abs": lambda: np.abs(x[0]),
        "sqrt": lambda: np.sqrt(x[0]),
        "tanh": lambda: np.tanh(x[0]),
        "relu": lambda: np.maximum(x[0], 0),
        "sigmoid": lambda: 1 / (1 + np.exp(-x[0])),
        "silu": lambda: x[0] / (1 + np.exp(-x[0])),
        "gelu": lambda: x[0] / 2 * (1 + erf(x[0] / math.sqrt(2))),
        "sum": lambda: x[0].sum(tuple(a["axes"]), keepdims=a["keepdims"]),
        "max": lambda: x[0].max(tuple(a["axes"]), keepdims=a["keepdims"]),
        "softmax": lambda: softmax(x[0], a["axis"]),
        "matmul": lambda: (x[0].swapaxes(-1, -2) if a["ta"] else x[0])
        @ (x[1].swapaxes(-1, -2) if a["tb"] else x[1]),
        "einsum": lambda: np.einsum(a["eq"], *x, optimize=True),
        "reshape": lambda: x[0].reshape(shape),
        "transpose": lambda: x[0].transpose(a["perm"]),
        "slice": lambda: x[0].take(range(a["start"], a["stop"]), axis=a["axis"]),
        "rmsnorm": lambda: x[0] / np.sqrt((x[0] ** 2).mean(-1, keepdims=True) + a["eps"]) * x[1],
        "layernorm": lambda: (x[0] - last())
        / np.sqrt(((x[0] - last()) ** 2).mean(-1, keepdims=True) + a["eps"])
        * x[1]
        + x[2],
        "sdpa": lambda: attention(x[0], x[1], x[2], a["causal"]),
        "conv2d": lambda: convolution(x[0], x[1], a["stride"], a["pad"], a["groups"]),
    }
    return table[op]()


def expected(w):
    env = {i["name"]: make_input(n, i["shape"], i["scale"]) for n, i in enumerate(w["inputs"])}
    for node in w["nodes"]:
        env[node["out"]] = evaluate(node["op"], [env[i] for i in node["in"]], node["attrs"], node["shape"])
    results = {}
    for name in w["outputs"]:
        flat = env[name].ravel()
        at = np.unique(np.linspace(0, flat.size - 1, SAMPLES).astype(int))
        results[name] = {
            "largest": float(np.abs(flat).max()),
            "at": at.tolist(),
            "values": [float(v) for v in flat[at]],
        }
    return results


def main():
    folder = Path(__file__).parent / "workloads"
    programs = json.loads((folder / "programs.json").read_text())
    out = {}
    for w in programs:
        inputs = [{"shape": i["shape"], "scale": i["scale"]} for i in w["inputs"]]
        out[w["name"]] = {"flops": w["flops"], "inputs": inputs, "outputs": expected(w)}
        print(w["name"], flush=True)
    (folder / "expected.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


main()
