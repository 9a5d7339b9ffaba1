# The web page, then our wheel beside its hash-locked dependencies, then an image with neither compiler nor Node, as a user without rights.

FROM node:24-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY web/index.html web/tsconfig.json web/vite.config.ts ./
COPY web/public ./public
COPY web/src ./src
RUN npm run bundle

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock deploy/build.lock ./
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes --requirement requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --requirement build.lock
COPY pyproject.toml README.md LICENSE ./
COPY accounts ./accounts
COPY app ./app
COPY core ./core
COPY cti ./cti
COPY customers ./customers
COPY infra ./infra
COPY realtime ./realtime
COPY reporting ./reporting
COPY routing ./routing
COPY simulator ./simulator
COPY ticketing ./ticketing
# Into a folder of its own, so that what is no Python (migrations, page, demo) lies beside the packages as it does in a checkout.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/wheel . \
 && /opt/venv/bin/pip install --no-deps --no-compile --target /opt/ringdesk /src/wheel/*.whl
COPY migrations /opt/ringdesk/migrations
COPY demo /opt/ringdesk/demo
COPY --from=page /src/web/dist /opt/ringdesk/web/dist
RUN /opt/venv/bin/python -m compileall -q /opt/ringdesk /opt/venv/lib

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin ringdesk \
 && install -d -o ringdesk -m 0700 /var/lib/ringdesk/backups
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/ringdesk /opt/ringdesk
ENV PATH=/opt/ringdesk/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/ringdesk \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /tmp
EXPOSE 8080
# For web, the default command; compose gives the others their own.
HEALTHCHECK --interval=5s --timeout=4s --retries=6 --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + (os.environ.get('RINGDESK_METRICS_PORT') or os.environ.get('RINGDESK_PORT', '8080')) + '/readyz', timeout=3)"]
CMD ["ringdesk", "web"]
