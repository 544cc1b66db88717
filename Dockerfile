# The daemon alone: no compiler, no pip, no shell scripts. Runs as uid 10001 on a read-only root; its one place to write is
# the volume /var/lib/quantd. docs/operations/container.md says how it is built, run and extended.
#
# A release pins the base by digest: --build-arg PYTHON_IMAGE=python:3.12-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/venv
# What changes least comes first: the pinned requirements, then the source.
COPY requirements/run.lock requirements/
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r requirements/run.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The build backends and what they need are pinned in the lock, are needed for this one step, and leave with pip.
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation . \
 && /opt/venv/bin/pip uninstall --yes hatchling packaging pathspec pluggy setuptools tomlkit trove-classifiers \
 && /opt/venv/bin/pip check \
 && /opt/venv/bin/pip uninstall --yes pip \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
ARG BASE_DIGEST=unknown
LABEL org.opencontainers.image.title="quantd" \
      org.opencontainers.image.description="An algorithmic-trading daemon: strategies from YAML, one risk gate, one journal, several venues." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.12-slim-bookworm" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"

COPY --from=build /opt/venv /opt/venv
COPY strategies /opt/quantd/strategies
COPY config/paper.yaml /opt/quantd/config/
# Samples write to var/; here that is the volume, and nothing else of the working folder can be written. The base's own pip
# has no use either.
RUN python -m pip uninstall --yes --root-user-action ignore pip \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/quantd && ln -s /var/lib/quantd /opt/quantd/var

# Probes and Prometheus come from outside the container. No other setting is fixed here.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1 \
    QUANTD__HEALTH__HOST=0.0.0.0
USER 10001:10001
WORKDIR /opt/quantd
VOLUME /var/lib/quantd
EXPOSE 9464
STOPSIGNAL SIGTERM
# Liveness only: an outage of a venue makes no container unhealthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('QUANTD__HEALTH__PORT', '9464') + '/livez', timeout=4)"]
ENTRYPOINT ["quantd"]
CMD ["run", "config/paper.yaml"]
