FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --system --uid 10001 --no-create-home panel
WORKDIR /app

COPY requirements.lock ./
RUN python -m pip install --require-hashes -r requirements.lock

COPY . .
ENV VAR_DIR=/app/var STATIC_ROOT=/app/staticfiles
# The secrets of this step are made for it and kept nowhere.
RUN DATABASE_URL=postgresql://u@h/d REDIS_URL=redis://h \
    SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
    ENCRYPTION_KEYS="$(python -c 'from cryptography import fernet as f; print(f.Fernet.generate_key().decode())')" \
    python manage.py collectstatic --noinput \
    && mkdir -p /app/var && chown panel /app/var

USER panel
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/health/', headers={'Host': os.environ.get('ALLOWED_HOSTS', '').split(',')[0].strip('*.') or 'localhost'}), timeout=5)"]
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--blocking-threads", "4", "--respawn-failed-workers", "--workers-kill-timeout", "10", "--no-ws", "--log-level", "warning", "panel.wsgi:application"]
