"""The loops for the processor; the modules beside this one say what each does."""

from typing import Final

from ramekin.merge.loops.native import Native

_SOURCES: Final = ("int64[:,:]", "uint8[:]", "int64[:]")
"""`places`, `kinds` and `limits`."""
_RESULT: Final = ("uint8[:]", "int64")
"""`out` and `out_kind`."""
_BAD: Final = "int64[:]"
_TABLE: Final = "uint32[:,:]"

count_patterns: Final = Native("counting.count_patterns", *_SOURCES, "int64", "float32", "int64[:]", _BAD)

merge_ram: Final = Native("ram.merge_ram", *_SOURCES, "int64", "float32", "float32[:]", *_RESULT, "int64[:]", _BAD)

merge_average: Final = Native(
    "averaging.merge_average", *_SOURCES, "int64", "float32[:,:]", "int64", "int64", *_RESULT, _BAD
)
merge_sum: Final = Native("averaging.merge_sum", *_SOURCES, "int64", "float32[:]", *_RESULT, _BAD)

multiply: Final = Native("products.multiply", *_SOURCES, "int64", "int64", "int64", "float64[:,:,:]", _BAD)
accumulate: Final = Native("products.accumulate", "float64[:,:,:]", "int64", "int64", "int64", "float64[:,:,:]")

magnitudes: Final = Native("electing.magnitudes", *_SOURCES, "int64", "int64[:]", "int64", _TABLE, _BAD)
count_magnitudes: Final = Native(
    "electing.count_magnitudes",
    *_SOURCES,
    "int64",
    "uint32[:]",
    "uint32[:]",
    "uint32[:]",
    "int64[:]",
    _TABLE,
    _TABLE,
    _TABLE,
    _BAD,
)
count_equals: Final = Native("electing.count_equals", *_SOURCES, "int64", "uint32[:]", "int64[:]")
merge_trimmed: Final = Native(
    "electing.merge_trimmed",
    *_SOURCES,
    "int64",
    "uint32[:]",
    "int64[:]",
    "float32[:]",
    "float32",
    *_RESULT,
    _BAD,
)
merge_dropped: Final = Native(
    "electing.merge_dropped",
    *_SOURCES,
    "int64",
    "int64",
    "uint32[:,:]",
    "uint64",
    "float32",
    "float32[:]",
    "float32",
    "int64",
    *_RESULT,
    _BAD,
)
philox: Final = Native("masking.philox", "uint32", "uint32", "int64", "uint32[:,:]")

load: Final = Native("conversion.load", "int64", "int64", "int64", "float32[:]")
form_changes: Final = Native(
    "lowrank.form_changes", "float32[:,:]", "float32[:,:]", "float32", "int64", "int64", "float32[:]"
)
take_over: Final = Native("grafting.take_over", *_SOURCES, "int64", "int64[:]", *_RESULT, _BAD)
