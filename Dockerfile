# The agent alone, compiled: no compiler, no development tools, no secrets; configuration and keys come from outside.
#
#   docker build -t ocn-permission-agent .
#   docker run -p 8080:8080 -v agent-data:/data -v ./agent.toml:/etc/ocn-permission-agent/agent.toml:ro \
#       -v ./operator.key:/etc/ocn-permission-agent/operator.key:ro ocn-permission-agent

# Not slim, for its C compiler; the same Debian as the slim one below.
FROM python:3.13 AS build
WORKDIR /build
COPY requirements/uv.txt requirements/agent.txt requirements/compile.txt requirements/
RUN python -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.txt \
    && python -m venv --without-pip /opt/agent \
    && /uv/bin/uv pip install --no-cache --python /opt/agent/bin/python --require-hashes --no-build \
        -r requirements/agent.txt \
    && python -m venv --without-pip /compile \
    && /uv/bin/uv pip install --no-cache --python /compile/bin/python --require-hashes --no-build \
        -r requirements/compile.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY ocn_permission_agent/ ocn_permission_agent/
RUN HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 /compile/bin/python -m hatchling build -t wheel -d /wheel \
    && /uv/bin/uv pip install --no-cache --python /opt/agent/bin/python --no-deps --compile-bytecode /wheel/*.whl

FROM python:3.13-slim
LABEL org.opencontainers.image.title="ocn-permission-agent" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 agent \
    && useradd --no-log-init --no-create-home --uid 10001 --gid agent --home-dir /data --shell /usr/sbin/nologin agent \
    && install --directory --owner=agent --group=agent --mode=0700 /data
COPY --from=build /opt/agent /opt/agent
ENV PATH="/opt/agent/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OCN_AGENT_CONFIG=/etc/ocn-permission-agent/agent.toml \
    OCN_AGENT_STORE_URL=sqlite:////data/agent.db
USER 10001:10001
WORKDIR /data
VOLUME /data
# 8080: the proxy, for platforms. The admin listener (9090) stays inside unless admin.listen says otherwise.
EXPOSE 8080
STOPSIGNAL SIGTERM
# Asks the admin listener where it is by default; with another port in admin.listen, give docker run its own health command.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import sys, http.client as h; c = h.HTTPConnection('127.0.0.1', 9090, timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["ocn-permission-agent"]
CMD ["run"]
