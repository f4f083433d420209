#!/bin/bash
# torch 2.13.0 (CPU): torch._int_mm, which promises int32 sums of int8 products, and oneDNN's packed int8 linear layer
# (torch.ops.onednn.qlinear_pointwise) are not exact on processors without VNNI: oneDNN's AVX2 kernels add two products
# in 16 bits, which saturate, and nothing is said. Weights quantised to the full 127 levels are within the valid range.
# Seen with ONEDNN_MAX_CPU_ISA=AVX2 (what such a processor has), 64 rows of 256 inputs, all products at their largest:
#   _int_mm          exact sum 4129024, found less; with weights of at most 63 levels exact
#   qlinear_pointwise the same
# and without the limit, on a processor with VNNI, both are exact.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch>=2.13.0,<2.13.1' numpy==2.3.5
cat > "$folder/try.py" <<'P'
import sys

import torch


def linear(x, weights):
    outputs = weights.shape[0]
    packed = torch.ops.onednn.qlinear_prepack(weights, None)
    ones, zeros = torch.ones(outputs), torch.zeros(outputs, dtype=torch.int32)
    return torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


def error(product, levels):
    x = torch.full((64, 256), 127, dtype=torch.int8)
    weights = torch.full((32, 256), levels, dtype=torch.int8)
    exact = x.double() @ weights.double().t()
    return (product(x, weights).double() - exact).abs().max().item()


found = [
    error(product, levels) == 0
    for product in (lambda x, weights: torch._int_mm(x, weights.t()), linear)
    for levels in (127, 63)
]
print(sys.argv[1], found)
limited = sys.argv[1] == "AVX2"
assert found == [not limited, True] * 2, found
P
ONEDNN_MAX_CPU_ISA=AVX2 "$folder/venv/bin/python" "$folder/try.py" AVX2
if grep -q -e avx512_vnni -e avx_vnni /proc/cpuinfo; then
    "$folder/venv/bin/python" "$folder/try.py" all
fi
