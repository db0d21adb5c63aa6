# The gateway for a team; docs/deploy.md says how it is run.
#   docker build -t spec-mcp .
#   docker build -t spec-mcp --build-arg SERVERS=with-node .     where servers are started by npx
# hadolint global ignore=DL3008,DL3059
ARG SERVERS=without-node

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY spec_mcp spec_mcp
COPY wrapped_servers wrapped_servers
COPY manifests manifests
RUN uv build --quiet --wheel --out-dir /dist
RUN uv export --quiet --frozen --no-dev --no-emit-project --extra postgres --extra metrics --extra otel \
    --output-file /dist/requirements.txt
RUN uv venv --quiet --python python3.11 /opt/spec-mcp
RUN uv pip install --quiet --python /opt/spec-mcp/bin/python --require-hashes --requirement /dist/requirements.txt
RUN uv pip install --quiet --python /opt/spec-mcp/bin/python --no-deps /dist/*.whl

FROM node:22-bookworm-slim AS node

FROM python:3.11-slim-bookworm AS without-node
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 spec-mcp \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/spec-mcp --shell /usr/sbin/nologin spec-mcp \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/spec-mcp

FROM without-node AS with-node
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx

FROM ${SERVERS}
COPY --from=build /opt/spec-mcp /opt/spec-mcp
ENV PATH=/opt/spec-mcp/bin:$PATH SPEC_MCP_HOME=/var/lib/spec-mcp NPM_CONFIG_CACHE=/tmp/npm UV_CACHE_DIR=/tmp/uv
USER 10001:10001
VOLUME /var/lib/spec-mcp
EXPOSE 8765 9464
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=3)"]
ENTRYPOINT ["tini", "--", "spec-mcp"]
CMD ["run", "--config", "/etc/spec-mcp/config.toml", "--http", "0.0.0.0:8765", "--log-format", "json"]
