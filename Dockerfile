# syntax=docker/dockerfile:1
# A server of models on the CPU: docker build -t hf-ext . ; docker run -p 8000:8000 -v ./model:/models/ner:ro hf-ext
FROM python:3.12-slim AS build

WORKDIR /source
COPY pyproject.toml setup.py README.md LICENSE MANIFEST.in hf_ext_cli.py constraints.txt ./
COPY hf_ext ./hf_ext
# PyTorch first, from where it is built without CUDA.
RUN python -m venv /hf-ext \
    && /hf-ext/bin/pip install --no-cache-dir --constraint constraints.txt torch \
        --index-url https://download.pytorch.org/whl/cpu \
    && /hf-ext/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve,onnx,images]"

FROM python:3.12-slim

RUN useradd --create-home --uid 10001 serve
COPY --from=build /hf-ext /hf-ext
ENV PATH=/hf-ext/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /srv
EXPOSE 8000
# Models are opened before the server listens.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["hf-ext", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["ner=/models/ner"]
