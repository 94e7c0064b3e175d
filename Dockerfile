# The proxy as an image, in both modes. Build it in the root of the repository, and run it:
#
#   docker build --tag ollama-openai-proxy .
#   docker run --publish 127.0.0.1:11434:11434 --env OPENAI_API_KEY=sk-… ollama-openai-proxy
#
# PROXY_MODE=fix makes it the other mode, on port 11435. A container that is told to stop lets running answers finish for
# DRAIN_SECONDS, but Docker kills it after ten seconds unless it is started with, for example, --stop-timeout 40.

# The tag fixes Python and Debian, whose packages are renewed under it. To build on exactly the same files each time, append
# the digest that `docker buildx imagetools inspect` prints for it: python:3.12.14-slim-trixie@sha256:…
FROM python:3.12.14-slim-trixie AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements requirements
# Of the locked development dependencies those that build a wheel, and those of the proxy's extras.
RUN awk '/^[^ #]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' \
        requirements/dev.txt > build.txt \
    && awk '/^[^ #]/ { wanted = /^(redis|opentelemetry-[a-z-]+|googleapis-common-protos|protobuf|requests|charset-normalizer|urllib3)==/ } wanted' \
        requirements/dev.txt > extras.txt \
    && pip install --require-hashes -r build.txt
# Without a pip of its own: nothing that installs packages gets into the last stage with it.
RUN python -m venv --without-pip /opt/ollama-openai-proxy \
    && pip --python /opt/ollama-openai-proxy/bin/python install --require-hashes -r requirements/runtime.txt -r extras.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY addons addons
RUN python -m hatchling build -t wheel -d dist \
    && pip --python /opt/ollama-openai-proxy/bin/python install --no-deps dist/*.whl \
    && pip --python /opt/ollama-openai-proxy/bin/python check

FROM base
LABEL org.opencontainers.image.title="ollama-openai-proxy" \
      org.opencontainers.image.description="Lets unmodified Ollama clients use any OpenAI-compatible server, or a real Ollama behind a proxy that mangles requests." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.12.14-slim-trixie"
RUN useradd --no-log-init --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin proxy
COPY --from=build /opt/ollama-openai-proxy /opt/ollama-openai-proxy
# Every address of the container: who reaches those is for whoever publishes its ports to decide.
ENV PATH=/opt/ollama-openai-proxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROXY_HOST=0.0.0.0 \
    LOG_FORMAT=json
# Here a `.env` and the files that settings name may be mounted. The proxy itself writes nothing.
WORKDIR /config
# By number, because Kubernetes cannot tell otherwise that this is not root.
USER 10001:10001
EXPOSE 11434 11435
# Without urllib, which would go through the proxy that HTTP_PROXY names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os, sys; fix = os.environ.get('PROXY_MODE', '').strip().lower() == 'fix'; port = int(os.environ.get('PROXY_PORT') or (11435 if fix else 11434)); c = http.client.HTTPConnection('127.0.0.1', port, timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
# As a list: signals then reach the proxy, and not a shell.
ENTRYPOINT ["ollama-openai-proxy"]
