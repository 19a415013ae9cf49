# Two commands to start with: `make demo` and `make test`. Both need Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check test-thorough test-slow test-browser test-docs test-ray docs soak gpu wheel clean

demo: $(VENV)/.installed
	$(BIN)/vlmkit run --strategy dci

test: $(VENV)/.installed check
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not thorough and not cuda and not browser and not docs"

test-thorough: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "thorough and not slow"

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

test-browser: $(VENV)/.installed
	command -v chromium && command -v chromedriver  # Debian: apt install chromium chromium-driver
	$(BIN)/python -m pytest -m browser -rP tests/report

test-docs: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m docs

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

test-ray: $(VENV)/.installed
	$(BIN)/python -m pytest -n 0 tests/test_ray.py

soak: $(VENV)/.installed
	$(BIN)/python benchmarks/soak.py

gpu: $(VENV)/.installed
	$(BIN)/python benchmarks/gpu.py

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(VENV)/.installed
	$(BIN)/python -m build --wheel --no-isolation

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
