# The service in a container (the default), and the fake providers of docker-compose.yml (target `fakes`).

FROM python:3.12-slim AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
# The packages first: they change less often than our code.
RUN uv sync --no-dev --extra speed --extra push --no-install-project
COPY notifier notifier
COPY channels channels
COPY subscribers subscribers
COPY templates templates
RUN uv sync --no-dev --extra speed --extra push --no-editable

FROM python:3.12-slim AS service
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --no-create-home notifier && install -d -o notifier /data
COPY --from=build /app/.venv /app/.venv
USER notifier
WORKDIR /data
EXPOSE 8080 8024
CMD ["notifier", "serve"]

FROM service AS fakes
WORKDIR /app
COPY tests/__init__.py tests/__init__.py
COPY tests/fakes tests/fakes
CMD ["python", "-m", "tests.fakes", "--help"]

FROM service
