# mitobench with all its plugins, on a CPU:
#   docker build -t mitobench .
#   docker run --rm -v "$PWD:/work" mitobench predict slide.svs --out found
FROM python:3.12-slim

# OpenCV, which MMDetection needs, links to libGL and glib.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*

# torch for CPUs is a tenth of the size of the one with CUDA.
COPY constraints.txt /tmp/
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu -c /tmp/constraints.txt torch torchvision

COPY . /tmp/mitobench
RUN cd /tmp/mitobench \
    && pip install --no-cache-dir -c constraints.txt '.[slides,onnx]' ./plugins/networks ./plugins/mmdet \
    && rm -rf /tmp/mitobench

# What is written into /work belongs to whoever starts the container: docker run --user "$(id -u):$(id -g)".
ENV MITOBENCH_CACHE=/tmp/cache HOME=/tmp
WORKDIR /work
ENTRYPOINT ["mitobench"]
