"""Compiled kernels of the local engine: LLVM code made for the processor that is here, without a compiler."""
