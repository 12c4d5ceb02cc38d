# make demo: see it work.  make test: see it proved.  Both install what they need into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
comma := ,

# The demo compiles with arm-none-eabi-gcc when that is there, else with zig from pip (100 MB).
DEMO_EXTRAS := examples$(if $(shell command -v arm-none-eabi-gcc 2>/dev/null),,$(comma)zig)
TEST_EXTRAS := zig,examples,flash,reference,exports,dev

# A stamp for each set of extras, newer than what it was installed from: re-running is fast.
installed = $(VENV)/.installed-$(subst $(comma),-,$(1))

C_FILES := find firmware sim benchmarks exports -name '*.[ch]' -print0
# board.h is generated: the divisions in the ports' conditions need its figures, which no one set
# of suits every driver.
CPPCHECK := $(BIN)/cppcheck --quiet --force --std=c99 --language=c --error-exitcode=1 \
	--enable=warning,performance,portability,style --inline-suppr \
	--suppressions-list=.cppcheck-suppressions \
	-I firmware/spela -I firmware/backbone -I firmware/convolution -I firmware/continual \
	-I firmware/front_end -I firmware/store -I firmware/ports -I firmware/application \
	-D BOARD_UART_BAUD=115200U
RP2040_UART := firmware/ports/uart_rp2040_uart.c

.DEFAULT_GOAL := help
.PHONY: help demo test coverage fuzz lint matrix exports experiments benchmarks sizes check-sizes clean

help:
	@echo 'make demo   train, generate, build, simulate and verify examples/digits; prints a summary'
	@echo 'make test   run the tests'
	@echo 'make coverage  the same, and tell the lines that no test runs'
	@echo 'make fuzz   fuzz parser, application and store; 10 million frames of noise; a long soak'
	@echo 'make lint   check the style of the Python and C sources, and their types'
	@echo 'make matrix run the proof on every core, simulator, compiler and level: docs/matrix.md'
	@echo '            and, trimmed, with a frozen backbone: docs/matrix-backbone.md'
	@echo 'make exports [MICROPYTHON=DIR] [ZEPHYR=DIR]'
	@echo '            build and run every form of generate --as, and compare what is learned'
	@echo 'make benchmarks [CMSIS_NN=DIR] [AIFES=DIR] [MODELS=DIR]'
	@echo '            measure again what docs/performance.md says, beside checkouts of peers'
	@echo 'make sizes  tell code, tables, RAM and stack of a set of models: docs/sizes.md'
	@echo 'make check-sizes  fail unless docs/sizes.md has these tables, and each RAM is kept'
	@echo 'make experiments  list the studies of docs/accuracy.md; STUDIES="mnist drift" runs some'
	@echo 'make clean  remove .venv, caches and what the examples made'

demo: $(call installed,$(DEMO_EXTRAS))
	$(BIN)/spela-mcu demo examples/digits/model.yaml

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --durations=25

test: $(call installed,$(TEST_EXTRAS))
	$(PYTEST)

# Apart: what watches every line makes the tests take twice as long.
coverage: $(call installed,$(TEST_EXTRAS))
	$(PYTEST) --cov --cov-report=term:skip-covered

# As long as one likes: make fuzz FUZZ_SECONDS=3600. Needs clang with libFuzzer.
FUZZ_SECONDS ?= 60
fuzz: $(call installed,$(TEST_EXTRAS))
	SPELA_FUZZ_SECONDS=$(FUZZ_SECONDS) SPELA_NOISE_FRAMES=10000000 SPELA_SOAK_CYCLES=100000 \
		$(BIN)/python -m pytest -s tests/test_fuzz.py

lint: $(call installed,$(TEST_EXTRAS))
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(C_FILES) | xargs -0 $(BIN)/clang-format --dry-run --Werror
	$(CPPCHECK) -D BOARD_UART_CLOCK_HZ=16000000U -i $(RP2040_UART) firmware sim/qemu
	$(CPPCHECK) -D BOARD_UART_CLOCK_HZ=12000000U $(RP2040_UART)
	$(BIN)/python -m benchmarks.misra --check docs/misra.md

matrix: $(call installed,$(TEST_EXTRAS))
	$(BIN)/spela-mcu matrix examples/digits/model.yaml --markdown docs/matrix.md
	$(BIN)/python tests/keyword_model.py build/backbone
	$(BIN)/spela-mcu matrix build/backbone/model.yaml --trimmed --markdown docs/matrix-backbone.md

# About a minute; says of each form that cannot be tried here what is missing.
exports: $(call installed,$(TEST_EXTRAS))
	SPELA_MICROPYTHON='$(MICROPYTHON)' SPELA_ZEPHYR='$(ZEPHYR)' $(BIN)/python -m exports

# Minutes. Without the peers' checkouts, the comparison has our own columns alone.
PERFORMANCE := docs/performance.md
benchmarks: $(call installed,$(DEMO_EXTRAS))
	$(BIN)/python -m benchmarks.peers --markdown $(PERFORMANCE) \
		$(if $(CMSIS_NN),--cmsis-nn '$(CMSIS_NN)') $(if $(AIFES),--aifes '$(AIFES)')
	$(BIN)/python -m benchmarks.examples examples/mnist/model.yaml --markdown $(PERFORMANCE)
	$(BIN)/python -m benchmarks.examples examples/fashion_cnn/model.yaml --samples 60 \
		--markdown $(PERFORMANCE)
	$(BIN)/python -m benchmarks.scaling --picture docs/scaling.png --markdown $(PERFORMANCE)
	$(BIN)/python -m benchmarks.speed --markdown $(PERFORMANCE)
	$(if $(MODELS),$(BIN)/python -m benchmarks.backbone --models '$(MODELS)' \
		$(if $(CMSIS_NN),--cmsis-nn '$(CMSIS_NN)') \
		$(if $(TINYENGINE),--tinyengine '$(TINYENGINE)') --markdown $(PERFORMANCE))

# Under a minute; needs arm-none-eabi-gcc.
sizes: $(call installed,$(DEMO_EXTRAS))
	$(BIN)/python -m benchmarks.sizes --markdown docs/sizes.md

check-sizes: $(call installed,$(TEST_EXTRAS))
	$(BIN)/python -m benchmarks.sizes --check docs/sizes.md

# What is measured already is not measured again. All of them take a day on two cores.
experiments: $(call installed,$(TEST_EXTRAS))
ifdef STUDIES
	$(BIN)/python -m experiments.run $(STUDIES)
	$(BIN)/python -m experiments.tables
else
	$(BIN)/python -m experiments.run
endif

clean:
	rm -rf $(VENV) $(VENV)-bootstrap build dist examples/*/build .coverage* .*_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	@echo 'Installing the pinned dependencies into $(VENV): once, some minutes.'
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt \
		-e '.[$(subst -,$(comma),$*)]'
	@touch $@

# Debian's python3 cannot make a working venv until python3-venv is installed, which takes root;
# virtualenv, which brings its own pip, can. pip is only ever let into directories of ours.
$(BIN)/pip: | python-version
	@rm -rf $(VENV) $(VENV)-bootstrap
	@if ! $(PYTHON) -m venv $(VENV) >/dev/null 2>&1; then \
		echo '$(PYTHON) -m venv does not work on this machine: trying virtualenv'; \
		rm -rf $(VENV); \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt \
			--target $(VENV)-bootstrap virtualenv \
		&& PYTHONPATH=$(VENV)-bootstrap $(PYTHON) -m virtualenv --quiet --no-periodic-update \
			--app-data $(VENV)-bootstrap/app-data $(VENV) \
		|| { rm -rf $(VENV) $(VENV)-bootstrap; echo 'error: no virtual environment:' \
			'install pip or venv for $(PYTHON) (Debian: python3-venv)' >&2; exit 1; }; \
		rm -rf $(VENV)-bootstrap; \
	fi

.PHONY: python-version
python-version:
	@command -v $(PYTHON) >/dev/null || { echo 'error: $(PYTHON) not found:' \
		'install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: spela-mcu needs Python 3.11 or newer, and $(PYTHON) is" \
		"$$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
