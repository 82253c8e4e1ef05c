# Each verb works from a fresh clone; environments live in the checkout.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# A plain install of torch brings CUDA on Linux, several GB. For the CPU build, set
#   TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
# `make clone` takes that build itself where there is no nvidia-smi and TORCH_ARGS is not set.
CPU_TORCH := --extra-index-url https://download.pytorch.org/whl/cpu
# Many tests wait for a server or a deadline, so one process more than cores; each takes up to 2 GB.
PROCESSES ?= $(shell n=$$(nproc); echo $$(( n < 4 ? n + 1 : 4 )))
BIN := .venv/bin
ORACLE := .venv-oracle/bin

# Without bytecode on disk each process of the tests compiles the source, and rewrites the tests, anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo serve clone clone-input setup check house test test-fast clients lower-bounds fuzz oracle parity goldens bench bench-small bench-text gpu-kit docs clean image image-test requirements

.venv/local.done: pyproject.toml ## the light install: no torch
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local]"
	@touch $@

.venv/serve.done: .venv/local.done
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local,serve]"
	@touch $@

.venv/engine.done: .venv/local.done ## F5-TTS: torch and the engine
	@echo "Installs $(TORCH), once. To download: $(if $(findstring /cpu,$(TORCH_ARGS)),0.2 GB (CPU build).,about 3 GB with CUDA; 0.2 GB for the CPU build.)"
	$(BIN)/python -m pip install -q --disable-pip-version-check $(TORCH_ARGS) $(TORCH)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local,engine]"
	@touch $@

.venv/setup.done: .venv/engine.done
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[local,engine,dev]"
	@touch $@

demo: .venv/local.done ## speak a sentence
	$(BIN)/f5serve say "Hello! This is f5serve, speaking without a graphics card." -o hello.wav

serve: .venv/serve.done ## the HTTP server and its page, at http://127.0.0.1:8000
	$(BIN)/f5serve serve

CLONE := make clone VOICE=me.wav WORDS="what is said in it" TEXT="what to say"
MODEL ?=
CLONE_MODEL = $(or $(MODEL),F5TTS_v1_Base)
OUT ?= clone.wav

clone: TORCH_ARGS ?= $(if $(shell command -v nvidia-smi 2>/dev/null),,$(CPU_TORCH))
clone: clone-input .venv/engine.done ## speak TEXT in the voice of the recording VOICE, where WORDS are said
	$(BIN)/f5serve models pull $(CLONE_MODEL)
	$(BIN)/f5serve say --engine f5 --model $(CLONE_MODEL) -v "$$VOICE" --ref-text="$$WORDS" -o "$(OUT)" -- "$$TEXT"

clone-input:
	@$(if $(strip $(VOICE)),,$(error VOICE is missing, the recording of the voice. Type: $(CLONE)))
	@$(if $(strip $(WORDS)),,$(error WORDS is missing, the words said in the recording. Type: $(CLONE)))
	@$(if $(strip $(TEXT)),,$(error TEXT is missing, what the voice is to say. Type: $(CLONE)))
	@test -f "$$VOICE" || { printf '%s\n' "There is no file $$VOICE. Type the path of a recording:" '$(CLONE)' >&2; exit 2; }

# A quarter of a minute. Where it cannot be had, the tests of the studio page are skipped.
.venv/chromium.done: | .venv/local.done
	@chromium --version >/dev/null 2>&1 || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	       apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || true
	@if chromium --version >/dev/null 2>&1; then touch $@; else echo \
	  "There is no chromium: tests of the studio page are skipped. apt-get install chromium"; fi

setup: .venv/setup.done .venv/chromium.done ## everything a developer needs

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

house: setup ## size and shape of the source: files, lines of code, import cycles; what one request runs
	$(BIN)/python -m tests.tools.house --calls

# 1.2 GB, a minute. There is no torch among it. Without it the tests of tests/clients are skipped.
CLIENTS := tests/clients/requirements.txt tests/clients/node/package.json tests/clients/node/package-lock.json

.venv-clients/clients.done: $(CLIENTS)
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip install -q --disable-pip-version-check --no-compile \
	  -r tests/clients/requirements.txt \
	  && mkdir -p .venv-clients/node && cp tests/clients/node/*.json .venv-clients/node \
	  && PATH="$(CURDIR)/.venv-clients/bin:$$PATH" npm ci --silent --prefix .venv-clients/node \
	  && touch $@ || echo "The clients cannot be installed here: their tests are skipped."

clients: .venv-clients/clients.done ## programs of other projects that the tests drive: LiveKit, Pipecat, LiteLLM, openai-node

test: setup ## the whole suite
	$(BIN)/python -m pytest -m "not parity" -n $(PROCESSES) --dist worksteal

lower-bounds: setup ## start the service with the lowest versions that pyproject.toml allows
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/python -m tests.tools.try_lower_bounds

FUZZ_SECONDS ?= 600
fuzz: setup ## hold the HTTP server to its OpenAPI document for longer than the suite does
	F5_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -q tests/http/test_fuzz.py tests/http/test_costs.py tests/http/test_websocket_fuzz.py

test-fast: setup ## what runs in about a minute
	$(BIN)/python -m pytest -m "not slow and not parity"

# torchaudio's compiled libraries want CUDA's libtorch and fail beside the CPU torch, which stops
# `import f5_tts`. Nothing that is compared needs them, so they are removed.
.venv-oracle/oracle.done:
	@test -x $(ORACLE)/python || $(PYTHON) -m venv .venv-oracle
	$(ORACLE)/python -m pip install -q --disable-pip-version-check $(TORCH_ARGS) $(TORCH)
	$(ORACLE)/python -m pip install -q --disable-pip-version-check f5-tts==1.1.22
	@rm -f .venv-oracle/lib/python3*/site-packages/torchaudio/lib/*.so
	@touch $@

oracle: .venv-oracle/oracle.done ## the f5-tts package, in an environment of its own

parity: setup oracle ## ours against the f5-tts package
	$(BIN)/python -m pytest tests/parity -m parity -n 2 --dist loadfile

goldens: setup oracle ## write the package's answers for the fast suite anew
	$(BIN)/python -m tests.tools.make_goldens

IMAGE ?= f5serve
VARIANT ?= cu128

image: ## the image of this commit; VARIANT=cu128|cu130|cpu|none, MODEL=F5TTS_v1_Base bakes weights in
	docker build --platform linux/amd64 --build-arg TORCH=$(VARIANT) --build-arg MODEL=$(MODEL) \
	  --build-arg GIT_SHA=$$(git rev-parse HEAD) \
	  --build-arg GIT_DIRTY=$$(test -z "$$(git status --porcelain)"; echo $$?) \
	  -t $(IMAGE):$$(git rev-parse --short=12 HEAD)-$(VARIANT) .

image-test: setup ## build the image and give it jobs; as root, on Debian
	.ci/image-test

requirements: setup ## pin and hash what the image installs anew
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/python requirements/make.py

docs: setup ## write docs/reference anew
	$(BIN)/python -m tests.tools.make_reference

bench: setup oracle ## this engine beside the f5-tts package, at full size: about half an hour
	$(BIN)/python bench/compare.py --upstream-python $(ORACLE)/python $(BENCH_ARGS)

bench-small: setup oracle ## speed alone, on a reduced model: a minute (parity has a verb of its own)
	$(BIN)/python bench/compare.py --upstream-python $(ORACLE)/python --small --only C1 C2 C3

GPU_PYTHON ?= 3.12
gpu-kit: setup ## build/gpu-kit.tar: this commit and wheels, for half an hour on a GPU without network
	$(BIN)/python bench/gpu/pack.py --python $(GPU_PYTHON)

# There are wheels for CPython on Linux, Windows and macOS; elsewhere the comparison is left out.
.venv-vox/vox.done:
	@test -x .venv-vox/bin/python || $(PYTHON) -m venv .venv-vox
	@.venv-vox/bin/python -m pip install -q --disable-pip-version-check \
	  --only-binary :all: vox-tts==0.19.5 && touch $@ \
	  || echo "vox-tts cannot be installed here: the comparison with it is left out."

vox: .venv-vox/vox.done ## the vox-tts package, in an environment of its own

bench-vox: setup vox ## this engine beside vox-tts on the CPU: ten minutes
	$(BIN)/python bench/beside_vox.py --vox-python .venv-vox/bin/python $(BENCH_ARGS)

.venv-text/text.done:
	@test -x .venv-text/bin/python || $(PYTHON) -m venv .venv-text
	.venv-text/bin/python -m pip install -q --disable-pip-version-check \
	  wetext==0.1.8 kitten-text-processing==0.1.0 verbalis==0.1.0a1
	@touch $@

bench-text: setup .venv-text/text.done ## text normalization beside three other packages: ten minutes
	$(BIN)/python bench/text.py --peers-python .venv-text/bin/python $(BENCH_ARGS)

clean:
	rm -rf .venv .venv-oracle .venv-vox .venv-text .venv-clients
