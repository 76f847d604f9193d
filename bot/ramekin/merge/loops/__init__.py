"""The compiled loops over elements: conversion, counting, and one merge per family of methods.

All work on memory as it is, block by block in the innermost cache. Whatever the element types, a block becomes float32
first, so one compiled version of each loop serves every mixture of types and any number of experts. Fast-math is off:
no sum is reordered and no product is fused into a sum, so every machine gives the same bits.

For N experts there are `places[N + 1, COLUMNS]`, where the elements of the base are and, at `t + 1`, those of expert
`t` in manifest order: in memory, or in a file that the loop reads as it goes; `kinds[N + 1]`, the element type of each
(`KINDS`); and `limits[N]`, how many of its elements each expert has: elements beyond the limit count as unchanged.
`bad[N + 2]` counts what is NaN or infinite in each source and, last, in the output.

Only `on_processor` is to be called: it loads machine code, and imports these modules to compile what is not kept yet.
"""
