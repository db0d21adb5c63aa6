# Everything sets itself up in an empty clone: Python 3.11, Node 20, git, make and the package registries suffice.
UV := scripts/uv
BIN := .venv/bin

.PHONY: help setup servers demo test lint format docs clean

help:
	@echo 'make demo     a scripted agent without and then with speculation, offline, about 90 seconds'
	@echo 'make test     all tests, against real MCP servers that are installed first'
	@echo 'make lint     ruff, pyright and the import rules'
	@echo 'make format   let ruff format the tree'
	@echo 'make docs     write docs/settings.md from the code'
	@echo 'make clean    remove all that set-up made'

setup:
	@$(UV) sync --frozen --quiet

servers: setup
	@$(BIN)/python tests/servers/install.py

demo: setup
	@$(BIN)/spec-mcp demo $(ARGS)

test: servers
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: setup
	PYTHONPATH=. $(BIN)/python scripts/reference.py

clean:
	rm -rf .venv .tools .servers .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist build
