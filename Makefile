# Two commands from a fresh clone do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DEV_STAMP := $(VENV)/.ready-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: setup demo test lint types units bundled requirements clean

demo: $(STAMP)
	$(BIN)/histoseed demo --out demo-output --overwrite

test: lint types units

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"histoseed needs Python 3.11 to 3.13; this is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "Installing the pinned dependencies into $(VENV) (several GB, once; torch is the largest) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -qq -r requirements.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $(STAMP)

# The checks need more: the tools, the extras, and the libraries that results are compared with.
$(DEV_STAMP): $(STAMP) requirements-dev.txt
	@echo "Installing what the checks need ..."
	@$(PIP) install -qq -r requirements-dev.txt
	@SAM2_BUILD_CUDA=0 $(PIP) install -qq --no-deps --no-build-isolation sam2==1.1.0  # a build of its own would fetch torch again
	@touch $(DEV_STAMP)

lint: $(DEV_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(DEV_STAMP)
	$(BIN)/mypy

units: $(DEV_STAMP)
	$(BIN)/pytest

# Train the bundled weights anew: make bundled DATA=../shared/data
bundled: $(STAMP)
	$(BIN)/python scripts/train_bundled.py --data $(DATA) --out build/bundled

# Write the pins from pyproject.toml (needs uv): what runs, and what the checks need on top, in the same versions.
COMPILE := uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate
requirements:
	$(COMPILE) --group dev --all-extras pyproject.toml -o requirements-dev.txt
	$(COMPILE) --group build --extra hf -c requirements-dev.txt pyproject.toml -o requirements.txt

clean:
	rm -rf $(VENV) build demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
