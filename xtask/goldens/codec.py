"""How fixtures are written: tensors as flat lists, floats as the shortest text that reads back as the same f32."""

import json
import math
import zlib
from pathlib import Path

import numpy as np

LINE = 116


def rng(name):
    """A generator of its own for every case, so that adding a case leaves the others as they are."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def short(generator, shape, low=-1.0, high=1.0, digits=2):
    """Uniform values of few digits: they keep the fixtures small and mean the same f32 everywhere."""
    return np.round(generator.uniform(low, high, shape), digits).astype("float32")


def distinct(generator, shape, step=0.01):
    """Values that all differ, so that a maximum has one place and its gradient no ties."""
    size = int(np.prod(shape))
    return ((generator.permutation(size) - size // 2) * step).round(2).astype("float32").reshape(shape)


def number(value):
    """One number for JSON; what JSON cannot say becomes "NaN", "Infinity" or "-Infinity"."""
    value = np.asarray(value)
    if value.dtype.kind in "biu":
        return int(value)
    wide = float(value)
    if math.isnan(wide):
        return "NaN"
    if math.isinf(wide):
        return "Infinity" if wide > 0 else "-Infinity"
    if wide == int(wide) and abs(wide) < 1e6 and math.copysign(1, wide) * abs(wide) == wide and str(wide) != "-0.0":
        return int(wide)
    return float(str(np.float32(wide)))


def numbers(values):
    return [number(v) for v in np.asarray(values).ravel()]


def tensor(value):
    """`{"shape", "dtype", "data"}`, row major."""
    value = np.asarray(value)
    if value.dtype == np.float64:
        value = value.astype("float32")
    return {"shape": list(value.shape), "dtype": str(value.dtype), "data": numbers(value)}


def tensors(values):
    return [None if v is None else tensor(v) for v in values]


def variables(items):
    """Keras variables in their order, with name and path."""
    return [{"name": v.name, "path": v.path, "trainable": bool(v.trainable), **tensor(v.numpy())} for v in items]


def is_plain(value):
    """A number, a string or a flat list of them."""
    return not isinstance(value, dict) and not any(
        isinstance(v, (list, dict)) for v in (value if isinstance(value, list) else ())
    )


def text(value, indent=0):
    """JSON, one line where it fits; lists of plain values and tensors always on one line."""
    if is_plain(value) or (isinstance(value, dict) and "data" in value and all(map(is_plain, value.values()))):
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    flat = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    if not isinstance(value, (list, dict)) or len(flat) + indent <= LINE:
        return flat
    pad, end = "\n" + " " * (indent + 1), "\n" + " " * indent
    if isinstance(value, list):
        return "[" + pad + ("," + pad).join(text(v, indent + 1) for v in value) + end + "]"
    rows = (f"{json.dumps(k, ensure_ascii=False)}: {text(v, indent + 1)}" for k, v in value.items())
    return "{" + pad + ("," + pad).join(rows) + end + "}"


def resolved(get, names):
    """Name -> class or function name of what Keras makes of the string, null where Keras refuses it."""
    found = {}
    for name in names:
        try:
            made = get(name)
            found[name] = getattr(made, "__name__", made.__class__.__name__)
        except (ValueError, TypeError, KeyError):
            found[name] = None
    return found


def write(path, value):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else (text(value) + "\n").encode())
