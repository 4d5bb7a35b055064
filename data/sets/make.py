"""Makes the embedded data sets from the CSV files inside a scikit-learn wheel.

    pip download --no-deps scikit-learn && unzip scikit_learn-*.whl 'sklearn/datasets/data/*'
    python make.py sklearn/datasets/data

Each file is a zlib stream of: the features column by column (equal scales compress better side by side), as float32
little-endian split into byte planes, or as bytes for the digits; then one byte per label.
"""

import csv
import gzip
import struct
import sys
import zlib
from pathlib import Path


def rows_of(path, header):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path)
    with opened as file:
        rows = list(csv.reader(file))
    return rows[1:] if header else rows


def planes(values):
    packed = struct.pack(f"<{len(values)}f", *values)
    return b"".join(packed[i::4] for i in range(4))


def write(name, features, labels):
    packed = zlib.compress(features + bytes(labels), 9)
    Path(__file__).with_name(name).write_bytes(packed)
    print(f"{name}: {len(labels)} rows, {len(packed)} bytes")


def main(folder):
    rows = rows_of(folder / "digits.csv.gz", header=False)
    pixels = bytes(int(float(v)) for row in rows for v in row[:64])
    write("digits.bin", pixels, [int(float(row[64])) for row in rows])
    for name, source in [("iris", "iris"), ("wine", "wine_data"), ("breast_cancer", "breast_cancer")]:
        rows = rows_of(folder / f"{source}.csv", header=True)
        columns = [float(v) for column in list(zip(*rows))[:-1] for v in column]
        write(f"{name}.bin", planes(columns), [int(row[-1]) for row in rows])


main(Path(sys.argv[1]))
