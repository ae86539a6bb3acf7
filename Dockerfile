# One image for every process of the platform: migrate, code server, webserver, API, daemon.
# What each container runs stands in compose.yaml.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.8
# Extras of pyproject.toml, separated by spaces: "platform scrub" adds the names' recogniser.
ARG EXTRAS=platform
ENV UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && uv venv --python python3.11 "$VIRTUAL_ENV"
WORKDIR /app

# Dependencies first: they change less often than the code, and are kept as a layer. The first
# command only chooses versions, all from the lock; the second refuses whatever has no hash there or
# another one, and every source package, which would run code of its own. (The unquoted list of
# extras is to be split.)
COPY pyproject.toml requirements.lock ./
# hadolint ignore=SC2046
RUN uv pip compile --quiet $(printf -- '--extra %s ' ${EXTRAS}) --constraint requirements.lock \
        --no-header --no-annotate --output-file /tmp/pins.txt pyproject.toml \
    && uv pip install --no-cache --require-hashes --no-build --compile-bytecode \
        --requirement /tmp/pins.txt --constraint requirements.lock

# Editable, so that the package finds dbt/, dagster.yaml and workspace.yaml beside itself.
COPY README.md dagster.yaml workspace.yaml ./
COPY analytics_assets ./analytics_assets
RUN uv pip install --no-cache --no-deps --editable . && python -m compileall -q analytics_assets

# The manifest is parsed once, here. dbt discards it at run time if the connection is another than
# at parse time, the password apart: these four must be those of compose.yaml's database.
ARG ANALYTICS_DBT_HOST=postgres
ARG ANALYTICS_DBT_PORT=5432
ARG ANALYTICS_DBT_DBNAME=analytics
ARG ANALYTICS_DBT_USER=analytics_pipeline
COPY dbt ./dbt
RUN dbt parse --project-dir dbt --profiles-dir dbt && rm -rf dbt/logs \
    && test -s dbt/target/manifest.json && test -s dbt/target/partial_parse.msgpack

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --user-group --no-create-home \
        --home-dir /var/lib/analytics --shell /usr/sbin/nologin analytics \
    && install --directory --owner analytics --group analytics --mode 0700 /var/lib/analytics
# Code and environment stay root's: a process of the platform cannot change what it runs.
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/analytics \
    ANALYTICS_HOME=/var/lib/analytics
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/analytics
CMD ["analytics-assets", "--help"]
