"""The compiled loops over elements: conversion, counting, and one merge per family of methods.

All work on raw buffers, block by block in the innermost cache. Whatever the element types, a block becomes float32
first, so one compiled version of each loop serves every mixture of types and any number of experts. Fast-math is off:
no sum is reordered and no product is fused into a sum, so every machine gives the same bits.

The buffers of N experts are `raw[N + 1, bytes]`, row 0 the base and row `t + 1` expert `t` in manifest order;
`kinds[N + 1]`, the element type of each row (`KINDS`); and `limits[N]`, how many of its elements each expert has:
elements beyond the limit count as unchanged. `bad[N + 2]` counts what is NaN or infinite in each source and, last, in
the output.
"""
