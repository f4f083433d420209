"""The languages that the sandbox knows without configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from perilune.sandbox.programs import Language

CPP_STANDARD: Final = "gnu++20"
PYTHON = Language(name="python", source_name="main.py", run=None)


def cpp(standard: str = CPP_STANDARD) -> Language:
    """C++ by g++; the standard is what follows ``-std=``."""
    return Language(
        name="cpp",
        source_name="main.cpp",
        # A static program starts in less than half the time: there is nothing to look for and to link.
        compile=("g++", f"-std={standard}", "-O2", "-pipe", "-static", "-o", "{binary}", "{source}"),
        static_libraries=("libstdc++.a", "libm.a", "libc.a"),
        run=("{binary}",),
        precompiled_header="bits/stdc++.h",
    )


def languages(cpp_standard: str = CPP_STANDARD) -> Mapping[str, Language]:
    """Those that are there without configuration, by name."""
    return MappingProxyType({language.name: language for language in (PYTHON, cpp(cpp_standard))})


LANGUAGES = languages()
