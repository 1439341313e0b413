# `make` lists the commands. Each can be repeated; an environment is made again only when
# pyproject.toml or the set-up changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test soak check lint types imports format models arm-test build web-demo web-test android-test android-apk ios-test ios-models clean distclean

DEV := .venv
DEMO := .venv-demo
BIN := $(DEV)/bin
MINUTES := 10
WEB := web_demo
CLIP := assets/clips/synthetic_solo.mp4
RUNTIME := $(shell find atpn_mobile -type f ! -name '*.pyc') $(wildcard models/manifest.json models/*.onnx models/*.tflite)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with all that development needs (1 to 10 minutes once)
	@scripts/setup.sh dev
	@touch $(DEV)/.ready

demo: $(DEMO)/.ready ## Track the bundled clip with the runtime alone (its own .venv-demo; a minute)
	@echo "Tracking $(CLIP): 240 frames, a few seconds"
	@mkdir -p out
	@$(DEMO)/bin/atpn track $(CLIP) --output out/demo.mp4 --results out/demo.jsonl --force
	@echo "Look at   out/demo.mp4    the clip with landmarks, axes, box and confidence drawn"
	@echo "          out/demo.jsonl  one line of results per frame"

test: $(DEV)/.ready ## Run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

soak: $(DEV)/.ready ## Track changing scenes for a while; memory flat, ids unique (MINUTES=10)
	@$(BIN)/python scripts/soak.py --minutes $(MINUTES)

check: lint types imports test ## Everything that must hold: style, types, import rules, tests

lint: $(DEV)/.ready ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV)/.ready ## Check the types
	@$(BIN)/mypy

imports: $(DEV)/.ready ## Check who imports whom
	@$(BIN)/lint-imports --no-logo

format: $(DEV)/.ready ## Format the code and mend what can be mended by machine
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

models: $(DEV)/.ready ## Export the files that models/ carries, and verify them (5 minutes)
	@$(BIN)/python -m converters export --all --shipped --out models
	@$(BIN)/python -m converters verify

.arm/versions.json: benchmarks/arm/install.sh
	@benchmarks/arm/install.sh .arm

arm-test: $(DEV)/.ready .arm/versions.json ## Run on emulated ARM cores: counts, outputs (10 minutes; 210 MB once)
	@$(BIN)/python -m pytest tests/arm $(PYTEST_ARGS)

build: $(DEV)/.ready ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist

web-demo: $(WEB)/node_modules/.ready ## Build the web demo and serve it here (Node.js 20.19 or newer, npm)
	@cd $(WEB) && npm run --silent build
	@echo "Open the address below; Ctrl-C ends it. For a phone see $(WEB)/README.md"
	@$(WEB)/tools/serve.sh

web-test: $(WEB)/node_modules/.ready $(DEMO)/.ready ## Test the web demo: golden vectors, then the page in Chromium
	@cd $(WEB) && ATPN_PYTHON=$(abspath $(DEMO))/bin/python npm run --silent test

android-test: $(DEMO)/.ready ## Test the Kotlin core: golden vectors, then the networks on the clip
	@$(MAKE) --no-print-directory -C android_demo test PYTHON=$(abspath $(DEMO))/bin/python

android-apk: $(DEMO)/.ready ## Build an APK from Debian's packages alone: proof that it compiles
	@$(MAKE) --no-print-directory -C android_demo apk PYTHON=$(abspath $(DEMO))/bin/python

ios-test: $(DEMO)/.ready ## Test the Swift packages (Swift 6; as root on Debian it is fetched: 3.5 GB once)
	@ios_demo/tools/setup.sh
	@ios_demo/tools/test.sh $(abspath $(DEMO))/bin/python

ios-models: ## Copy the verified Core ML models into the iOS app (Swift 6)
	@ios_demo/tools/setup.sh
	@ios_demo/tools/models.sh

clean: ## Remove results, builds and caches; keep the environments
	@rm -rf $(WEB)/dist $(WEB)/core/dist $(WEB)/out ios_demo/.build ios_demo/App/AtpnDemo/Models
	@rm -rf android_demo/out android_demo/build android_demo/*/build android_demo/.gradle
	@rm -rf out dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . \( -path './.venv*' -o -name node_modules \) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	@rm -rf $(DEV) $(DEMO) .arm .swift $(WEB)/node_modules android_demo/.tools

$(DEV)/.ready: pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev
	@touch $@

$(DEMO)/.ready: pyproject.toml scripts/setup.sh $(RUNTIME)
	@scripts/setup.sh demo
	@touch $@

$(WEB)/node_modules/.ready: $(WEB)/package.json $(WEB)/package-lock.json $(WEB)/tools/setup.sh
	@$(WEB)/tools/setup.sh
