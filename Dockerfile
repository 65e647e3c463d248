# cooper serve, from the wheel. Build: docker build -t cooper .
# Run: docker run -p 8000:8000 -v talks:/data -e COOPER_TOKENS=anna:... cooper
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir "build>=1.6" && python -m build --wheel --outdir /wheel

FROM python:3.12-slim
# A smaller build of torch suits a machine without a GPU: pass another --build-arg TORCH.
ARG TORCH=torch==2.13.0
ENV PYTHONUNBUFFERED=1
COPY --from=wheel /wheel /wheel
# The wheel's own bounds decide the versions: hadolint cannot see that a path is no package's name.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir "$TORCH" \
    && pip install --no-cache-dir "$(echo /wheel/*.whl)[serve,postgres]" \
    && rm -r /wheel \
    && useradd --create-home --uid 10001 cooper \
    && install -d -o cooper -m 700 /data
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
# Exec form: SIGTERM reaches the server, whose turns then have --grace seconds to end.
ENTRYPOINT ["cooper", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--store", "/data/talks.sqlite"]
