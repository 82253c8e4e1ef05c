# f5serve as an image for linux/amd64: a RunPod worker (F5_MODE=worker) or an HTTP server (serve).
# What is in which layer, and why: docs/decisions/0015-image.md. Build it with `make image`.

# By tag, because a digest would go stale here; pin it where you build:
#   --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm
# cu128: drivers for CUDA 12.8 and later. cu130: 13.0 and later. cpu. none: the stand-in alone.
ARG TORCH=cu128

FROM ${BASE} AS python
ENV PATH=/opt/f5serve/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The published base has no bytecode, and nobody may write any later.
RUN stdlib="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && python -m compileall -q -j 0 -x '/(test|tests|idlelib|lib2to3|turtledemo|site-packages)/' \
        "$stdlib" \
    && groupadd --gid 65532 f5serve \
    && useradd --uid 65532 --gid 65532 --no-log-init --create-home f5serve

# Libraries: some GB with CUDA; the layer changes only with requirements/.
FROM python AS libraries
ARG TORCH
# Only asked for the CPU build of torch; hashes decide what is taken, wherever it comes from.
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements/ /requirements/
RUN python -m venv --without-pip /opt/f5serve \
    && if [ "$TORCH" = cpu ]; then export PIP_EXTRA_INDEX_URL="$TORCH_CPU_INDEX"; fi \
    && pip --python /opt/f5serve/bin/python install --compile --require-hashes \
        --only-binary :all: --no-deps -r "/requirements/$TORCH.txt"

# The wheel, with its stamp. Without GIT_SHA the commit is read from the checkout.
FROM python AS wheel
COPY requirements/build.txt /requirements/
RUN python -m venv --without-pip /opt/build \
    && pip --python /opt/build/bin/python install --require-hashes --only-binary :all: \
        --no-deps -r /requirements/build.txt
COPY . /source
ARG GIT_SHA=""
ARG GIT_DIRTY=""
ARG SOURCE_DATE_EPOCH
RUN pip --python /opt/build/bin/python wheel --no-deps --no-index --no-build-isolation \
        --wheel-dir /dist /source

# Weights, or an empty folder. Fixed times keep the layer equal when only the code has changed.
FROM libraries AS models
ARG MODEL=""
COPY --from=wheel /dist /dist
RUN mkdir -p /opt/models \
    && if [ -n "$MODEL" ]; then \
        pip --python /opt/f5serve/bin/python install --no-deps --no-index /dist/*.whl \
        && F5_MODELS_DIR=/opt/models f5serve models pull "$MODEL" \
        && F5_MODELS_DIR=/opt/models f5serve models verify "$MODEL"; \
    fi \
    && find /opt/models -exec touch -h -d @0 {} +

# Kernels for GPUs, compiled ahead: 2 MB, or an empty folder. Triton (0.7 GB) is in this stage alone.
FROM libraries AS kernels
ARG TORCH
COPY --from=wheel /dist /dist
RUN mkdir -p /opt/kernels \
    && case "$TORCH" in cu*) \
        pip --python /opt/f5serve/bin/python install --require-hashes --only-binary :all: \
            --no-deps -r "/requirements/$TORCH-kernels.txt" \
        && pip --python /opt/f5serve/bin/python install --no-deps --no-index /dist/*.whl \
        && python -m f5serve.engine.kernel_build /opt/kernels ;; \
    esac \
    && find /opt/kernels -exec touch -h -d @0 {} +

FROM libraries AS image
COPY --from=models /opt/models /opt/models
COPY --from=kernels /opt/kernels /opt/f5serve/share/f5serve/kernels
# Copied, not mounted: buildah takes a cached step for valid whatever a mount has in it.
COPY --from=wheel /dist /dist
RUN pip --python /opt/f5serve/bin/python install --compile --no-deps --no-index /dist/*.whl \
    && python -m f5serve.build
ARG GIT_SHA=""
LABEL org.opencontainers.image.title="f5serve" \
      org.opencontainers.image.description="F5-TTS voice cloning as a service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$GIT_SHA"
# The last two are what makes a container runtime hand in the GPU; they do nothing without one.
ENV F5_MODE=worker \
    F5_HOST=0.0.0.0 \
    F5_MODELS_DIR=/opt/models \
    F5_DATA_DIR=/tmp/f5serve-data \
    MALLOC_ARENA_MAX=2 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Of F5_MODE=serve, unless PORT says otherwise.
EXPOSE 8000
USER 65532:65532
WORKDIR /home/f5serve
# Python is the first process, so that stop signals arrive; other verbs: docker run IMAGE doctor
ENTRYPOINT ["f5serve"]
CMD ["start"]
