#!/bin/bash
# torch 2.13.0 (CPU): torch.ops.onednn.qlinear_pointwise, the int8 linear layer with prepacked weights that torch.compile
# and PT2E quantisation lower to, runs oneDNN's reference implementation (plain loops) for signed activations on
# processors with AVX-512 VNNI that have no AMX: the prepacked layout carries a compensation that only the kernel for
# unsigned activations reads. With AVX2 alone it is the output type that decides: bf16 goes to the reference, float32
# does not. Results are right and nothing is said; a layer of 576 inputs and 192 outputs for 16 rows takes tens of
# milliseconds in place of less than one.
# Seen in ONEDNN_VERBOSE=1, matmul of 16 x 576 by 576 x 192:
#   AVX512_CORE_VNNI  int8 activations ref_int8:any for both outputs, uint8 brg_matmul:avx512_core_vnni
#   AVX2              float32 out gemm:jit, bfloat16 out ref_int8:any, for int8 and uint8 alike
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
if ! grep -qw avx512_vnni /proc/cpuinfo; then
    echo "this processor has no avx512_vnni, so there is nothing to see"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch>=2.13.0,<2.13.1' numpy==2.3.5
cat > "$folder/try.py" <<'P'
import torch

weights = torch.ones(192, 576, dtype=torch.int8)
packed = torch.ops.onednn.qlinear_prepack(weights, [16, 576])
for kind in (torch.int8, torch.uint8):
    for out in (torch.float32, torch.bfloat16):
        x = torch.ones(16, 576, dtype=kind)
        print("case", kind, out, flush=True)
        found = torch.ops.onednn.qlinear_pointwise(
            x, 1.0, 0, packed, torch.ones(192), torch.zeros(192, dtype=torch.int32), None, 1.0, 0, out, "none", [], ""
        )
        assert (found == 576).all()
P
kernels() {
    ONEDNN_MAX_CPU_ISA=$1 ONEDNN_VERBOSE=1 "$folder/venv/bin/python" "$folder/try.py" |
        sed -n 's/.*,exec,cpu,matmul,\([^,]*\),.*/\1/p' | tr '\n' ' '
}
vnni=$(kernels AVX512_CORE_VNNI)
avx2=$(kernels AVX2)
echo "AVX512_CORE_VNNI: $vnni"
echo "AVX2: $avx2"
[ "$vnni" = "ref_int8:any ref_int8:any brg_matmul:avx512_core_vnni brg_matmul:avx512_core_vnni " ]
[ "$avx2" = "gemm:jit ref_int8:any gemm:jit ref_int8:any " ]
