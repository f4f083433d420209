#!/bin/bash
# transformers 5.24.0: generate_batch (continuous batching) works on a CPU too, and makes its key/value cache there as
# large as the machine's memory allows, not as the requests need: max_memory_percent, documented as a share of free GPU
# memory and 0.9 unless it is set, is taken of the host's memory, and the cache is filled with zeros, so that it is all
# in use. A test of one response on a model of a few thousand weights takes as much as it is let, and two processes that
# do so at once are more than the machine has.
# Seen with max_memory_percent = 0.05, so that nothing is at risk, for 8 tokens after a prompt of 3 (2 kB of keys and
# values): the process grows by 5 % of the memory that is free, 1.2 GB of 23 GB; with num_blocks and
# max_batch_tokens set to what is needed it grows by 10 MB.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'torch>=2.13.0,<2.13.1' numpy==2.3.5
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 psutil==7.2.2 accelerate==1.15.0
cat > "$folder/try.py" <<'P'
import resource
import sys

import psutil
import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

bounded = sys.argv[1] == "bounded"
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
)
model = LlamaForCausalLM(config).eval()
model.set_attn_implementation("sdpa")
free = psutil.virtual_memory().available
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
size = {"num_blocks": 8, "max_batch_tokens": 64} if bounded else {"max_memory_percent": 0.05}
found = model.generate_batch(
    [[3, 4, 5]],
    generation_config=GenerationConfig(max_new_tokens=8, do_sample=False, eos_token_id=-1, pad_token_id=0),
    continuous_batching_config=ContinuousBatchingConfig(**size),
    progress_bar=False,
)
(result,) = found.values()
assert len(result.generated_tokens) == 8
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
print(sys.argv[1], f"{grown / 1e6:.0f} MB, {grown / free:.1%} of what is free")
assert grown < 1e8 if bounded else grown > 0.025 * free
P
"$folder/venv/bin/python" "$folder/try.py" bounded
"$folder/venv/bin/python" "$folder/try.py" "by itself"
