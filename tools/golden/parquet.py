"""Parquet files for the tests of `src/data/rows`, written by pyarrow.

Writes `test/fixtures/rows/`: `flat.parquet` (Snappy, two groups of rows, 64-bit labels, a null), `lists.parquet` (Zstandard: tokens, tags, and
messages, which are lists of structures), `dates.parquet` (gzip), and `many.parquet`, a few kilobytes that hold twenty million
equal values. Usage: `python tools/golden/parquet.py` in the root of the repository.
"""

import datetime
import pathlib

import numpy
import pyarrow
import pyarrow.parquet

FOLDER = pathlib.Path("test/fixtures/rows")


def write(name, table, **options):
    pyarrow.parquet.write_table(table, FOLDER / name, store_schema=False, **options)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    flat = dict(
        text=["good", "bad — 悪い", "fine 🙂", "so so"],
        label=pyarrow.array([3, 1, 3, 0], pyarrow.int64()),
        score=[0.5, -1.25, None, 2.0],
    )
    write("flat.parquet", pyarrow.table(flat), compression="snappy", row_group_size=3)
    lists = dict(
        tokens=[["Ada", "wrote", "it"], ["no"]],
        tags=[["B-PER", "O", "O"], ["O"]],
        messages=[
            [dict(role="user", content="hi"), dict(role="assistant", content="hello")],
            [dict(role="user", content="bye"), dict(role="assistant", content="see you")],
        ],
    )
    write("lists.parquet", pyarrow.table(lists), compression="zstd")
    day = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    write("dates.parquet", pyarrow.table(dict(text=["x"], when=[day])), compression="gzip")
    many = pyarrow.table(dict(label=numpy.zeros(20_000_000, numpy.int32)))
    write("many.parquet", many, compression="snappy", row_group_size=20_000_000, max_rows_per_page=20_000_000)


main()
