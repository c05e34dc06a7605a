"""Reading and writing the comment blocks of run cases (tests/src/run_cases.rs reads them)."""

import os
import re

import numpy as np

CASES = os.path.join(os.path.dirname(__file__), "..", "cases")


def bf16(x):
    """Rounds to the nearest bf16, as float64."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def rand(seed, *shape, low=-2.0, high=2.0):
    """Random values with three decimals."""
    return np.round(np.random.default_rng(seed).uniform(low, high, shape), 3)


def ints(seed, low, high, *shape):
    """Random integers in low..high."""
    return np.random.default_rng(seed).integers(low, high, shape)


def run(function, inputs, outputs, sizes=None):
    """One call. `outputs` is a function of the inputs (as float64, int64, bool, complex128 arrays,
    rounded to their types first) that gives one array or a dictionary, or the arrays themselves, or
    the code of an error."""
    return function, inputs, outputs, sizes or {}


def split_top(text):
    """Splits at commas outside of brackets."""
    parts, depth, last = [], 0, ""
    for c in text:
        depth += c in "[(<"
        depth -= c in "])>"
        if c == "," and depth == 0:
            parts.append(last.strip())
            last = ""
        else:
            last += c
    return [p for p in parts + [last.strip()] if p]


def group_types(text):
    """Element types of `X, Y: f32[N], param Z: i32` by name, in order."""
    types, names = {}, []
    for part in split_top(text):
        name, _, ty = part.partition(":")
        names.append(name.split()[-1])
        if ty:
            dtype = re.match(r"\w+", ty.strip()).group()
            types.update({n: dtype for n in names})
            names = []
    return types


def closing(text, start):
    """Position of the parenthesis that closes the one at `start`."""
    depth = 0
    for k in range(start, len(text)):
        depth += text[k] == "("
        depth -= text[k] == ")"
        if depth == 0:
            return k
    raise ValueError("no closing parenthesis")


def signature(text, function):
    """Element types of parameters and results of a function of a `.tir` text."""
    start = text.index("(", re.search(rf"^fn {function}\(", text, re.M).start())
    end = closing(text, start)
    first = text.index("(", end + 1)
    results = group_types(text[first + 1 : closing(text, first)])
    params = group_types(text[start + 1 : end])
    inout = re.findall(r"inout ([\w, ]+):", text[start:end])
    results.update({n: params[n] for g in inout for n in re.split(r"[, ]+", g)})
    return params, results


NUMPY = {
    "f64": np.float64, "f32": np.float32, "f16": np.float16, "bool": np.bool_,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64,
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "c64": np.complex64, "c128": np.complex128,
}


def stored(x, dtype):
    """The value as the element type holds it."""
    if dtype == "bf16":
        return bf16(x)
    return np.asarray(x).astype(NUMPY[dtype])


def widened(x, dtype):
    """The stored value in the widest type of its kind."""
    if dtype in ("f16", "f32", "bf16"):
        return x.astype(np.float64)
    return x.astype(np.complex128) if dtype == "c64" else x


def real(x, dtype):
    """Text of a real number; results have 9 digits, those of f64 17."""
    if np.isnan(x) or np.isinf(x):
        return "nan" if np.isnan(x) else ("inf" if x > 0 else "-inf")
    digits = 17 if dtype in ("f64", "c128") else 9
    texts = [f"{float(x):.{digits}g}", repr(float(x)).removesuffix(".0")]
    if dtype == "f32" and float(np.float32(x)) == float(x):
        texts.append(str(np.float32(x)).removesuffix(".0"))
    return min(texts, key=len)


def element(x, dtype):
    if dtype == "bool":
        return "true" if x else "false"
    if dtype[0] in "iu":
        return str(int(x))
    if dtype[0] == "c":
        im = real(x.imag, dtype)
        return real(x.real, dtype) + (im if im[0] == "-" else "+" + im) + "i"
    return real(x, dtype)


def tensor_lines(word, name, x, dtype):
    """`// in X: f32[2] = 1 2`, with continuation lines from 100 columns on."""
    x = np.asarray(x)
    extents = ",".join(str(n) for n in x.shape)
    line = f"// {word} {name}: {dtype}" + (f"[{extents}]" if x.shape else "") + " ="
    lines = []
    for e in x.reshape(-1):
        text = " " + element(e, dtype)
        if len(line) + len(text) > 100:
            lines.append(line)
            line = "//    "
        line += text
    return lines + [line]


def run_lines(text, case):
    function, inputs, outputs, sizes = case
    params, results = signature(text, function)
    assert set(inputs) == set(params), f"{function}: inputs {set(inputs)}, expected {set(params)}"
    lines = ["", f"// run {function}"]
    lines += [f"// size {name} = {value}" for name, value in sizes.items()]
    held = {name: stored(inputs[name], dtype) for name, dtype in params.items()}
    for name, x in held.items():
        lines += tensor_lines("in", name, x, params[name])
    if isinstance(outputs, str):
        return lines + [f"// error {outputs}"]
    if callable(outputs):
        with np.errstate(all="ignore"):
            outputs = outputs(**{n: widened(x, params[n]) for n, x in held.items()})
    if not isinstance(outputs, dict):
        outputs = {next(iter(results)): outputs}
    assert set(outputs) == set(results), f"{function}: outputs {set(outputs)}"
    for name, x in outputs.items():
        lines += tensor_lines("out", name, x, results[name])
    return lines


def rewrite(table):
    """Replaces the runs of each case file of a table."""
    for name, cases in table.items():
        path = os.path.join(CASES, name + ".tir")
        with open(path) as file:
            text = file.read()
        head = re.split(r"^// run ", text, maxsplit=1, flags=re.M)[0].rstrip()
        lines = [line for case in cases for line in run_lines(head, case)]
        with open(path, "w") as file:
            file.write(head + "\n" + "\n".join(lines) + "\n")
    for folder in {name.split("/")[0] for name in table}:
        have = {f"{folder}/{f[:-4]}" for f in os.listdir(os.path.join(CASES, folder))}
        assert have == {n for n in table if n.startswith(folder)}, have ^ set(table)
