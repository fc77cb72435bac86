# docker build -t qlstm . && docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" qlstm train --dataset damped_shm --out runs/demo
FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheel .

FROM python:3.11-slim
# An index that has a build of torch for processors alone keeps gigabytes of GPU libraries out of the image:
# --build-arg TORCH_INDEX_URL=...
ARG TORCH_INDEX_URL=
COPY --from=build /wheel /wheel
COPY constraints.txt /wheel/
RUN pip install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} \
        "torch==$(sed -n 's/^torch==//p' /wheel/constraints.txt)" \
    && pip install --no-cache-dir -c /wheel/constraints.txt "$(ls /wheel/*.whl)[controls,report]" \
    && useradd --create-home qlstm && mkdir /data && chown qlstm /data
# Tokens come from the environment of `docker run` (-e QISKIT_IBM_TOKEN) and are never part of an image.
USER qlstm
WORKDIR /data
ENTRYPOINT ["qlstm"]
CMD ["--help"]
