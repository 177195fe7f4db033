# Everything runs from .venv, which the target `setup` makes and keeps up to date.

PYTHON_FILES = agent simulators tests scripts $(wildcard benchmarks)
BIN = .venv/bin

.DEFAULT_GOAL = help
.PHONY: help setup demo test fast durability conformance fuzz cov lint fmt bench check lock clean

help:
	@echo "make setup        make .venv with the locked dependencies (the other targets do it too)"
	@echo "make demo         a day of charging on the simulators, from the card to the statement"
	@echo "make test         every test"
	@echo "make fast         the unit tests"
	@echo "make durability   power cuts and kills by the thousand (WALLBOX_TRIALS, WALLBOX_SEED), and full disks"
	@echo "make conformance  the OCPP test cases"
	@echo "make fuzz         a station is sent hostile frames (WALLBOX_FRAMES, 100000)"
	@echo "make cov          every test, with the lines and branches that none of them reaches"
	@echo "make lint         ruff, mypy, import rules, figures"
	@echo "make fmt          format, and fix what can be fixed by itself"
	@echo "make bench        the benchmarks"
	@echo "make check        all that CI runs, in its order"
	@echo "make lock         make the lock files again (needs uv); UPGRADE=1 takes the newest versions"
	@echo "make clean        remove all that was made"

setup:
	@scripts/setup.sh

demo: setup
	@$(BIN)/wallbox-sim demo

test: setup
	@scripts/test.sh

fast: setup
	@$(BIN)/python -m pytest -q tests/unit

durability: setup
	@$(BIN)/python -m pytest tests/durability
	@WALLBOX_TRIALS=$${WALLBOX_TRIALS:-5000} $(BIN)/python -m tests.durability.cuts || [ $$? -eq 3 ]
	@WALLBOX_TRIALS=$${WALLBOX_TRIALS:-2000} $(BIN)/python -m tests.durability.deaths || [ $$? -eq 3 ]

conformance: setup
	@$(BIN)/python -m pytest tests/conformance

fuzz: setup
	@WALLBOX_FRAMES=$${WALLBOX_FRAMES:-100000} $(BIN)/python -m pytest -s tests/conformance/test_fuzz.py

cov: setup
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q; status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report; exit $$status

lint: setup
	@$(BIN)/ruff check $(PYTHON_FILES)
	@$(BIN)/ruff format --check --quiet $(PYTHON_FILES)
	@$(BIN)/mypy $(PYTHON_FILES)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/figures.py

fmt: setup
	@$(BIN)/ruff check --fix --quiet $(PYTHON_FILES) || true
	@$(BIN)/ruff format $(PYTHON_FILES)

bench: setup
	@$(BIN)/python -m benchmarks

check:
	@.ci/run

lock: setup
	@$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv build dist *.egg-info .coverage .coverage.* htmlcov
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find agent simulators tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
